//! Takes over a ZooKeeper's data: reads the snapshots and logs that ZooKeeper 3.4 to 3.9 write, and writes a folder of
//! ours with the same znodes, numbers, access control lists and sessions. Called by `milena coord import`.
//!
//! ```text
//! replay ─▶ snapshot, log ─▶ txn ─▶ tree::Tree ─▶ write ─▶ storage's snapshot
//! ```
//!
//! Nothing here writes to what it reads, knows the wire, or runs beside a service.

mod adler;
mod error;
mod jute;
mod log;
mod replay;
mod session;
mod snapshot;
mod txn;
mod write;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use disk::Disk;

pub use error::ImportError;

use crate::Zxid;
use replay::{Replayed, replay};

/// What was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Znodes, the root and `/zookeeper` with what is in it counted.
    pub znodes: usize,
    /// How many of them are ephemeral.
    pub ephemerals: usize,
    /// Sessions, which their clients can go on with.
    pub sessions: usize,
    /// The last transaction.
    pub zxid: Zxid,
    /// The snapshot that was read; none where the log alone told all.
    pub snapshot: Option<Zxid>,
    /// How many transactions of the log came after it.
    pub txns: u64,
    /// The log file, and where in it, whose last record could not be read and was left out, as a write that a crash
    /// has torn.
    pub torn: Option<(PathBuf, u64)>,
}

/// Reads the ZooKeeper whose dataDir is `data_dir`, and whose dataLogDir is `log_dir` where it has one of its own (each
/// also with the `version-2` that is in it), and writes a new folder `into`, which must be empty or not there. The
/// ZooKeeper must have been stopped. A failed import leaves no `into`.
pub fn import<D: Disk>(
    disk: &D,
    data_dir: &Path,
    log_dir: Option<&Path>,
    into: &Path,
) -> Result<Imported, ImportError> {
    write::check_empty(disk, into)?;
    let snapshots = versioned(data_dir);
    let logs = log_dir.map_or_else(|| snapshots.clone(), versioned);
    let Replayed {
        tree,
        snapshot,
        txns,
        torn,
    } = replay(&snapshots, &logs, log_dir.is_some())?;
    write::write(disk, &tree, into)?;
    Ok(Imported {
        znodes: tree.node_count(),
        ephemerals: tree.ephemeral_count(),
        sessions: tree.session_count(),
        zxid: tree.applied(),
        snapshot,
        txns,
        torn,
    })
}

/// ZooKeeper's files are in a folder of this name; someone may name it, or the one that holds it.
fn versioned(dir: &Path) -> PathBuf {
    let inner = dir.join("version-2");
    if inner.is_dir() {
        inner
    } else {
        dir.to_owned()
    }
}
