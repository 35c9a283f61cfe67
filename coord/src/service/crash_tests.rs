//! The whole service over simulated and real disks: what was answered is there after every crash.

use std::path::Path;

use disk::{RealDisk, SimulatedDisk};

use super::tests::{DIR, session, start_with};
use super::*;
use crate::tree::CreateMode::{Persistent, PersistentSequential};

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

#[tokio::test]
async fn a_node_that_crashes_over_and_over_does_not_pile_up_log_files() {
    let mut disk = SimulatedDisk::new(1);
    let logs = |disk: &SimulatedDisk| {
        let names = disk_names(disk).into_iter();
        names.filter(|name| name.starts_with("log.")).count()
    };
    let snapshots = |disk: &SimulatedDisk| {
        let names = disk_names(disk).into_iter();
        names.filter(|name| name.starts_with("snapshot.0")).count()
    };
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let (mut most, mut starts) = (0, 0);
    for _ in 0..2 * storage::FILES_MAX {
        let before = snapshots(&disk);
        let (coord, handle) = start_with(&disk, CoordConfig::default());
        session(&handle).await;
        starts += 1;
        // The start after so many others takes a snapshot, and what that makes superfluous goes.
        let deadline = Instant::now() + std::time::Duration::from_secs(30);
        while starts > storage::FILES_MAX + 1 && (snapshots(&disk) == before || logs(&disk) > 3) {
            assert!(Instant::now() < deadline, "the log files are not purged");
            tokio::task::yield_now().await;
        }
        if snapshots(&disk) > before {
            starts = 0;
        }
        most = most.max(logs(&disk));
        let left = disk.crash();
        coord.stop();
        disk = left;
    }
    assert_eq!(snapshots(&disk), 1);
    assert!(most < storage::FILES_MAX + 3, "{most}");
}

#[tokio::test]
async fn a_start_without_room_says_so_and_succeeds_when_there_is_some() {
    let disk = SimulatedDisk::new(1);
    let (coord, handle) = start_with(&disk, CoordConfig::default());
    session(&handle)
        .await
        .create("/a", "", Persistent)
        .await
        .unwrap();
    let left = disk.crash();
    drop(coord);
    left.set_faults(disk::Faults {
        space: Some(1),
        ..disk::Faults::default()
    });
    let config = CoordConfig::default;
    let refused = Coord::start(left.clone(), Path::new(DIR), config()).err();
    assert!(matches!(refused, Some(CoordError::DiskFull(_))));
    left.set_faults(disk::Faults::default());
    let (_coord, handle) = start_with(&left, config());
    assert!(session(&handle).await.exists("/a").is_some());
}
