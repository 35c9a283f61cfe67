//! The following of changes, over a coordination service of the test's own.

use std::collections::BTreeMap;
use std::time::Duration;

use coord::{Coord, CoordConfig, CreateMode, Session};
use disk::{RealDisk, SimulatedDisk, SyncPool};
use uuid::Uuid;

use super::*;
use crate::config::BrokerConfig;
use crate::storage::Storage;

struct Cluster {
    session: Session,
    reign: Reign,
    _coord: Coord,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Cluster {
        let disk = SimulatedDisk::new(1);
        let (coord, handle) =
            Coord::start(disk, "/coord".as_ref(), CoordConfig::default()).expect("starts");
        let session = handle
            .open_session(Duration::from_secs(6))
            .await
            .expect("opens");
        scaffold(&session).await.expect("scaffold");
        let registration = Registration {
            id: 1,
            host: "localhost".into(),
            port: 9092,
            rack: None,
        };
        let reign = register(&session, &registration).await.expect("registers");
        Cluster {
            session,
            reign,
            _coord: coord,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A topic of one partition that no broker here leads, so that no log is opened.
    async fn topic(&self, name: &str) {
        let id = Uuid::new_v4();
        let replicas = [vec![2]];
        create_topic(
            &self.session,
            self.reign,
            name,
            id,
            &replicas,
            &BTreeMap::new(),
        )
        .await
        .expect("creates");
    }

    fn follower(&self) -> Follower {
        let folder = self.folder.path().to_owned();
        let storage = Storage::open(RealDisk::new(), folder, "c", 1).expect("opens");
        Follower::new(
            self.session.clone(),
            1,
            Arc::new(BrokerConfig::default()),
            storage,
            SyncPool::start("sync", 1).expect("threads"),
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_is_read_with_the_next_change() {
    let cluster = Cluster::new().await;
    let session = &cluster.session;
    let mut follower = cluster.follower();
    let (view, _) = follower.load().expect("loads");
    let metadata = Metadata::new(view);

    // Without this folder nothing of the cluster can be read.
    let ids = znodes::BROKER_IDS;
    session
        .delete(&znodes::broker(1), None)
        .await
        .expect("deletes");
    session.delete(ids, None).await.expect("deletes");
    cluster.topic("a").await;
    follower.next(&metadata).await;
    assert!(metadata.view().topic("a").is_none());
    session
        .create(ids, "", CreateMode::Persistent)
        .await
        .expect("creates");
    follower.next(&metadata).await;
    assert!(metadata.view().topic("a").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_broker_holds_up_nothing_else() {
    let cluster = Cluster::new().await;
    let session = &cluster.session;
    let mut follower = cluster.follower();
    let (view, _) = follower.load().expect("loads");
    let metadata = Metadata::new(view);
    for path in [&*znodes::broker(1), znodes::CONTROLLER] {
        session.set(path, "no JSON", None).await.expect("sets");
    }
    cluster.topic("a").await;
    follower.next(&metadata).await;
    let view = metadata.view();
    assert!(view.topic("a").is_some());
    assert!(view.brokers.is_empty());
    assert_eq!(view.controller, -1);
}
