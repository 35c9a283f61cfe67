//! Why a ZooKeeper's data cannot be taken over. Nothing of it is ever changed.

use std::io;
use std::path::{Path, PathBuf};

use crate::{StorageError, Zxid};

/// What stands in the way of an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A call on a file or folder failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// On which.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// There is nothing of a ZooKeeper.
    #[error("{} holds no snapshot.* and no log.* of a ZooKeeper, nor does a version-2 in it; name ZooKeeper's dataDir", path.display())]
    Nothing {
        /// The folder that was named.
        path: PathBuf,
    },
    /// There is a snapshot and no log, which is nearly always a log in another folder.
    #[error("{} holds no log.*, without which snapshot {snapshot} is not whole; name zoo.cfg's dataLogDir with --logs, or, if there is no log, any empty folder", path.display())]
    NoLogs {
        /// Where logs were looked for.
        path: PathBuf,
        /// The snapshot.
        snapshot: Zxid,
    },
    /// The newest snapshot is compressed.
    #[error("{} is compressed, which is not read; start that ZooKeeper once without zookeeper.snapshot.compression.method: it then writes a plain snapshot", path.display())]
    Compressed {
        /// The snapshot.
        path: PathBuf,
    },
    /// A file is damaged.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A log file, or the end of one, is not there.
    #[error("{}: the log of the transactions after {after} up to {before} is missing", path.display())]
    Missing {
        /// Where logs were looked for.
        path: PathBuf,
        /// The last transaction before the gap.
        after: Zxid,
        /// One after it, which is known to have been.
        before: Zxid,
    },
    /// A znode or session that is sound and has no place here.
    #[error("{what}: {reason}")]
    Unfit {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
    /// The folder to write is not empty.
    #[error("{} is not empty, and an import starts a new one; name another, or move it away", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Our own files cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ImportError {
    /// For `map_err`: a call on `path` has failed.
    pub(super) fn on(path: &Path) -> impl Fn(io::Error) -> ImportError {
        move |source| ImportError::Io {
            path: path.to_owned(),
            source,
        }
    }
}
