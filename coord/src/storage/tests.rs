//! The files over a simulated disk that forgets, rots, fills up and fails, thousands of seeds long.

use std::path::PathBuf;

use disk::{DiskFile, Faults, Open, SimulatedDisk, read_range};

use super::*;
use crate::tree::{CreateMode, Op, Preparer, Request, Tree, Txn};

fn dir() -> PathBuf {
    PathBuf::from("/coord")
}

/// A tree, its log and its snapshots on one thread, so that a seed decides everything.
struct Node {
    disk: SimulatedDisk,
    opened: Opened<SimulatedDisk>,
    zxid: Zxid,
    /// All that was ever applied, in order.
    history: Vec<Txn>,
    /// What was written and not yet synced; applied when it is.
    pending: Vec<Txn>,
    prep: Preparer,
}

impl Node {
    fn open(disk: SimulatedDisk, history: Vec<Txn>) -> Result<Node, StorageError> {
        let opened = open(&disk, &dir())?;
        let epoch = opened
            .epochs
            .accepted
            .max(opened.epochs.current)
            .max(opened.tree.applied().epoch())
            + 1;
        Epochs::enter(&disk, &dir(), epoch)?;
        let zxid = Zxid::new(epoch, 0);
        Ok(Node {
            disk,
            opened,
            zxid,
            history,
            pending: Vec::new(),
            prep: Preparer::new(),
        })
    }

    fn fresh(seed: u64) -> Node {
        Node::open(SimulatedDisk::new(seed), Vec::new()).expect("opens")
    }

    fn set(&mut self, path: &str, data: Vec<u8>) -> Result<(), StorageError> {
        let exists = self.opened.tree.exists(path).is_some()
            || self
                .pending
                .iter()
                .any(|txn| format!("{txn:?}").contains(&format!("{path:?}")));
        let op = if exists {
            Op::set(path, data, None)
        } else {
            Op::create(path, data, CreateMode::Persistent)
        };
        let request = Request::Ops {
            session: 0,
            ops: vec![op],
        };
        let zxid = self.zxid.next().unwrap();
        let txn = self
            .prep
            .prepare(&self.opened.tree, &request, zxid, 1)
            .expect("is valid");
        if let Err(error) = self.opened.log.append(&[(zxid, encode_txn(&txn))]) {
            // Nothing was written; what is pending may still be synced.
            self.prep.discard();
            return Err(error);
        }
        self.zxid = zxid;
        self.pending.push(txn);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.opened.log.sync()?;
        for txn in self.pending.drain(..) {
            self.opened.tree.apply(&txn);
            self.prep.applied(txn.zxid);
            self.history.push(txn);
        }
        Ok(())
    }

    /// Everything that was answered, and what would be if the pending writes are found on disk, too.
    fn possible(&self) -> Vec<Txn> {
        self.history.iter().chain(&self.pending).cloned().collect()
    }
}

/// Histories of five crashes each.
const SEEDS: u64 = 300;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A snapshot under way beside the writes.
struct Snapshot {
    writer: SnapshotWriter<SimulatedDisk>,
    after: Option<String>,
}

/// One run until its power loss (or a fault); returns the disk that is left.
fn run_until_crash(node: &mut Node, dice: &mut Dice) -> Result<(), StorageError> {
    let mut snapshot: Option<Snapshot> = None;
    for _ in 0..dice.roll(60) {
        match dice.roll(12) {
            0..5 => {
                let path = format!("/n{}", dice.roll(12));
                let data = vec![dice.roll(256) as u8; dice.roll(2000) as usize];
                match node.set(&path, data) {
                    Err(error) if error.is_full() => {}
                    done => done?,
                }
            }
            5..9 => node.sync()?,
            9 => {
                node.sync()?;
                node.opened.log.roll()?;
            }
            _ => match snapshot.take() {
                None => {
                    let start = node.opened.tree.applied();
                    match SnapshotWriter::begin(&node.disk, &dir(), start) {
                        Err(error) if error.is_full() => {}
                        begun => {
                            let mut writer = begun?;
                            writer
                                .sessions(&node.opened.tree.sessions().collect::<Vec<_>>())
                                .ok();
                            snapshot = Some(Snapshot {
                                writer,
                                after: None,
                            });
                        }
                    }
                }
                Some(mut s) => {
                    let mut nodes = Vec::new();
                    let limit = 1 + dice.roll(6) as usize;
                    s.after = node.opened.tree.walk(s.after.as_deref(), &mut |record| {
                        nodes.push(record);
                        nodes.len() < limit
                    });
                    match s.writer.nodes(&nodes) {
                        Err(error) if error.is_full() => continue,
                        done => done?,
                    }
                    if s.after.is_some() {
                        snapshot = Some(s);
                    } else {
                        match s.writer.finish(node.opened.tree.applied()) {
                            Err(error) if error.is_full() => {}
                            done => {
                                done?;
                                Log::purge(&node.disk, &dir(), 1 + dice.roll(3) as usize)?;
                            }
                        }
                    }
                }
            },
        }
    }
    Ok(())
}

#[test]
fn what_was_synced_survives_every_crash_and_what_is_found_is_a_prefix() {
    let (mut torn, mut snapshots, mut extra) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let mut node = Node::fresh(seed);
        for crash in 0..5 {
            let faults = match dice.roll(5) {
                0 => Faults {
                    syncs_until_failure: Some(dice.roll(20)),
                    ..Faults::default()
                },
                1 => Faults {
                    writes_until_failure: Some(dice.roll(40)),
                    ..Faults::default()
                },
                2 => Faults {
                    space: Some(80_000 + dice.roll(300_000)),
                    ..Faults::default()
                },
                _ => Faults::default(),
            };
            node.disk.set_faults(faults);
            // A fault ends the run as a crash does.
            run_until_crash(&mut node, &mut dice).ok();
            let left = node.disk.crash();
            let acked = node.opened.tree.applied();
            let possible = node.possible();
            node = Node::open(left, Vec::new())
                .unwrap_or_else(|error| panic!("seed {seed}, crash {crash}: {error}"));
            let found = node.opened.tree.applied();
            assert!(
                found >= acked,
                "seed {seed}, crash {crash}: {found} is left of {acked}"
            );
            let mut model = Tree::new();
            let mut history = possible;
            history.retain(|txn| txn.zxid <= found);
            for txn in &history {
                model.apply(txn);
            }
            assert_eq!(node.opened.tree, model, "seed {seed}, crash {crash}");
            node.history = history;
            extra += usize::from(found > acked);
            let names = names(&node.disk, &dir()).unwrap();
            torn += usize::from(!names.torn.is_empty());
            snapshots += names.snapshots.len();
        }
    }
    assert!(
        torn > 50 && snapshots > 500 && extra > 50,
        "too tame: {torn} torn, {snapshots} snapshots, {extra} extra"
    );
}

/// A closed log of five synced groups of two records in one file; returns the disk and the length of its records.
fn five_groups() -> (SimulatedDisk, u64) {
    let mut node = Node::fresh(9);
    for i in 0..5_u8 {
        node.set("/a", vec![i; 100]).unwrap();
        node.set("/b", vec![i; 100]).unwrap();
        node.sync().unwrap();
    }
    node.opened.log.roll().unwrap();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let len = node.disk.file_len(&path).unwrap();
    (node.disk.crash(), len)
}

#[test]
fn a_flipped_bit_is_told_with_file_and_position_and_nothing_is_cut() {
    let (disk, len) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let whole = open(&disk.crash(), &dir()).unwrap().tree;
    let (mut told, mut cut) = (0, 0);
    for position in 0..len {
        let disk = disk.crash();
        disk.flip_bit(&path, position, (position % 8) as u8)
            .unwrap();
        let before = disk.read(&path).unwrap();
        match open(&disk, &dir()).map(|opened| opened.tree) {
            Err(StorageError::Corrupt {
                path: told_path,
                position: at,
                ..
            }) => {
                assert_eq!(told_path, path);
                assert!(
                    at <= position && position < at + 300,
                    "{position} was told as {at}"
                );
                assert_eq!(disk.read(&path).unwrap(), before);
                told += 1;
            }
            Err(error) => panic!("{position}: {error}"),
            // Padding means nothing; and of the last group nothing says whether its sync was answered: what cannot
            // be read of it is kept aside.
            Ok(tree) if tree == whole => {}
            Ok(_) => {
                assert!(position > len - 400, "{position} of {len} was cut");
                assert_eq!(names(&disk, &dir()).unwrap().torn.len(), 1);
                cut += 1;
            }
        }
    }
    assert!(told > 1_000 && cut > 100, "{told} told, {cut} cut");
}

#[test]
fn a_torn_tail_is_cut_and_kept_aside() {
    let (disk, len) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let file = disk.open(&path, Open::Write).unwrap();
    file.write_at(&[std::io::IoSlice::new(b"half a record of some sort")], len)
        .unwrap();
    file.sync().unwrap();
    let opened = open(&disk, &dir()).unwrap();
    assert_eq!(opened.tree.applied(), Zxid::new(1, 10));
    assert_eq!(disk.file_len(&path).unwrap(), len);
    let torn = disk.read(&dir().join(torn_name(Zxid::new(1, 1)))).unwrap();
    assert_eq!(torn, b"half a record of some sort");
}

#[test]
fn a_missing_log_file_is_told() {
    let mut node = Node::fresh(3);
    for i in 0..3_u8 {
        node.set("/a", vec![i]).unwrap();
        node.sync().unwrap();
        node.opened.log.roll().unwrap();
    }
    let disk = node.disk.crash();
    for missing in 1..3 {
        let disk = disk.crash();
        disk.remove(&dir().join(log_name(Zxid::new(1, missing))))
            .unwrap();
        let error = open(&disk, &dir()).err().unwrap();
        let after = Zxid::new(1, missing - 1).0 & if missing == 1 { 0 } else { u64::MAX };
        assert!(
            matches!(error, StorageError::Missing { after: a, before, .. } if a.0 == after && before == Zxid::new(1, missing)),
            "{missing}: {error}"
        );
    }
}

fn snapshot(node: &Node) {
    let start = node.opened.tree.applied();
    let mut writer = SnapshotWriter::begin(&node.disk, &dir(), start).unwrap();
    let mut nodes = Vec::new();
    node.opened.tree.walk(None, &mut |record| {
        nodes.push(record);
        true
    });
    writer.nodes(&nodes).unwrap();
    writer.finish(start).unwrap();
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_an_older_one() {
    let mut node = Node::fresh(4);
    for i in 0..4_u8 {
        node.set("/a", vec![i]).unwrap();
        node.sync().unwrap();
        snapshot(&node);
        node.opened.log.roll().unwrap();
        Log::purge(&node.disk, &dir(), 3).unwrap();
    }
    let names = names(&node.disk, &dir()).unwrap();
    assert_eq!(names.snapshots.len(), 3, "three snapshots are kept,");
    assert_eq!(
        names.logs.len(),
        2,
        "and the logs that the oldest of them needs"
    );
    for damaged in [1, 2, 3] {
        let disk = node.disk.crash();
        for zxid in names.snapshots.iter().rev().take(damaged) {
            disk.flip_bit(&dir().join(snapshot_name(*zxid)), 40, 3)
                .unwrap();
        }
        match open(&disk, &dir()) {
            Ok(opened) => {
                assert!(damaged < 3);
                assert_eq!(opened.tree, node.opened.tree);
            }
            Err(error) => assert!(
                damaged == 3 && matches!(error, StorageError::Missing { .. }),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_log_that_ends_before_a_snapshots_fuzzy_part_is_told() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1]).unwrap();
    node.sync().unwrap();
    let writer = SnapshotWriter::begin(&node.disk, &dir(), node.opened.tree.applied()).unwrap();
    writer.finish(Zxid::new(1, 7)).unwrap();
    let error = open(&node.disk.crash(), &dir()).err().unwrap();
    assert!(
        matches!(error, StorageError::Missing { before, .. } if before == Zxid::new(1, 7)),
        "{error}"
    );
}

#[test]
fn a_newer_format_and_damaged_epochs_are_told() {
    let (disk, _) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let file = disk.open(&path, Open::Write).unwrap();
    let mut head = read_range(&file, 0, 32).unwrap();
    head[11] = 9;
    let crc = crc32c::crc32c(&head[..24]);
    head[24..28].copy_from_slice(&crc.to_be_bytes());
    file.write_at(&[std::io::IoSlice::new(&head)], 0).unwrap();
    let error = open(&disk, &dir()).err().unwrap();
    assert!(
        matches!(error, StorageError::NewerFormat { found: 9, .. }),
        "{error}"
    );

    let (disk, _) = five_groups();
    disk.replace(&dir().join("currentEpoch"), b"no number")
        .unwrap();
    let error = open(&disk, &dir()).err().unwrap();
    assert!(
        error.to_string().contains("currentEpoch is corrupt"),
        "{error}"
    );
}
