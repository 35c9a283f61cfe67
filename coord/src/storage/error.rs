//! What can go wrong with the files.

use std::path::PathBuf;

/// Why the storage cannot be opened, or has failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A call on a file failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
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
    /// A file that must be there is not.
    #[error("{}: transactions after {after} up to {before} are missing", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The last transaction before the gap.
        after: crate::Zxid,
        /// The first transaction after it.
        before: crate::Zxid,
    },
}
