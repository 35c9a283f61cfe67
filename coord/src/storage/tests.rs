//! The files over a simulated disk that forgets, fills up and fails, thousands of seeds long.

use std::path::PathBuf;

use disk::{Faults, SimulatedDisk};

use super::*;
use crate::tree::{CreateMode, Op, Preparer, Request, Tree, Txn};

pub(super) fn dir() -> PathBuf {
    PathBuf::from("/coord")
}

/// A tree, its log and its snapshots on one thread, so that a seed decides everything.
pub(super) struct Node {
    pub(super) disk: SimulatedDisk,
    pub(super) opened: Opened<SimulatedDisk>,
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
            prep: Preparer::default(),
        })
    }

    pub(super) fn fresh(seed: u64) -> Node {
        Node::open(SimulatedDisk::new(seed), Vec::new()).expect("opens")
    }

    pub(super) fn set(&mut self, path: &str, data: Vec<u8>) -> Result<(), StorageError> {
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
        let request = Request::internal(0, vec![op]);
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

    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
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

pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
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
