//! Keeps the view in step with the tree: what a watch says has changed is read again, the
//! partitions that are new are opened, those that are gone deleted, and the view is
//! swapped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coord::{CoordError, Session, Watch, WatchKind, WatchMode};
use disk::SyncPool;
use parking_lot::Mutex;
use protocol::ErrorCode;

use super::Metadata;
use super::view::{BrokerInfo, OFFSETS_TOPIC, PartitionInfo, Topic, View};
use super::write::WriteError;
use super::znodes::{
    self, BrokerNode, ConfigNode, ControllerNode, DeletedTopicNode, PartitionNode, TopicNode,
};
use crate::config::{BrokerConfig, TopicConfig};
use crate::partition::{Partition, Replicas};
use crate::storage::Storage;
use crate::time::now_ms;

/// How many threads open logs at a start: recovery reads, so more than there are cores.
const OPENERS: usize = 4;

/// What came of one step, for those who care beyond the view.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) deleted: Vec<Arc<str>>,
    /// Partitions of the offsets topic that are led here from now on.
    pub(crate) offsets_gained: Vec<i32>,
}

/// Reads the tree for one broker.
pub(crate) struct Follower {
    session: Session,
    watch: Watch,
    broker_id: i32,
    config: Arc<BrokerConfig>,
    storage: Arc<Storage>,
    pool: SyncPool,
    /// What has changed and could not be read.
    missed: Changed,
}

/// A topic as the tree has it.
struct TopicNodes {
    node: TopicNode,
    config: ConfigNode,
    states: Vec<PartitionNode>,
}

impl Follower {
    pub(crate) fn new(
        session: Session,
        broker_id: i32,
        config: Arc<BrokerConfig>,
        storage: Arc<Storage>,
        pool: SyncPool,
    ) -> Self {
        // The watch comes first: what changes while the tree is read is then read again.
        let watch = session.watch("/", WatchMode::PersistentRecursive);
        Self {
            session,
            watch,
            broker_id,
            config,
            storage,
            pool,
            missed: Changed::default(),
        }
    }

    /// The first view, with every partition led here opened and, where need be, recovered.
    pub(crate) fn load(&self) -> Result<(View, Change), WriteError> {
        let mut view = View::at(self.session.zxid().0);
        self.remove_deleted_folders();
        self.read_cluster(&mut view)?;
        let mut topics = Vec::new();
        let names = self.session.children(znodes::TOPICS)?;
        for name in &names {
            match self.read_topic(name) {
                Ok(Some(nodes)) => topics.push((name.clone(), nodes)),
                Ok(None) => view.note_illegible(name.clone()),
                Err(error) => {
                    tracing::error!("topic {name} is not served: {error}");
                    view.note_illegible(name.clone());
                }
            }
        }
        let opened = self.open_all(&topics);
        let mut change = Change::default();
        for (name, nodes) in topics {
            let topic = self.assemble(&name, nodes, |index| {
                opened.get(&(name.clone(), index)).cloned()
            });
            note_offsets(&mut change, &topic, None);
            view.put(Arc::new(topic));
        }
        self.storage.report_strays(&names);
        Ok((view, change))
    }

    /// Waits for the tree to change and brings the view up to it. None once the session
    /// has ended.
    pub(crate) async fn next(&mut self, metadata: &Metadata) -> Option<Change> {
        let event = self.watch.next().await?;
        let mut changed = std::mem::take(&mut self.missed);
        changed.note(&event);
        while let Some(event) = self.watch.try_next() {
            changed.note(&event);
        }
        let applied = tokio::task::block_in_place(|| self.apply(metadata, &changed));
        Some(applied.unwrap_or_else(|error| {
            tracing::error!(
                "the metadata could not be read, and is read again with the next change: {error}"
            );
            changed.everything = true;
            self.missed = changed;
            Change::default()
        }))
    }

    fn apply(&self, metadata: &Metadata, changed: &Changed) -> Result<Change, WriteError> {
        let before = metadata.view();
        let mut view = View::clone(&before);
        let mut change = Change::default();
        if changed.cluster || changed.everything {
            self.read_cluster(&mut view)?;
        }
        let mut topics = changed.topics.clone();
        if changed.everything {
            topics.extend(self.session.children(znodes::TOPICS)?);
            topics.extend(before.topics().iter().map(|topic| topic.name.to_string()));
        }
        for name in &topics {
            let nodes = match self.read_topic(name) {
                Ok(nodes) => nodes,
                Err(error) => {
                    // The others must not wait for the one that somebody broke.
                    tracing::error!("topic {name} stays as it was: {error}");
                    continue;
                }
            };
            let mut removed = true;
            let old = before.topic(name);
            let kept = old.filter(|old| {
                nodes
                    .as_ref()
                    .is_some_and(|nodes| nodes.node.topic_id == old.id)
            });
            if let Some(gone) = old
                && kept.is_none()
            {
                removed = self.delete_local(gone);
                view.remove(name);
                change.deleted.push(Arc::clone(&gone.name));
            }
            let Some(nodes) = nodes else {
                if removed {
                    self.finish_deletion(name);
                }
                continue;
            };
            let id = nodes.node.topic_id;
            let config = Arc::new(TopicConfig::new(&self.config, &nodes.config.config));
            let topic = self.assemble(name, nodes, |index| {
                let open = kept
                    .and_then(|topic| topic.partition(index))
                    .and_then(|partition| partition.local.clone());
                open.or_else(|| Some(self.open(name, id, index, &config)))
            });
            note_offsets(&mut change, &topic, kept.map(|topic| &**topic));
            view.put(Arc::new(topic));
        }
        // Not the tree's own zxid: of what came after these events nothing was read.
        view.zxid = view.zxid.max(changed.zxid);
        metadata.swap(view);
        Ok(change)
    }

    fn read_cluster(&self, view: &mut View) -> Result<(), WriteError> {
        view.brokers.clear();
        for id in self.session.children(znodes::BROKER_IDS)? {
            let Some(data) = self.read(&format!("{}/{id}", znodes::BROKER_IDS))? else {
                continue;
            };
            let node = legible::<BrokerNode>(&format!("{}/{id}", znodes::BROKER_IDS), &data);
            if let (Some(node), Ok(id)) = (node, id.parse()) {
                view.brokers.insert(
                    id,
                    BrokerInfo {
                        id,
                        host: node.host,
                        port: node.port,
                        rack: node.rack,
                    },
                );
            }
        }
        let controller = self.read(znodes::CONTROLLER)?;
        view.controller = controller
            .and_then(|data| legible::<ControllerNode>(znodes::CONTROLLER, &data))
            .map_or(-1, |node| node.brokerid);
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Option<bytes::Bytes>, WriteError> {
        match self.session.get(path) {
            Ok((data, _)) => Ok(Some(data)),
            Err(CoordError::NoNode { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// None if the topic is not there, or goes while it is read: its end is an event, too.
    fn read_topic(&self, name: &str) -> Result<Option<TopicNodes>, WriteError> {
        let Some(data) = self.read(&znodes::topic(name))? else {
            return Ok(None);
        };
        let node: TopicNode = serde_json::from_slice(&data)?;
        let config = match self.read(&znodes::topic_config(name))? {
            Some(data) => serde_json::from_slice(&data)?,
            None => ConfigNode::default(),
        };
        let mut states = Vec::with_capacity(node.partitions.len());
        for index in 0..node.partitions.len() as i32 {
            let Some(data) = self.read(&znodes::partition_state(name, index))? else {
                return Ok(None);
            };
            states.push(serde_json::from_slice(&data)?);
        }
        Ok(Some(TopicNodes {
            node,
            config,
            states,
        }))
    }

    fn assemble(
        &self,
        name: &str,
        nodes: TopicNodes,
        mut local: impl FnMut(i32) -> Option<Arc<Partition>>,
    ) -> Topic {
        let config = Arc::new(TopicConfig::new(&self.config, &nodes.config.config));
        let partitions = nodes.node.partitions.into_values().zip(nodes.states);
        let partitions = (0..)
            .zip(partitions)
            .map(|(index, (replicas, state))| {
                let local = if state.leader == self.broker_id {
                    local(index)
                } else {
                    None
                };
                if let Some(partition) = &local {
                    partition.set_replicas(Replicas {
                        leader_epoch: state.leader_epoch,
                        in_sync: state.isr.len() as i32,
                    });
                    if *partition.config() != *config {
                        partition.set_config(Arc::clone(&config));
                    }
                }
                PartitionInfo {
                    leader: state.leader,
                    leader_epoch: state.leader_epoch,
                    replicas,
                    isr: state.isr,
                    local,
                }
            })
            .collect();
        Topic {
            name: name.into(),
            wire_name: name.into(),
            id: nodes.node.topic_id,
            overrides: nodes.config.config,
            config,
            partitions,
        }
    }

    fn open(
        &self,
        name: &str,
        id: uuid::Uuid,
        index: i32,
        config: &Arc<TopicConfig>,
    ) -> Arc<Partition> {
        Partition::open(
            name.into(),
            id,
            index,
            Arc::clone(config),
            &self.storage,
            &self.pool,
            now_ms(),
        )
    }

    fn open_all(&self, topics: &[(String, TopicNodes)]) -> BTreeMap<(String, i32), Arc<Partition>> {
        let work: Vec<_> = topics
            .iter()
            .flat_map(|(name, nodes)| {
                let config = Arc::new(TopicConfig::new(&self.config, &nodes.config.config));
                let led = (0..)
                    .zip(&nodes.states)
                    .filter(|(_, state)| state.leader == self.broker_id);
                let id = nodes.node.topic_id;
                led.map(move |(index, _)| (name, id, index, Arc::clone(&config)))
                    .collect::<Vec<_>>()
            })
            .collect();
        let opened = Mutex::new(BTreeMap::new());
        let share = work.len().div_ceil(OPENERS).max(1);
        let open_share = |share: &[(&String, uuid::Uuid, i32, Arc<TopicConfig>)]| {
            for (name, id, index, config) in share {
                let partition = self.open(name, *id, *index, config);
                opened.lock().insert(((*name).clone(), *index), partition);
            }
        };
        std::thread::scope(|scope| {
            for share in work.chunks(share) {
                scope.spawn(|| open_share(share));
            }
        });
        opened.into_inner()
    }

    /// Ends the service of a deleted topic's partitions. Their folders get other names at
    /// once, as a topic of the same name may follow. False if they could not be given.
    fn delete_local(&self, topic: &Topic) -> bool {
        let local = topic.partitions.iter().filter_map(|p| p.local.as_ref());
        let indexes: Vec<i32> = local
            .map(|partition| {
                partition.end_service(ErrorCode::UnknownTopicOrPartition, "its topic was deleted");
                partition.index
            })
            .collect();
        let due = now_ms() + topic.config.file_delete_delay_ms;
        self.storage.remove_partitions(&topic.name, &indexes, due)
    }

    /// The folders of a deleted topic bear other names by now, so its marker may go.
    fn finish_deletion(&self, name: &str) {
        let path = znodes::deleted_topic(name);
        if let Some(stat) = self.session.exists(&path) {
            let session = self.session.clone();
            // Not the marker of a later topic of that name, which is at another version.
            tokio::spawn(async move { session.delete(&path, Some(stat.version)).await });
        }
    }

    /// At a start: the folders of topics whose deletion was under way.
    fn remove_deleted_folders(&self) {
        for name in self
            .session
            .children(znodes::DELETED_TOPICS)
            .unwrap_or_default()
        {
            let Ok(Some(data)) = self.read(&znodes::deleted_topic(&name)) else {
                continue;
            };
            let removed = serde_json::from_slice::<DeletedTopicNode>(&data).map_or(true, |node| {
                self.storage.remove_unclaimed(&name, node.topic_id)
            });
            if removed {
                self.finish_deletion(&name);
            }
        }
    }
}

/// A znode that somebody broke is as if it were not there: all others must still be read.
fn legible<T: serde::de::DeserializeOwned>(path: &str, data: &[u8]) -> Option<T> {
    serde_json::from_slice(data)
        .map_err(|error| tracing::error!("{path} is passed over, as it does not parse: {error}"))
        .ok()
}

fn note_offsets(change: &mut Change, topic: &Topic, before: Option<&Topic>) {
    if &*topic.name != OFFSETS_TOPIC {
        return;
    }
    let led_before = |index| {
        before
            .and_then(|topic| topic.partition(index))
            .is_some_and(|partition| partition.local.is_some())
    };
    for (index, partition) in (0..).zip(&topic.partitions) {
        if partition.local.is_some() && !led_before(index) {
            change.offsets_gained.push(index);
        }
    }
}

/// What a run of events says has to be read again.
#[derive(Default)]
struct Changed {
    zxid: u64,
    everything: bool,
    cluster: bool,
    topics: BTreeSet<String>,
}

impl Changed {
    fn note(&mut self, event: &coord::WatchEvent) {
        self.zxid = self.zxid.max(event.zxid.0);
        if event.kind == WatchKind::Lost {
            self.everything = true;
        } else if let Some(topic) = znodes::topic_of(&event.path) {
            self.topics.insert(topic.to_owned());
        } else {
            self.cluster |=
                event.path.starts_with(znodes::BROKER_IDS) || event.path == znodes::CONTROLLER;
        }
    }
}
