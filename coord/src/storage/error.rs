//! What can go wrong with the files.

use std::io;
use std::path::{Path, PathBuf};

use crate::Zxid;

/// Why the storage cannot be opened, or has failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A call on a file failed; the words name the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file is damaged where it is known to have been on disk. Nothing was cut or changed.
    #[error("{} is corrupt at byte {position}: {reason}; nothing was changed", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file was written by a newer version.
    #[error("{} has format {found}, and this version reads up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is understood.
        known: u32,
    },
    /// The file was written before the format was settled.
    #[error("{} has format {found} of a time before the first release, which is read no more", path.display())]
    OlderFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A log file or its end, which must be there, is not.
    #[error("{}: transactions after {after} up to {before} are missing", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The last transaction before the gap.
        after: Zxid,
        /// The last transaction that is known to have been logged.
        before: Zxid,
    },
    /// Another process (or another service in this one) uses the folder.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl StorageError {
    /// Of a file in another format than the one that is known.
    pub(super) fn of_format(path: &Path, found: u32, known: u32) -> StorageError {
        let path = path.to_owned();
        if found > known {
            StorageError::NewerFormat { path, found, known }
        } else {
            StorageError::OlderFormat { path, found }
        }
    }

    /// Whether it is a full disk and nothing worse: nothing was written, and it may be tried again.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, StorageError::Io(error) if error.kind() == io::ErrorKind::StorageFull)
    }
}
