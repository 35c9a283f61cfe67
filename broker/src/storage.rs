//! The broker's log directory in use: which folder is which partition's, what is to be
//! removed and when, the checkpoints, and whether the disk still keeps its word.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use disk::{Disk, RealDisk, Space};
use parking_lot::Mutex;
use protocol::ErrorCode;
use uuid::Uuid;

use crate::config::TopicConfig;
use crate::error::StartError;
use crate::log::{
    Doomed, Found, FoundPartition, Log, LogDir, LogDirError, LogError, Meta, OpenHints, Retired,
};
use crate::metadata::View;
use crate::partition::{Checkpoint, Partition};
use crate::time::now_ms;

/// How often a full disk is told.
const FULL_TOLD_EVERY_MS: i64 = 10_000;

/// The log directory.
pub(crate) struct Storage {
    disk: RealDisk,
    path: PathBuf,
    dir: LogDir<RealDisk>,
    clean: bool,
    /// What the folder held at the start and nobody has claimed yet, by topic and number.
    unclaimed: Mutex<HashMap<(String, i32), FoundPartition>>,
    leaving: Mutex<Vec<Leaving>>,
    written: Mutex<Checkpoints>,
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

/// What the checkpoint files say, so that they are written only when that changes.
#[derive(Default, PartialEq)]
struct Checkpoints {
    of: Vec<(Arc<str>, i32, Checkpoint)>,
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
        let unclaimed = partitions
            .into_iter()
            .map(|found| ((found.topic.clone(), found.partition), found))
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
            written: Mutex::default(),
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
        let key = (topic.to_owned(), index);
        let found = self.unclaimed.lock().get(&key).cloned();
        let hints = match found {
            Some(found) if found.topic_id == Some(topic_id) => OpenHints {
                log_start: found.log_start,
                recovery_point: found.recovery_point,
                clean: self.clean,
                topic_id,
            },
            Some(_) => {
                self.doom(&[(topic, index)], now)?;
                OpenHints {
                    topic_id,
                    ..OpenHints::default()
                }
            }
            None => OpenHints {
                topic_id,
                ..OpenHints::default()
            },
        };
        let dir = self.dir.partition_dir(topic, index);
        let config = config.log_config(index);
        let (log, recovered) = Log::open(self.disk.clone(), dir, config, hints, now)?;
        self.unclaimed.lock().remove(&key);
        for cut in &recovered.cuts {
            tracing::warn!(
                "{topic}-{index} ends at offset {}: {} at byte {} of {}; what follows was never acknowledged and is kept in {}",
                cut.offset,
                cut.reason,
                cut.position,
                cut.file.display(),
                cut.kept.display()
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

    /// What the checkpoints said of a partition that could not be opened: they go on
    /// saying it, or a later start would take damage for a torn end and cut it off.
    pub(crate) fn found(&self, topic: &str, index: i32) -> Checkpoint {
        let unclaimed = self.unclaimed.lock();
        unclaimed
            .get(&(topic.to_owned(), index))
            .map_or_else(Checkpoint::default, |found| Checkpoint {
                recovery_point: found.recovery_point,
                log_start: found.log_start,
                high_watermark: found.high_watermark,
            })
    }

    /// Warns of folders that belong to no topic.
    pub(crate) fn report_strays(&self, view: &View) {
        for (topic, index) in self.unclaimed.lock().keys() {
            if view.topic(topic).is_none() {
                tracing::warn!(
                    "{} belongs to no topic of this cluster and is left alone",
                    self.dir.partition_dir(topic, *index).display()
                );
            }
        }
    }

    /// Gives the folders of a deleted topic other names at once; they are removed when
    /// `due_ms` has come.
    pub(crate) fn remove_partitions(&self, topic: &str, indexes: &[i32], due_ms: i64) {
        let names: Vec<_> = indexes.iter().map(|&index| (topic, index)).collect();
        if let Err(error) = self.doom(&names, due_ms) {
            tracing::error!("the folders of deleted topic {topic} could not be removed: {error}");
        }
    }

    /// At a start: removes what is left of a topic whose deletion was under way.
    pub(crate) fn remove_unclaimed(&self, topic: &str, topic_id: Uuid) {
        let mut indexes = Vec::new();
        self.unclaimed.lock().retain(|(name, index), found| {
            let its = name == topic && found.topic_id.is_none_or(|id| id == topic_id);
            if its {
                indexes.push(*index);
            }
            !its
        });
        if !indexes.is_empty() {
            self.remove_partitions(topic, &indexes, now_ms());
        }
    }

    fn doom(&self, names: &[(&str, i32)], due_ms: i64) -> Result<(), LogError> {
        let doomed = self.dir.doom(names)?;
        self.leaving
            .lock()
            .extend(doomed.into_iter().map(|doomed| Leaving {
                due_ms,
                what: Gone::Partition(doomed),
            }));
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

    /// Removes what is due. Blocks for as long as that takes.
    pub(crate) fn remove_due(&self, now: i64) {
        let due: Vec<_> = {
            let mut leaving = self.leaving.lock();
            let (due, rest) = leaving.drain(..).partition(|gone| gone.due_ms <= now);
            *leaving = rest;
            due
        };
        for gone in due {
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
        let (retired, log_start) = partition
            .with_log(|log| {
                log.delete_before(offset)?;
                Ok((log.maintain(now, high_watermark)?, log.log_start()))
            })?
            .map_err(|error: LogError| {
                tracing::error!("{}-{}: {error}", partition.topic, partition.index);
                ErrorCode::KafkaStorageError
            })?;
        self.retire(retired, now + delay);
        Ok(log_start)
    }

    /// Writes how far each log is on disk and where it begins, if that has changed.
    pub(crate) fn checkpoint(&self, view: &View) {
        if let Err(error) = self.write_checkpoints(view) {
            tracing::error!("the checkpoints could not be written: {error}");
        }
    }

    fn write_checkpoints(&self, view: &View) -> Result<(), LogError> {
        let mut now = Checkpoints::default();
        for partition in view.local_partitions() {
            let checkpoint = partition.checkpoint();
            if checkpoint != Checkpoint::default() {
                let topic = Arc::clone(&partition.topic);
                now.of.push((topic, partition.index, checkpoint));
            }
        }
        now.of
            .sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        // Held while writing, so that an older state never overwrites a newer one.
        let mut written = self.written.lock();
        if *written == now {
            return Ok(());
        }
        let all = || {
            now.of
                .iter()
                .map(|(topic, index, at)| (&**topic, *index, at))
        };
        self.dir
            .write_recovery_points(all().map(|(t, i, at)| (t, i, at.recovery_point)))?;
        self.dir
            .write_log_starts(all().map(|(t, i, at)| (t, i, at.log_start)))?;
        self.dir
            .write_high_watermarks(all().map(|(t, i, at)| (t, i, at.high_watermark)))?;
        *written = now;
        Ok(())
    }

    /// Makes everything durable that was written to the folder. False if it could not be.
    pub(crate) fn sync_everything(&self) -> bool {
        let synced = self.dir.sync_everything();
        if let Err(error) = &synced {
            tracing::error!("the log folder could not be synced: {error}");
        }
        synced.is_ok()
    }

    /// The last checkpoints, and the marker of a clean stop if every log was closed.
    pub(crate) fn close(&self, view: &View, clean: bool) {
        let closed = self.write_checkpoints(view).and_then(|()| {
            if clean && self.failure().is_none() {
                self.dir.mark_clean()
            } else {
                Ok(())
            }
        });
        if let Err(error) = closed {
            tracing::error!("the log folder could not be closed: {error}");
        }
    }
}
