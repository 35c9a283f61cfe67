//! The whole service as its sessions see it, over a simulated disk.

use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use disk::{Faults, SimulatedDisk};

use super::*;
use crate::handle::Session;
use crate::tree::{CreateMode, Op, OpResult};
use crate::watch::{WATCH_EVENTS_MAX, WatchKind, WatchMode};
use crate::{ErrorCode, MultiError, Zxid};
use CreateMode::{Container, Ephemeral, Persistent, PersistentSequential};

pub(super) const DIR: &str = "/coord";

fn start(disk: &SimulatedDisk) -> (Coord, Handle) {
    start_with(disk, CoordConfig::default())
}

pub(crate) fn start_with(disk: &SimulatedDisk, config: CoordConfig) -> (Coord, Handle) {
    Coord::start(disk.clone(), Path::new(DIR), config).expect("starts")
}

pub(crate) async fn session(handle: &Handle) -> Session {
    handle
        .open_session(Duration::from_secs(6))
        .await
        .expect("opens")
}

#[tokio::test]
async fn a_session_writes_reads_and_watches() {
    let (coord, handle) = start(&SimulatedDisk::new(1));
    let s = session(&handle).await;
    let mut data = s.watch("/a", WatchMode::Data);
    let mut children = s.watch("/", WatchMode::Children);
    let mut all = s.watch("/", WatchMode::PersistentRecursive);

    let created = s.create("/a", "one", Persistent).await.unwrap();
    assert_eq!(created.path, "/a");
    assert_eq!(s.get("/a").unwrap(), ("one".into(), created.stat));
    let stat = s.set("/a", "two", Some(0)).await.unwrap();
    assert_eq!(stat.version, 1);
    assert_eq!(
        s.set("/a", "three", Some(0)).await.unwrap_err().code(),
        ErrorCode::BadVersion
    );
    assert_eq!(s.exists("/a"), Some(stat));
    assert_eq!(s.exists("/b"), None);
    assert_eq!(s.get("/b").unwrap_err().code(), ErrorCode::NoNode);
    let numbered = s.create("/a/n-", "", PersistentSequential).await.unwrap();
    assert_eq!(numbered.path, "/a/n-0000000000");
    assert_eq!(s.children("/a").unwrap(), ["n-0000000000"]);
    s.delete("/a/n-0000000000", None).await.unwrap();

    let results = s
        .multi(vec![Op::check("/a", Some(1)), Op::delete("/a", Some(1))])
        .await
        .unwrap();
    assert_eq!(results, [OpResult::Checked, OpResult::Deleted]);
    let MultiError { index, error } = s
        .multi(vec![
            Op::create("/x", "", Persistent),
            Op::delete("/a", None),
        ])
        .await
        .unwrap_err();
    assert_eq!((index, error.code()), (1, ErrorCode::NoNode));
    assert_eq!(s.exists("/x"), None);

    let event = data.next().await.unwrap();
    assert_eq!(
        (event.kind, event.path.as_str(), event.zxid),
        (WatchKind::NodeCreated, "/a", created.stat.czxid)
    );
    assert_eq!(data.next().await, None, "it was for one event");
    assert_eq!(
        children.next().await.unwrap().kind,
        WatchKind::NodeChildrenChanged
    );
    let mut seen = Vec::new();
    while let Some(event) = all.try_next() {
        seen.push((event.kind, event.path));
    }
    let of = |kind, path: &str| (kind, path.to_owned());
    let expected = [
        of(WatchKind::NodeCreated, "/a"),
        of(WatchKind::NodeDataChanged, "/a"),
        of(WatchKind::NodeCreated, "/a/n-0000000000"),
        of(WatchKind::NodeDeleted, "/a/n-0000000000"),
        of(WatchKind::NodeDeleted, "/a"),
    ];
    assert_eq!(seen, expected);
    s.at_least(s.zxid()).await.unwrap();
    assert_eq!(s.zxid().epoch(), 1);
    coord.stop();
    assert!(matches!(
        s.set("/a", "", None).await,
        Err(CoordError::Stopped)
    ));
    assert!(matches!(
        s.at_least(Zxid(u64::MAX)).await,
        Err(CoordError::Stopped)
    ));
    assert!(matches!(handle.ended().await, CoordError::Stopped));
}

#[tokio::test]
async fn a_session_ends_when_it_is_closed_or_its_last_clone_dropped() {
    let (coord, handle) = start(&SimulatedDisk::new(1));
    let (a, b, watcher) = (
        session(&handle).await,
        session(&handle).await,
        session(&handle).await,
    );
    assert_ne!(a.id(), b.id());
    let mut watch = watcher.watch("/", WatchMode::PersistentRecursive);
    let mut own = a.watch("/", WatchMode::Persistent);
    a.create("/a", "", Ephemeral).await.unwrap();
    b.create("/b", "", Ephemeral).await.unwrap();
    assert_eq!(watcher.exists("/a").unwrap().ephemeral_owner, a.id());
    let clone = a.clone();
    a.close().await.unwrap();
    assert_eq!(watcher.exists("/a"), None);
    assert_eq!(
        clone
            .create("/late", "", Ephemeral)
            .await
            .unwrap_err()
            .code(),
        ErrorCode::SessionExpired
    );
    while own.next().await.is_some() {}
    drop(b.clone());
    assert!(watcher.exists("/b").is_some(), "a clone is left");
    drop(b);
    for (kind, path) in [
        (WatchKind::NodeCreated, "/a"),
        (WatchKind::NodeCreated, "/b"),
        (WatchKind::NodeDeleted, "/a"),
        (WatchKind::NodeDeleted, "/b"),
    ] {
        let event = watch.next().await.unwrap();
        assert_eq!((event.kind, event.path.as_str()), (kind, path));
    }
    coord.stop();
}

#[tokio::test]
async fn a_restart_closes_the_sessions_of_the_run_before_in_a_new_epoch() {
    let disk = SimulatedDisk::new(5);
    let (coord, handle) = start(&disk);
    let s = session(&handle).await;
    s.create("/kept", "data", Persistent).await.unwrap();
    s.create("/gone", "", Ephemeral).await.unwrap();
    let left = disk.crash();
    drop(coord);
    let (_coord, handle) = start(&left);
    let s = session(&handle).await;
    assert_eq!(s.children("/").unwrap(), ["kept", "zookeeper"]);
    assert_eq!(
        s.zxid(),
        Zxid::new(2, 2),
        "closing the old sessions was first, opening this one second"
    );
    assert_eq!(s.exists("/kept").unwrap().czxid.epoch(), 1);
}

#[test]
fn a_folder_has_one_service_at_a_time() {
    let disk = SimulatedDisk::new(5);
    let (coord, _) = start(&disk);
    let second = Coord::start(disk.clone(), Path::new(DIR), CoordConfig::default());
    assert!(second.err().unwrap().to_string().contains("in use"));
    coord.stop();
    start(&disk);
}

#[tokio::test]
async fn a_watch_that_is_not_read_says_that_it_lost_events() {
    let (_coord, handle) = start(&SimulatedDisk::new(1));
    let s = session(&handle).await;
    let mut watch = s.watch("/", WatchMode::Persistent);
    for _ in 0..=WATCH_EVENTS_MAX {
        s.set("/", "", None).await.unwrap();
    }
    s.create("/a", "", Persistent).await.unwrap();
    assert_eq!(watch.next().await.unwrap().kind, WatchKind::Lost);
    assert_eq!(
        watch.next().await.unwrap().kind,
        WatchKind::NodeChildrenChanged
    );
    assert_eq!(watch.try_next(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_transaction_arrive_together() {
    const OPS: usize = 50;
    let (_coord, handle) = start(&SimulatedDisk::new(1));
    let s = session(&handle).await;
    let mut watch = s.watch("/", WatchMode::PersistentRecursive);
    let writer = tokio::spawn(async move {
        for number in 0..400 {
            let path = |op| format!("/{number}-{op}");
            let ops = (0..OPS).map(|op| Op::create(path(op), "", Persistent));
            s.multi(ops.collect()).await.unwrap();
        }
        s
    });
    for _ in 0..400 {
        let first = watch.next().await.unwrap();
        for _ in 1..OPS {
            let event = watch.try_next().expect("the rest is there");
            assert_eq!(event.zxid, first.zxid);
        }
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn many_writes_under_way_share_syncs() {
    let disk = SimulatedDisk::new(1);
    let (coord, handle) = start(&disk);
    let s = session(&handle).await;
    // So few syncs are left that 500 writes can only succeed if many share one. Nothing runs on this thread between
    // the pushes, so they are all queued before the first is answered; a hundred groups would still be far too many.
    disk.set_faults(Faults {
        syncs_until_failure: Some(100),
        ..Faults::default()
    });
    let writes: Vec<_> = (0..500)
        .map(|i| {
            let s = s.clone();
            tokio::spawn(async move { s.create(&format!("/n{i}"), "", Persistent).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap().expect("written");
    }
    coord.stop();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let disk = SimulatedDisk::new(1);
    let (coord, handle) = start(&disk);
    let s = session(&handle).await;
    let e = session(&handle).await;
    e.create("/e", "", Ephemeral).await.unwrap();
    disk.set_faults(Faults {
        space: Some(1),
        ..Faults::default()
    });
    let mut written = 0;
    let refused = loop {
        match s
            .create(&format!("/n{written}"), vec![7; 10_000], Persistent)
            .await
        {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, CoordError::DiskFull(_)), "{refused}");
    assert!(refused.to_string().contains("full"), "{refused}");
    drop(e);
    assert_eq!(s.children("/").unwrap().len(), written + 2, "reads go on");
    assert!(matches!(
        s.create("/x", vec![7; 10_000], Persistent).await,
        Err(CoordError::DiskFull(_))
    ));
    disk.set_faults(Faults::default());
    let mut watch = s.watch("/e", WatchMode::Data);
    s.create("/x", vec![7; 10_000], Persistent).await.unwrap();
    if s.exists("/e").is_some() {
        assert_eq!(
            watch.next().await.unwrap().kind,
            WatchKind::NodeDeleted,
            "the dropped session ends after all"
        );
    }
    coord.stop();
    let (_coord, handle) = start(&disk.crash());
    assert_eq!(
        session(&handle).await.children("/").unwrap().len(),
        written + 2
    );
}

#[tokio::test]
async fn a_request_holds_its_turn_although_nobody_waits_for_it() {
    let (coord, handle) = start(&SimulatedDisk::new(1));
    let s = session(&handle).await;
    let shared = Arc::clone(&coord.shared);
    let begin_and_cancel = || {
        // While this is held nothing is applied, and so nothing answered.
        let _held = shared.served.read();
        let mut begun = 0;
        while !shared.is_crowded() {
            let path = format!("/n{begun}");
            let write = pin!(s.create(&path, vec![0; 1_000_000], Persistent));
            let mut context = Context::from_waker(Waker::noop());
            assert!(write.poll(&mut context).is_pending());
            begun += 1;
            assert!(begun < 1_000, "cancelled requests pile up");
        }
        begun
    };
    // A thread of its own, as tokio makes a task wait that polls too much.
    let begun = std::thread::scope(|scope| scope.spawn(begin_and_cancel).join().unwrap());
    s.create("/last", "", Persistent).await.unwrap();
    assert_eq!(s.children("/").unwrap().len(), begun + 2);
    coord.stop();
}

#[tokio::test]
async fn every_watch_ends_with_its_session_or_the_service() {
    let (coord, handle) = start(&SimulatedDisk::new(1));
    let (a, b) = (session(&handle).await, session(&handle).await);
    let clone = a.clone();
    a.close().await.unwrap();
    let mut late = clone.watch("/", WatchMode::Persistent);
    assert_eq!(late.next().await, None, "its session has ended already");
    let mut watch = b.watch("/", WatchMode::Persistent);
    coord.stop();
    assert_eq!(watch.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stops_although_somebody_goes_on_writing() {
    let (coord, handle) = start(&SimulatedDisk::new(1));
    let writers: Vec<_> = (0..4)
        .map(|i| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let s = session(&handle).await;
                s.create(&format!("/w{i}"), "", Persistent).await.unwrap();
                while s.set(&format!("/w{i}"), "", None).await.is_ok() {}
            })
        })
        .collect();
    let s = session(&handle).await;
    while s.children("/").unwrap().len() < 5 {
        tokio::task::yield_now().await;
    }
    tokio::task::spawn_blocking(|| coord.stop()).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_sync_is_final_until_the_next_start() {
    let disk = SimulatedDisk::new(1);
    let (coord, handle) = start(&disk);
    let s = session(&handle).await;
    s.create("/a", "", Persistent).await.unwrap();
    disk.set_faults(Faults {
        syncs_until_failure: Some(0),
        ..Faults::default()
    });
    assert!(matches!(
        s.create("/b", "", Persistent).await,
        Err(CoordError::Storage(_))
    ));
    assert!(matches!(
        s.create("/c", "", Persistent).await,
        Err(CoordError::Storage(_))
    ));
    assert!(matches!(handle.ended().await, CoordError::Storage(_)));
    assert!(s.exists("/a").is_some() && s.exists("/b").is_none());
    coord.stop();
    let (_coord, handle) = start(&disk.crash());
    assert!(session(&handle).await.exists("/a").is_some());
}

#[tokio::test]
async fn containers_are_swept_although_the_machines_clock_goes_back() {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&now);
    let config = CoordConfig {
        sweep_every_ms: 5,
        clock: Arc::new(move || clock.fetch_sub(10_000, Ordering::Relaxed)),
        ..CoordConfig::default()
    };
    let (_coord, handle) = start_with(&SimulatedDisk::new(1), config);
    let s = session(&handle).await;
    let mut watch = s.watch("/locks", WatchMode::Persistent);
    s.create("/locks", "", Container).await.unwrap();
    s.create("/locks/one", "", Ephemeral).await.unwrap();
    s.delete("/locks/one", None).await.unwrap();
    while watch.next().await.unwrap().kind != WatchKind::NodeDeleted {}
    assert_eq!(s.exists("/locks"), None);
}
