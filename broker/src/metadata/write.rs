//! Changes of the metadata, each one multi that names what it relies on: a controller
//! that was deposed, or a topic that changed meanwhile, makes it fail whole.

use std::collections::BTreeMap;

use coord::{CoordError, CreateMode, MultiError, Op, Session};
use thiserror::Error;
use uuid::Uuid;

use super::znodes::{self, ConfigNode, DeletedTopicNode, PartitionNode, TopicNode, json};

/// Why a change was not made.
#[derive(Debug, Error)]
pub(crate) enum WriteError {
    #[error("somebody else changed it at the same time")]
    Conflict,
    #[error("it is not there")]
    Missing,
    #[error("the coordination service refused it: {0}")]
    Coord(CoordError),
    #[error("what stands in the coordination service does not parse: {0}")]
    Garbage(#[from] serde_json::Error),
}

impl From<CoordError> for WriteError {
    fn from(error: CoordError) -> Self {
        match error {
            CoordError::NoNode { .. } => Self::Missing,
            CoordError::NodeExists { .. } | CoordError::BadVersion { .. } => Self::Conflict,
            other => Self::Coord(other),
        }
    }
}

impl From<MultiError> for WriteError {
    fn from(error: MultiError) -> Self {
        error.error.into()
    }
}

/// Who makes changes: the controller, by the version of `/controller_epoch` that it set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reign {
    pub(crate) epoch: i32,
    pub(crate) version: i32,
}

impl Reign {
    fn check(self) -> Op {
        Op::check(znodes::CONTROLLER_EPOCH, Some(self.version))
    }
}

/// Makes a topic; gives the zxid at which it is there.
pub(crate) async fn create_topic(
    session: &Session,
    reign: Reign,
    name: &str,
    id: Uuid,
    replicas: &[Vec<i32>],
    overrides: &BTreeMap<String, String>,
) -> Result<u64, WriteError> {
    let node = TopicNode {
        version: 3,
        topic_id: id,
        partitions: (0..).zip(replicas.iter().cloned()).collect(),
        adding_replicas: BTreeMap::new(),
        removing_replicas: BTreeMap::new(),
    };
    let config = ConfigNode {
        version: 1,
        config: overrides.clone(),
    };
    let mut ops = vec![
        reign.check(),
        create(znodes::topic_config(name), json(&config)),
        create(znodes::topic(name), json(&node)),
        create(znodes::partitions(name), Vec::new()),
    ];
    for (index, replicas) in (0..).zip(replicas) {
        add_partition(&mut ops, reign, name, index, replicas);
    }
    let (_, zxid) = session.multi_at(ops).await?;
    Ok(zxid.0)
}

/// Gives a topic that has `have` partitions those after them; gives the zxid.
pub(crate) async fn add_partitions(
    session: &Session,
    reign: Reign,
    name: &str,
    have: usize,
    added: &[Vec<i32>],
) -> Result<u64, WriteError> {
    let path = znodes::topic(name);
    let (data, stat) = session.get(&path)?;
    let mut node: TopicNode = serde_json::from_slice(&data)?;
    if node.partitions.len() != have {
        return Err(WriteError::Conflict);
    }
    let first = have as i32;
    let mut ops = vec![reign.check()];
    for (index, replicas) in (first..).zip(added) {
        node.partitions.insert(index, replicas.clone());
        add_partition(&mut ops, reign, name, index, replicas);
    }
    ops.push(Op::set(path, json(&node), Some(stat.version)));
    let (_, zxid) = session.multi_at(ops).await?;
    Ok(zxid.0)
}

/// A topic's overrides and their version.
pub(crate) fn overrides(
    session: &Session,
    name: &str,
) -> Result<(BTreeMap<String, String>, i32), WriteError> {
    let (data, stat) = session.get(&znodes::topic_config(name))?;
    let node: ConfigNode = serde_json::from_slice(&data)?;
    Ok((node.config, stat.version))
}

/// Replaces a topic's overrides if they are at that version; gives the zxid.
pub(crate) async fn set_overrides(
    session: &Session,
    reign: Reign,
    name: &str,
    overrides: &BTreeMap<String, String>,
    version: i32,
) -> Result<u64, WriteError> {
    let node = ConfigNode {
        version: 1,
        config: overrides.clone(),
    };
    let ops = vec![
        reign.check(),
        Op::set(znodes::topic_config(name), json(&node), Some(version)),
    ];
    let (_, zxid) = session.multi_at(ops).await?;
    Ok(zxid.0)
}

/// Deletes the topic of that name and id; gives the zxid. Until the brokers have removed its
/// folders, a marker names its id, so that a crash between leaves nobody wondering whose they are.
pub(crate) async fn delete_topic(
    session: &Session,
    reign: Reign,
    name: &str,
    id: Uuid,
) -> Result<u64, WriteError> {
    let path = znodes::topic(name);
    for _ in 0..TRIES_MAX {
        let (data, stat) = session.get(&path)?;
        if serde_json::from_slice::<TopicNode>(&data)?.topic_id != id {
            // Another topic has the name by now.
            return Err(WriteError::Missing);
        }
        let mut ops = vec![reign.check()];
        for index in session.children(&znodes::partitions(name))? {
            let partition = format!("{}/{index}", znodes::partitions(name));
            ops.push(Op::delete(format!("{partition}/state"), None));
            ops.push(Op::delete(partition, None));
        }
        ops.push(Op::delete(znodes::partitions(name), None));
        ops.push(Op::delete(path.clone(), Some(stat.version)));
        ops.push(Op::delete(znodes::topic_config(name), None));
        // The marker comes last: by the time its event shows a zxid to those who wait for
        // one, the topic's own events have been seen.
        let marker = ops.len();
        ops.push(mark_deleted(session, name, id));
        match session.multi_at(ops).await {
            Ok((_, zxid)) => return Ok(zxid.0),
            // The marker of an earlier topic of that name came or went just now.
            Err(error) if error.index == marker => {}
            // The topic got more partitions just now.
            Err(error) if error.index > 0 && changed(&error.error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WriteError::Conflict)
}

/// How often a deletion is tried while others change the same topic.
const TRIES_MAX: u32 = 20;

fn changed(error: &CoordError) -> bool {
    matches!(
        error,
        CoordError::NotEmpty { .. } | CoordError::BadVersion { .. }
    )
}

fn mark_deleted(session: &Session, name: &str, id: Uuid) -> Op {
    let path = znodes::deleted_topic(name);
    let marker = json(&DeletedTopicNode { topic_id: id });
    // A topic can be made and deleted again before the first one's folders are gone.
    if session.exists(&path).is_none() {
        create(path, marker)
    } else {
        Op::set(path, marker, None)
    }
}

fn add_partition(ops: &mut Vec<Op>, reign: Reign, name: &str, index: i32, replicas: &[i32]) {
    let state = PartitionNode {
        version: 1,
        leader: replicas.first().copied().unwrap_or(-1),
        leader_epoch: 0,
        isr: replicas.to_vec(),
        controller_epoch: reign.epoch,
    };
    ops.push(create(znodes::partition(name, index), Vec::new()));
    ops.push(create(znodes::partition_state(name, index), json(&state)));
}

fn create(path: String, data: Vec<u8>) -> Op {
    Op::create(path, data, CreateMode::Persistent)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use coord::{Coord, CoordConfig};
    use disk::SimulatedDisk;

    use super::super::{Registration, register, scaffold};
    use super::*;

    async fn cluster() -> (Coord, Session, Reign) {
        let disk = SimulatedDisk::new(1);
        let started = Coord::start(disk, Path::new("/coord"), CoordConfig::default());
        let (coord, handle) = started.expect("starts");
        let session = handle.open_session(Duration::from_secs(6)).await;
        let session = session.expect("opens");
        scaffold(&session).await.expect("scaffold");
        let registration = Registration {
            id: 1,
            host: "localhost".into(),
            port: 9092,
            rack: None,
        };
        let reign = register(&session, &registration).await.expect("register");
        (coord, session, reign)
    }

    async fn create(session: &Session, reign: Reign, id: u128) {
        let id = Uuid::from_u128(id);
        create_topic(session, reign, "t", id, &[vec![1]], &BTreeMap::new())
            .await
            .expect("create");
    }

    #[tokio::test]
    async fn a_topic_is_not_deleted_in_the_place_of_an_earlier_one_of_its_name() {
        let (_coord, session, reign) = cluster().await;
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        create(&session, reign, 1).await;
        delete_topic(&session, reign, "t", first)
            .await
            .expect("delete");
        create(&session, reign, 2).await;
        let late = delete_topic(&session, reign, "t", first).await;
        assert!(matches!(late, Err(WriteError::Missing)), "{late:?}");
        delete_topic(&session, reign, "t", second)
            .await
            .expect("delete");
    }

    #[tokio::test]
    async fn a_topic_is_deleted_while_it_gets_more_partitions() {
        let (_coord, session, reign) = cluster().await;
        create(&session, reign, 1).await;
        let added = [vec![1], vec![1]];
        // They come first, so the deletion finds more than it has read.
        let (added, deleted) = tokio::join!(
            add_partitions(&session, reign, "t", 1, &added),
            delete_topic(&session, reign, "t", Uuid::from_u128(1)),
        );
        added.expect("add");
        deleted.expect("delete");
        assert!(session.exists(&znodes::topic("t")).is_none());
    }
}
