//! The whole service over simulated and real disks: what was answered is there after every crash.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use disk::{Faults, RealDisk, SimulatedDisk};

use super::*;
use crate::handle::Session;
use crate::tree::{CreateMode, Op, OpResult};
use crate::watch::{WATCH_EVENTS_MAX, WatchKind, WatchMode};
use crate::{ErrorCode, MultiError, Zxid};
use CreateMode::{Container, Ephemeral, Persistent, PersistentSequential};

const DIR: &str = "/coord";

fn start(disk: &SimulatedDisk) -> (Coord, Handle) {
    start_with(disk, CoordConfig::default())
}

fn start_with(disk: &SimulatedDisk, config: CoordConfig) -> (Coord, Handle) {
    Coord::start(disk.clone(), Path::new(DIR), config).expect("starts")
}

async fn session(handle: &Handle) -> Session {
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
async fn containers_are_swept_by_the_clock() {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&now);
    let config = CoordConfig {
        sweep_every_ms: 5,
        clock: Arc::new(move || clock.fetch_add(1, Ordering::Relaxed)),
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

/// What one writer of the crash test was told: the last value answered for its znode, and the last it asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    acked: u64,
    asked: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_write_is_lost_in_any_crash() {
    const WRITERS: usize = 4;
    let mut snapshots = 0;
    for seed in 0..60 {
        let mut disk = SimulatedDisk::new(seed);
        let mut told = [Told::default(); WRITERS];
        for round in 0..4 {
            let config = CoordConfig {
                snapshot_txns: 20,
                ..CoordConfig::default()
            };
            let (coord, handle) = start_with(&disk, config);
            let s = session(&handle).await;
            for (i, told) in told.iter().enumerate() {
                let path = format!("/w{i}");
                let value: u64 = match s.get(&path) {
                    Ok((data, _)) => std::str::from_utf8(&data).unwrap().parse().unwrap(),
                    Err(_) => 0,
                };
                assert!(
                    (told.acked..=told.asked).contains(&value),
                    "seed {seed}, round {round}: {path} is {value} and not in {told:?}"
                );
                if value == 0 {
                    s.create(&path, "0", Persistent).await.ok();
                }
            }
            let board: Arc<parking_lot::Mutex<[Told; WRITERS]>> =
                Arc::new(parking_lot::Mutex::new(told));
            let writers: Vec<_> = (0..WRITERS)
                .map(|i| {
                    let (s, board) = (s.clone(), Arc::clone(&board));
                    tokio::spawn(async move {
                        for _ in 0..30 {
                            let value = {
                                let mut board = board.lock();
                                board[i].asked += 1;
                                board[i].asked
                            };
                            let done = s.set(&format!("/w{i}"), value.to_string(), None).await;
                            if done.is_ok() {
                                board.lock()[i].acked = value;
                            } else {
                                break;
                            }
                        }
                    })
                })
                .collect();
            // The power goes while they write: whatever was acked before must be there, whatever was asked until
            // after may be.
            let crash_after = (seed * 7 + round * 13) % 90;
            while board.lock().iter().map(|t| t.acked).sum::<u64>()
                < told.iter().map(|t| t.acked).sum::<u64>() + crash_after
            {
                tokio::task::yield_now().await;
            }
            let acked: Vec<u64> = board.lock().iter().map(|t| t.acked).collect();
            let left = disk.crash();
            for (i, acked) in acked.into_iter().enumerate() {
                told[i] = Told {
                    acked,
                    asked: board.lock()[i].asked,
                };
            }
            for writer in writers {
                writer.await.unwrap();
            }
            drop(coord);
            snapshots += disk_names(&disk)
                .iter()
                .filter(|name| name.starts_with("snapshot.0"))
                .count();
            disk = left;
        }
    }
    assert!(
        snapshots > 100,
        "the test must cross snapshots, and saw {snapshots}"
    );
}

fn disk_names(disk: &SimulatedDisk) -> Vec<String> {
    let entries = disk.read_dir(Path::new(DIR)).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn a_real_disk_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coord");
    let mut children = Vec::new();
    for round in 0..4 {
        let config = CoordConfig {
            snapshot_txns: 50,
            ..CoordConfig::default()
        };
        let (coord, handle) = Coord::start(RealDisk::new(), &path, config).unwrap();
        let s = session(&handle).await;
        if round == 0 {
            s.create("/q", "", Persistent).await.unwrap();
        }
        assert_eq!(s.children("/q").unwrap(), children);
        for _ in 0..60 {
            s.create("/q/n-", "some data", PersistentSequential)
                .await
                .unwrap();
        }
        children = s.children("/q").unwrap();
        coord.stop();
    }
    assert_eq!(children.len(), 240);
}
