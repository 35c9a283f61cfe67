//! What can go wrong with a partition's log.

use std::io;
use std::path::{Path, PathBuf};

/// An error of a [`Log`](super::Log), by what its caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The offset asked for is not in the log: OFFSET_OUT_OF_RANGE.
    #[error("offset {offset} is not in the log, which holds [{start}, {end})")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset of the log.
        start: i64,
        /// Offset past the last.
        end: i64,
    },
    /// The disk is full: nothing was appended, and it may be tried again.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// Bytes that were on disk before the last stop are not what was written. The partition goes
    /// offline; nothing has been cut.
    #[error(
        "{} is corrupt at byte {position} (offset {offset}): {reason}. Nothing was cut; restore the file from a replica or a backup, or, to give up what follows offset {offset}, stop the broker and set this partition's offset in recovery-point-offset-checkpoint to {offset}",
        file.display()
    )]
    Corrupt {
        /// The segment file.
        file: PathBuf,
        /// Where in it the first bad batch begins.
        position: u64,
        /// The offset that was expected there.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
    /// A file beside the segments cannot be read.
    #[error("{} is not understood: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed. If a write or a sync failed it is final; see [`disk::Health`].
    #[error(transparent)]
    Disk(io::Error),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            LogError::Full(error)
        } else {
            LogError::Disk(error)
        }
    }
}

impl LogError {
    pub(super) fn malformed(file: &Path, reason: impl Into<String>) -> LogError {
        LogError::Malformed {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}
