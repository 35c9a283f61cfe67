//! What the checkpoint files of the log directory are to say: of each partition, how far it is
//! on disk and where it begins.
//!
//! `storage` keeps it under one lock, and whoever writes the files holds that lock from before
//! the values are gathered until they are on disk; so an older value never overwrites a newer
//! one. An entry stays until it is noted anew or struck: a partition that is offline, or that
//! nobody has claimed, is not forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use disk::Disk;

use crate::log::{FoundPartition, LogDir, LogError};

/// What is known of one partition's log without its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Everything below was on disk.
    pub(crate) recovery_point: i64,
    /// First offset that may be read.
    pub(crate) log_start: i64,
}

type Key = (Arc<str>, i32);

/// The entries of the checkpoint files, and what of them is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    of: BTreeMap<Key, Checkpoint>,
    /// Struck, but the files may still name them. A new log of such a name must not be written
    /// to: after a crash it would be taken to have lost what the files say of the old one.
    struck: BTreeSet<Key>,
    /// Which of the two files is to be written.
    points_changed: bool,
    starts_changed: bool,
    closed: bool,
}

impl Checkpoints {
    /// What the files said at the start. Of `gone` they spoke, but there is no such folder.
    pub(crate) fn new(found: &[FoundPartition], gone: &[(String, i32)]) -> Self {
        let mut checkpoints = Self::default();
        for found in found {
            let checkpoint = Checkpoint {
                recovery_point: found.recovery_point,
                log_start: found.log_start,
            };
            checkpoints.note(&found.topic.as_str().into(), found.partition, checkpoint);
        }
        checkpoints.struck = gone
            .iter()
            .map(|(topic, partition)| (topic.as_str().into(), *partition))
            .collect();
        checkpoints.points_changed = !gone.is_empty();
        checkpoints.starts_changed = !gone.is_empty();
        checkpoints
    }

    /// What is known of a partition; nothing is zeros.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Checkpoint {
        let key = (topic.into(), partition);
        self.of.get(&key).copied().unwrap_or_default()
    }

    /// Takes the newest of a partition. Tells whether its recovery point has moved.
    pub(crate) fn note(
        &mut self,
        topic: &Arc<str>,
        partition: i32,
        checkpoint: Checkpoint,
    ) -> bool {
        let key = (Arc::clone(topic), partition);
        let before = if checkpoint == Checkpoint::default() {
            self.of.remove(&key)
        } else {
            self.of.insert(key, checkpoint)
        };
        let before = before.unwrap_or_default();
        let moved = before.recovery_point != checkpoint.recovery_point;
        self.points_changed |= moved;
        self.starts_changed |= before.log_start != checkpoint.log_start;
        moved
    }

    /// Forgets a partition that is deleted.
    pub(crate) fn strike(&mut self, topic: &str, partition: i32) {
        let key = (topic.into(), partition);
        if self.of.remove(&key).is_some() {
            self.struck.insert(key);
            self.points_changed = true;
            self.starts_changed = true;
        }
    }

    /// Whether the files may still say something of a partition that was deleted.
    pub(crate) fn is_struck(&self, topic: &str, partition: i32) -> bool {
        self.struck.contains(&(topic.into(), partition))
    }

    /// Puts what has changed on disk.
    pub(crate) fn write<D: Disk>(&mut self, dir: &LogDir<D>) -> Result<(), LogError> {
        if !self.points_changed && !self.starts_changed {
            return Ok(());
        }
        if self.closed {
            return Err(io::Error::other("the log folder is closed").into());
        }
        let all = self
            .of
            .iter()
            .map(|((topic, index), at)| (&**topic, *index, at));
        if self.points_changed {
            dir.write_recovery_points(all.clone().map(|(t, i, at)| (t, i, at.recovery_point)))?;
            self.points_changed = false;
        }
        if self.starts_changed {
            dir.write_log_starts(all.map(|(t, i, at)| (t, i, at.log_start)))?;
            self.starts_changed = false;
        }
        self.struck.clear();
        Ok(())
    }

    /// Ends all writing.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}
