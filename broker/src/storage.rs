//! The broker's log directory in use: which folder is which partition's, what is to be
//! removed and when, the checkpoints, and whether the disk still keeps its word.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use disk::{Disk, RealDisk, Space};
use parking_lot::Mutex;
use protocol::ErrorCode;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::config::TopicConfig;
use crate::error::StartError;
use crate::log::{
    Doomed, Found, Log, LogDir, LogDirError, LogError, Meta, OpenHints, Owner, Retired,
};
use crate::metadata::View;
use crate::partition::Partition;
use crate::time::now_ms;

/// Checkpoints are written when so many bytes were flushed since the last: a start reads about this
/// much at 1.5 GB/s.
const CHECKPOINT_AFTER: u64 = 32 << 20;
/// How often a full disk is told.
const FULL_TOLD_EVERY_MS: i64 = 10_000;

/// The log directory.
pub(crate) struct Storage {
    disk: RealDisk,
    path: PathBuf,
    dir: LogDir<RealDisk>,
    clean: bool,
    /// The folders there were at the start and that nobody has claimed yet, by topic and
    /// number, with the topic's id that is in them.
    unclaimed: Mutex<HashMap<(String, i32), Option<Uuid>>>,
    leaving: Mutex<Vec<Leaving>>,
    checkpoints: Mutex<Checkpoints>,
    /// Bytes since the last checkpoints.
    flushed_bytes: AtomicU64,
    checkpoint_due: Notify,
    full_told_ms: AtomicI64,
}

/// What is gone from the logs and still on the disk, until its time has come.
struct Leaving {
    due_ms: i64,
    what: Gone,
}

enum Gone {
    Segment(Retired<RealDisk>),
    Partition(Doomed),
}

impl Storage {
    /// Locks the folder and reads what it holds.
    pub(crate) fn open(
        disk: RealDisk,
        path: PathBuf,
        cluster_id: &str,
        broker_id: i32,
    ) -> Result<Arc<Self>, StartError> {
        let (dir, found) = LogDir::open(disk.clone(), &path)?;
        let Found {
            meta,
            clean,
            partitions,
            doomed,
            gone,
        } = found;
        match meta {
            Some(meta) if meta.cluster_id != cluster_id => {
                return Err(StartError::OtherCluster {
                    path,
                    theirs: meta.cluster_id,
                    ours: cluster_id.to_owned(),
                });
            }
            Some(meta) if meta.broker_id != broker_id => {
                return Err(StartError::OtherBroker {
                    path,
                    theirs: meta.broker_id,
                    ours: broker_id,
                });
            }
            Some(_) => {}
            None => dir
                .write_meta(&Meta {
                    cluster_id: cluster_id.to_owned(),
                    broker_id,
                })
                .map_err(LogDirError::from)?,
        }
        let now = now_ms();
        let checkpoints = Checkpoints::new(&partitions, &gone);
        let unclaimed = partitions
            .into_iter()
            .map(|found| ((found.topic, found.partition), found.topic_id))
            .collect();
        let leaving = doomed.into_iter().map(|doomed| Leaving {
            due_ms: now,
            what: Gone::Partition(doomed),
        });
        Ok(Arc::new(Self {
            disk,
            path,
            dir,
            clean,
            unclaimed: Mutex::new(unclaimed),
            leaving: Mutex::new(leaving.collect()),
            checkpoints: Mutex::new(checkpoints),
            flushed_bytes: AtomicU64::new(0),
            checkpoint_due: Notify::new(),
            full_told_ms: AtomicI64::new(0),
        }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Room on the file system of the folder.
    pub(crate) fn space(&self) -> Option<Space> {
        self.disk.space(&self.path).ok()
    }

    /// What failed, once a write or a sync has: nothing is acknowledged after that.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.disk.health().failure()
    }

    /// Ends all writing, as the disk did not keep its word.
    pub(crate) fn fail(&self, reason: &str) {
        self.disk.health().fail(reason);
    }

    /// Tells, now and then, that a full disk, or the like, refuses records.
    pub(crate) fn report_refusal(&self, topic: &str, index: i32, error: &LogError) {
        let now = now_ms();
        let told = self.full_told_ms.load(Ordering::Relaxed);
        if now - told >= FULL_TOLD_EVERY_MS
            && self
                .full_told_ms
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            tracing::error!(
                "{topic}-{index} takes no records: {error}. Reads go on; records are taken again once there is room"
            );
        }
    }

    /// Opens a partition's log. A folder of that name with another topic's id is of a topic
    /// that was deleted: it is moved out of the way first.
    pub(crate) fn open_log(
        &self,
        topic: &str,
        topic_id: Uuid,
        index: i32,
        config: &TopicConfig,
        now: i64,
    ) -> Result<Log<RealDisk>, LogError> {
        let unclaimed = self.unclaimed.lock().remove(&(topic.to_owned(), index));
        let (found, clean) = match unclaimed {
            Some(id) => (Owner::from(id), self.clean),
            None => (self.dir.owner(topic, index)?, false),
        };
        let known = self.checkpoints.lock().of(topic, index);
        let hints = if found == Owner::Topic(topic_id) {
            OpenHints {
                log_start: known.log_start,
                recovery_point: known.recovery_point,
                clean,
                topic_id,
            }
        } else {
            if found != Owner::NoFolder {
                if found == Owner::Nobody && known != Checkpoint::default() {
                    return Err(self.dir.nameless(topic, index));
                }
                tracing::warn!(
                    "{} is of {} and is removed, to make room for topic {topic} of id {topic_id}",
                    self.dir.partition_dir(topic, index).display(),
                    match found {
                        Owner::Topic(id) => format!("the deleted topic of id {id}"),
                        _ => "no topic, as nothing in it was acknowledged".to_owned(),
                    },
                );
                self.doom(&[(topic, index)], now)?;
            }
            self.strike(&[(topic, index)])?;
            OpenHints {
                topic_id,
                ..OpenHints::default()
            }
        };
        let dir = self.dir.partition_dir(topic, index);
        let config = config.log_config(index);
        let (log, recovered) = Log::open(self.disk.clone(), dir, config, hints, now)?;
        for cut in &recovered.cuts {
            tracing::warn!(
                "{topic}-{index} ends at offset {}: {} at byte {} of {}; what follows was never acknowledged and {}",
                cut.offset,
                cut.reason,
                cut.position,
                cut.file.display(),
                cut.kept.as_ref().map_or_else(
                    || "is not kept, as the disk is full".to_owned(),
                    |kept| format!("is kept in {}", kept.display())
                )
            );
        }
        if recovered.scanned {
            tracing::debug!(
                "{topic}-{index} was recovered up to offset {} from {} bytes",
                log.end_offset(),
                recovered.scanned_bytes
            );
        }
        Ok(log)
    }

    /// Warns of folders that belong to none of the cluster's topics, and leaves them alone.
    pub(crate) fn report_strays(&self, topics: &[String]) {
        let topics: HashSet<_> = topics.iter().collect();
        self.unclaimed.lock().retain(|(topic, index), _| {
            let claimed = topics.contains(topic);
            if !claimed {
                tracing::warn!(
                    "{} belongs to no topic of this cluster and is left alone",
                    self.dir.partition_dir(topic, *index).display()
                );
            }
            claimed
        });
    }

    /// Gives the folders of a deleted topic other names at once; they are removed when
    /// `due_ms` has come. False if a folder kept its name: then the next start must know that the
    /// topic was deleted.
    #[must_use]
    pub(crate) fn remove_partitions(&self, topic: &str, indexes: &[i32], due_ms: i64) -> bool {
        let names: Vec<_> = indexes.iter().map(|&index| (topic, index)).collect();
        let doomed = self.doom(&names, due_ms);
        if let Err(error) = &doomed {
            tracing::error!("the folders of deleted topic {topic} could not be removed: {error}");
        }
        if let Err(error) = self.strike(&names) {
            tracing::error!(
                "the checkpoints of deleted topic {topic} could not be struck: {error}"
            );
        }
        doomed.is_ok()
    }

    /// At a start: removes what is left of a topic whose deletion was under way. False as with
    /// [`Storage::remove_partitions`].
    #[must_use]
    pub(crate) fn remove_unclaimed(&self, topic: &str, topic_id: Uuid) -> bool {
        let mut indexes = Vec::new();
        let checkpoints = self.checkpoints.lock();
        self.unclaimed.lock().retain(|(name, index), found| {
            let its = name == topic
                && match found {
                    Some(id) => *id == topic_id,
                    None => checkpoints.of(name, *index) == Checkpoint::default(),
                };
            if its {
                indexes.push(*index);
            }
            !its
        });
        drop(checkpoints);
        indexes.is_empty() || self.remove_partitions(topic, &indexes, now_ms())
    }

    /// Renames folders, and has them removed later.
    fn doom(&self, names: &[(&str, i32)], due_ms: i64) -> Result<(), LogError> {
        let mut doomed = Vec::new();
        let renamed = self.dir.doom(names, &mut doomed);
        self.leaving
            .lock()
            .extend(doomed.into_iter().map(|doomed| Leaving {
                due_ms,
                what: Gone::Partition(doomed),
            }));
        renamed
    }

    /// Takes deleted partitions out of the checkpoints. What could not be written is tried
    /// again by the next writing, and before a new log of that name.
    fn strike(&self, names: &[(&str, i32)]) -> Result<(), LogError> {
        let mut checkpoints = self.checkpoints.lock();
        for &(topic, index) in names {
            checkpoints.strike(topic, index);
        }
        if names.iter().any(|&(t, i)| checkpoints.is_struck(t, i)) {
            checkpoints.write(&self.dir)?;
        }
        Ok(())
    }

    /// Takes segments that retention took out of a log, to be removed when their time comes.
    pub(crate) fn retire(&self, retired: Vec<Retired<RealDisk>>, due_ms: i64) {
        self.leaving
            .lock()
            .extend(retired.into_iter().map(|segment| Leaving {
                due_ms,
                what: Gone::Segment(segment),
            }));
    }

    /// Removes what is due, unless the broker is stopping: then the next start does. Blocks for
    /// as long as that takes.
    pub(crate) fn remove_due(&self, now: i64, stopping: impl Fn() -> bool) {
        let due: Vec<_> = {
            let mut leaving = self.leaving.lock();
            let (due, rest) = leaving.drain(..).partition(|gone| gone.due_ms <= now);
            *leaving = rest;
            due
        };
        for gone in due {
            if stopping() {
                return;
            }
            let removed = match gone.what {
                Gone::Segment(segment) => segment.remove(),
                Gone::Partition(doomed) => self.dir.remove(doomed),
            };
            if let Err(error) = removed {
                tracing::error!("deleted records could not be removed from the disk: {error}");
            }
        }
    }

    /// Moves a log's start, for DeleteRecords; gives the new one.
    pub(crate) fn delete_before(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<i64, ErrorCode> {
        let delay = partition.config().file_delete_delay_ms;
        let now = now_ms();
        let high_watermark = partition.high_watermark();
        let mut retired = Vec::new();
        let deleted = partition.with_log(|log| {
            // The start must not come to lie past what a power loss leaves of the log.
            if log.flushed() < offset
                && let Some(flush) = log.unflushed()?
            {
                flush.run()?;
                log.flushed_to(&flush);
            }
            log.delete_before(offset)?;
            match log.maintain(now, high_watermark, &mut retired) {
                // The start has moved; the room is given back by a later maintenance.
                Err(LogError::Full(_)) | Ok(()) => Ok(log.log_start()),
                Err(error) => Err(error),
            }
        })?;
        self.retire(retired, now + delay);
        deleted.map_err(|error: LogError| {
            tracing::error!("{}-{}: {error}", partition.topic, partition.index);
            ErrorCode::KafkaStorageError
        })
    }

    /// Writes how far each log is on disk and where it begins, if that has changed.
    pub(crate) fn checkpoint(&self, view: &View) -> Result<(), LogError> {
        self.write_checkpoints(&mut self.checkpoints.lock(), view)
    }

    fn write_checkpoints(
        &self,
        checkpoints: &mut Checkpoints,
        view: &View,
    ) -> Result<(), LogError> {
        self.flushed_bytes.store(0, Ordering::Relaxed);
        let mut moved = Vec::new();
        for partition in view.local_partitions() {
            if let Some(checkpoint) = partition.checkpoint()
                && checkpoints.note(&partition.topic, partition.index, checkpoint)
            {
                moved.push((partition, checkpoint.recovery_point));
            }
        }
        checkpoints.write(&self.dir)?;
        for (partition, recovery_point) in moved {
            partition.mark(recovery_point);
        }
        Ok(())
    }

    /// Counts what was flushed, and asks for checkpoints where a start would have much to read.
    pub(crate) fn flushed(&self, bytes: u64) {
        let before = self.flushed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before < CHECKPOINT_AFTER && before + bytes >= CHECKPOINT_AFTER {
            self.checkpoint_due.notify_one();
        }
    }

    /// Waits until enough was flushed since the last checkpoints.
    pub(crate) async fn checkpoint_due(&self) {
        self.checkpoint_due.notified().await;
    }

    /// Makes everything durable that was written to the folder. False if it could not be.
    pub(crate) fn sync_everything(&self) -> bool {
        let synced = self.dir.sync_everything();
        if let Err(error) = &synced {
            tracing::error!("the log folder could not be synced: {error}");
        }
        synced.is_ok()
    }

    /// The last checkpoints, and the marker of a clean stop if every log was closed. Nothing
    /// is written after that, and the folder is free for the next who wants it.
    pub(crate) fn close(&self, view: &View, clean: bool) {
        let mut checkpoints = self.checkpoints.lock();
        let written = self.write_checkpoints(&mut checkpoints, view);
        checkpoints.close();
        let closed = written.and_then(|()| {
            // After a crash, what nobody has opened since is still as the crash left it.
            let opened = self.clean || self.unclaimed.lock().is_empty();
            if clean && opened && self.failure().is_none() {
                self.dir.mark_clean()
            } else {
                Ok(())
            }
        });
        if let Err(error) = closed {
            tracing::error!("the log folder could not be closed: {error}");
        }
        self.dir.unlock();
    }
}

#[cfg(test)]
mod tests;
