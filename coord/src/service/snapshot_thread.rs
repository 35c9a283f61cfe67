//! The snapshot thread: writes the tree out in pieces while transactions go on, then removes what it makes superfluous.
//! It holds the tree's read lock for one piece at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use disk::Disk;

use super::core::LogCommand;
use super::inbox::Inbox;
use super::shared::Shared;
use crate::storage::{self, Log, PIECE_BYTES, SnapshotWriter, StorageError};

/// A damaged snapshot is passed over for one before it, so the logs are kept back to the oldest of these.
const SNAPSHOTS_KEPT: usize = 3;
/// Between pieces, so that a snapshot never takes the disk from commits for long.
const PACE: Duration = Duration::from_millis(1);

pub(super) enum SnapshotCommand {
    Take,
    Stop,
}

pub(super) struct SnapshotThread<D: Disk> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<Inbox<LogCommand>>,
    pub(super) commands: Arc<Inbox<SnapshotCommand>>,
    /// Set when the service stops: a snapshot under way is given up.
    pub(super) stopping: Arc<AtomicBool>,
    /// Whether one is asked for or under way.
    pub(super) busy: Arc<AtomicBool>,
}

impl<D: Disk> SnapshotThread<D> {
    pub(super) fn run(self) {
        let mut commands = Vec::new();
        loop {
            self.commands.take(None, &mut commands);
            for command in commands.drain(..) {
                match command {
                    SnapshotCommand::Take => {
                        if let Err(error) = self.snapshot() {
                            tracing::warn!("no snapshot was taken: {error}");
                            // Its room is given back; where that fails, the next one or the next start does it.
                            let _ = self.disk.remove(&self.dir.join(storage::TEMPORARY));
                        }
                        self.busy.store(false, Ordering::Release);
                    }
                    SnapshotCommand::Stop => return,
                }
            }
        }
    }

    fn snapshot(&self) -> Result<(), StorageError> {
        // A new log file, so that the old ones can go whole.
        self.log.push(LogCommand::Roll);
        let (start, sessions) = {
            let served = self.shared.served.read();
            (
                served.tree.applied(),
                served.tree.sessions().collect::<Vec<_>>(),
            )
        };
        let mut writer = SnapshotWriter::begin(&self.disk, &self.dir, start)?;
        writer.sessions(&sessions)?;
        let mut after = None;
        let mut nodes = Vec::new();
        let reached = loop {
            if self.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            let mut bytes = 0;
            let reached = {
                let served = self.shared.served.read();
                after = served.tree.walk(after.as_deref(), &mut |node| {
                    bytes += node.path.len() + node.data.len() + 64;
                    nodes.push(node);
                    bytes < PIECE_BYTES
                });
                served.tree.applied()
            };
            writer.nodes(&nodes)?;
            nodes.clear();
            if after.is_none() {
                break reached;
            }
            std::thread::sleep(PACE);
        };
        writer.finish(reached)?;
        tracing::debug!("snapshot of transaction {start}");
        Log::purge(&self.disk, &self.dir, SNAPSHOTS_KEPT)
    }
}
