//! The folder that holds the logs of a node: its lock, whose it is, the marker of a clean stop,
//! the offset checkpoints, and one folder for each partition.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use disk::Disk;
use parking_lot::Mutex;
use uuid::Uuid;

use super::checkpoint::{self, Offsets};
use super::error::LogError;
use super::partition_metadata;

const LOCK: &str = ".lock";
const META: &str = "meta.properties";
const CLEAN: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const DELETED: &str = "-delete";

/// The format of what Milena writes into a log directory.
const FORMAT: u32 = 1;

/// Longest name of a folder on the file systems in use.
const NAME_MAX: usize = 255;

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error("{} is in use by another process; stop that one, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// A newer Milena has written it.
    #[error("{} has format {found}, and this version knows up to {FORMAT}; run the newer version that wrote it", file.display())]
    NewerFormat {
        /// The file that says so.
        file: PathBuf,
        /// What it says.
        found: u32,
    },
    /// A file in it is not understood, or the disk failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<io::Error> for LogDirError {
    fn from(error: io::Error) -> Self {
        LogDirError::Log(error.into())
    }
}

/// Whose a log directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The cluster's id.
    pub cluster_id: String,
    /// The broker's id.
    pub broker_id: i32,
}

/// A partition's folder, and what the checkpoints say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The topic's id as `partition.metadata` has it; `None` if the folder was left before anything
    /// in it was acknowledged.
    pub topic_id: Option<Uuid>,
    /// First offset that may be read.
    pub log_start: i64,
    /// Everything below was on disk.
    pub recovery_point: i64,
}

/// What a log directory held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whose it is; `None` if it is new.
    pub meta: Option<Meta>,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// The partitions' folders, by name.
    pub partitions: Vec<FoundPartition>,
    /// Folders of deleted partitions, to be removed in the background.
    pub doomed: Vec<Doomed>,
    /// What the checkpoints speak of and has no folder, by name: it was deleted, and a crash came
    /// before it was struck.
    pub gone: Vec<(String, i32)>,
}

/// Whose a partition's folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// There is none.
    NoFolder,
    /// It holds no topic's id.
    Nobody,
    /// The topic's of this id.
    Topic(Uuid),
}

/// From [`FoundPartition::topic_id`].
impl From<Option<Uuid>> for Owner {
    fn from(id: Option<Uuid>) -> Self {
        id.map_or(Self::Nobody, Self::Topic)
    }
}

impl Found {
    /// The hints for opening a partition's log.
    #[cfg(test)]
    pub(crate) fn hints(&self, partition: &FoundPartition, topic_id: Uuid) -> super::OpenHints {
        super::OpenHints {
            log_start: partition.log_start,
            recovery_point: partition.recovery_point,
            clean: self.clean,
            topic_id,
        }
    }
}

/// A folder of a deleted partition: it has another name already, and only takes room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doomed {
    path: PathBuf,
}

/// The log directory, locked while this lives, or until [`LogDir::unlock`].
pub(crate) struct LogDir<D: Disk> {
    disk: D,
    path: PathBuf,
    lock: Mutex<Option<D::Lock>>,
}

impl<D: Disk> LogDir<D> {
    /// Locks and reads the folder, making it if need be. The marker of a clean stop is taken away
    /// before this returns, so that a crash from now on is known.
    ///
    /// # Errors
    /// [`LogDirError::InUse`], [`LogDirError::NewerFormat`], or a file that is not understood.
    pub(crate) fn open(disk: D, path: &Path) -> Result<(LogDir<D>, Found), LogDirError> {
        // Of each folder that is made, the one above holds the name.
        let mut holders = Vec::new();
        for path in path.ancestors() {
            if path.as_os_str().is_empty() || disk.exists(path)? {
                break;
            }
            let above = path.parent().filter(|above| !above.as_os_str().is_empty());
            holders.push(above.unwrap_or(Path::new(".")));
        }
        disk.create_dir_all(path)?;
        for holder in holders {
            disk.sync_dir(holder)?;
        }
        let Some(lock) = disk.lock(&path.join(LOCK))? else {
            return Err(LogDirError::InUse(path.to_owned()));
        };
        let dir = LogDir {
            disk,
            path: path.to_owned(),
            lock: Mutex::new(Some(lock)),
        };
        let meta = dir.read_meta()?;
        let clean = dir.disk.exists(&path.join(CLEAN))?;
        let mut found = Found {
            meta,
            clean,
            partitions: Vec::new(),
            doomed: Vec::new(),
            gone: Vec::new(),
        };
        dir.list(&mut found)?;
        if clean {
            dir.disk.remove(&path.join(CLEAN))?;
            dir.disk.sync_dir(path)?;
        }
        Ok((dir, found))
    }

    fn list(&self, found: &mut Found) -> Result<(), LogDirError> {
        let starts = self.checkpoint(LOG_STARTS)?;
        let recovery_points = self.checkpoint(RECOVERY_POINTS)?;
        for entry in self.disk.read_dir(&self.path)? {
            if !entry.is_dir {
                continue;
            }
            if entry.name.ends_with(DELETED) {
                let path = self.path.join(&entry.name);
                found.doomed.push(Doomed { path });
                continue;
            }
            let Some((topic, partition)) = split_name(&entry.name) else {
                continue;
            };
            let topic_id = partition_metadata::read(&self.disk, &self.path.join(&entry.name))?;
            let key = (topic.to_owned(), partition);
            let of = |offsets: &Offsets| offsets.get(&key).copied().unwrap_or(0).max(0);
            found.partitions.push(FoundPartition {
                topic_id,
                log_start: of(&starts),
                recovery_point: of(&recovery_points),
                topic: key.0,
                partition,
            });
        }
        let there: BTreeSet<_> = found
            .partitions
            .iter()
            .map(|found| (found.topic.as_str(), found.partition))
            .collect();
        let named: BTreeSet<_> = starts
            .into_keys()
            .chain(recovery_points.into_keys())
            .collect();
        found.gone = named
            .into_iter()
            .filter(|(topic, partition)| !there.contains(&(topic.as_str(), *partition)))
            .collect();
        Ok(())
    }

    /// The folder of a partition's log.
    pub(crate) fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        self.path.join(format!("{topic}-{partition}"))
    }

    fn checkpoint(&self, name: &str) -> Result<Offsets, LogError> {
        checkpoint::read(&self.disk, &self.path.join(name))
    }

    fn write<'a>(
        &self,
        name: &str,
        offsets: impl IntoIterator<Item = (&'a str, i32, i64)>,
    ) -> Result<(), LogError> {
        Ok(checkpoint::write(
            &self.disk,
            &self.path.join(name),
            offsets,
        )?)
    }

    /// Checkpoints the flushed offset of each log, as topic, partition and
    /// [`Log::recovery_point`](super::Log::recovery_point).
    pub(crate) fn write_recovery_points<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a str, i32, i64)>,
    ) -> Result<(), LogError> {
        self.write(RECOVERY_POINTS, offsets)
    }

    /// Checkpoints the first offset of each log.
    pub(crate) fn write_log_starts<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a str, i32, i64)>,
    ) -> Result<(), LogError> {
        self.write(LOG_STARTS, offsets)
    }

    /// Makes everything durable that was written to the folder's file system.
    pub(crate) fn sync_everything(&self) -> Result<(), LogError> {
        Ok(self.disk.sync_everything(&self.path)?)
    }

    /// Says that this was a clean stop. The logs are closed and the checkpoints written before.
    pub(crate) fn mark_clean(&self) -> Result<(), LogError> {
        Ok(self.disk.replace(&self.path.join(CLEAN), b"version: 0\n")?)
    }

    /// Writes whose the folder is.
    pub(crate) fn write_meta(&self, meta: &Meta) -> Result<(), LogError> {
        let Meta {
            cluster_id,
            broker_id,
        } = meta;
        let text = format!(
            "version=0\nbroker.id={broker_id}\ncluster.id={cluster_id}\nmilena.format={FORMAT}\n"
        );
        Ok(self.disk.replace(&self.path.join(META), text.as_bytes())?)
    }

    fn read_meta(&self) -> Result<Option<Meta>, LogDirError> {
        let file = self.path.join(META);
        let Some(text) = self.disk.read_if_there(&file)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&text);
        let value = |key: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.split_once('=').filter(|&(k, _)| k.trim() == key))
        };
        let number = |key: &str| value(key).and_then(|(_, value)| value.trim().parse().ok());
        let malformed = |what: &str| LogError::malformed(&file, format!("it has no {what}"));
        let found = number("milena.format").ok_or_else(|| malformed("milena.format"))?;
        if found > FORMAT {
            return Err(LogDirError::NewerFormat { file, found });
        }
        let broker_id = number("broker.id").ok_or_else(|| malformed("broker.id"))?;
        let (_, cluster_id) = value("cluster.id").ok_or_else(|| malformed("cluster.id"))?;
        Ok(Some(Meta {
            cluster_id: cluster_id.trim().to_owned(),
            broker_id: i32::try_from(broker_id).map_err(|_| malformed("broker.id in range"))?,
        }))
    }

    /// Whose the partition's folder is.
    pub(crate) fn owner(&self, topic: &str, partition: i32) -> Result<Owner, LogError> {
        let dir = self.partition_dir(topic, partition);
        if !self.disk.exists(&dir)? {
            return Ok(Owner::NoFolder);
        }
        Ok(partition_metadata::read(&self.disk, &dir)?.into())
    }

    /// What is wrong with a folder without a topic's id, though it held records.
    pub(crate) fn nameless(&self, topic: &str, partition: i32) -> LogError {
        LogError::malformed(
            &partition_metadata::path(&self.partition_dir(topic, partition)),
            "it holds no topic id, but records of the partition were on disk. Restore it from a backup, or, to give the records up, move the folder away",
        )
    }

    /// Gives the folders of deleted partitions another name, durably, so that a topic of the same
    /// name starts anew. Their contents are still to be removed, with [`LogDir::remove`], once
    /// their readers are gone; those of the folders in `doomed`, also when this fails.
    ///
    /// The checkpoints are not touched: the caller writes them without these partitions before
    /// anything is written under the same name.
    pub(crate) fn doom(
        &self,
        partitions: &[(&str, i32)],
        doomed: &mut Vec<Doomed>,
    ) -> Result<(), LogError> {
        let mut failed = None;
        let before = doomed.len();
        for &(topic, partition) in partitions {
            let from = self.partition_dir(topic, partition);
            let suffix = format!("-{partition}.{}{DELETED}", Uuid::new_v4().simple());
            let kept = topic.len().min(NAME_MAX - suffix.len());
            let path = self.path.join(format!("{}{suffix}", &topic[..kept]));
            match self.disk.rename(&from, &path) {
                Ok(()) => doomed.push(Doomed { path }),
                // It had no records, and so no folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if doomed.len() > before {
            self.disk.sync_dir(&self.path)?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Removes the contents of a deleted partition. May take long.
    pub(crate) fn remove(&self, doomed: Doomed) -> io::Result<()> {
        self.disk.remove_dir_all(&doomed.path)
    }

    /// Gives the folder back to whoever wants it next. Nothing may be written to it after this.
    pub(crate) fn unlock(&self) {
        *self.lock.lock() = None;
    }
}

/// The topic and partition that a folder's name says.
fn split_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let number: i32 = partition.parse().ok()?;
    let is_plain = number >= 0 && partition == number.to_string();
    (is_plain && !topic.is_empty()).then_some((topic, number))
}
