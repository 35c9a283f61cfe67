//! What is on disk: the transaction log, snapshots and the epochs, in one folder.
//!
//! Not here: what a transaction means (`tree`), and who decides that one is committed (`service`). The log thread owns
//! the [`Log`], the snapshot thread writes snapshots and purges, and [`open`] reads it all back at the start.
//!
//! Names are ZooKeeper's: `log.ZXID` with the first transaction in it, `snapshot.ZXID` with the last that it holds for
//! sure, `acceptedEpoch`, `currentEpoch`; and `log.ZXID.torn` for what was cut off a log's end after a crash.

mod codec;
mod epochs;
mod error;
mod log;
mod record;
mod recovery;
mod snapshot;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

use disk::Disk;

pub(crate) use codec::encode_txn;
pub(crate) use epochs::Epochs;
pub use error::StorageError;
pub(crate) use log::{Entry, FILES_MAX, Log};
pub(crate) use recovery::{Opened, open};
pub(crate) use snapshot::{PIECE_BYTES, SnapshotWriter, TEMPORARY};

use crate::Zxid;

/// The files of a folder, each sort in order.
struct Names {
    logs: Vec<Zxid>,
    snapshots: Vec<Zxid>,
    torn: Vec<(String, Zxid)>,
}

fn names<D: Disk>(disk: &D, dir: &Path) -> Result<Names, StorageError> {
    let mut names = Names {
        logs: Vec::new(),
        snapshots: Vec::new(),
        torn: Vec::new(),
    };
    let zxid = |hex: &str| {
        let number = u64::from_str_radix(hex, 16)
            .ok()
            .filter(|_| hex.len() == 16)?;
        Some(Zxid(number))
    };
    for entry in disk.read_dir(dir)? {
        if let Some(rest) = entry.name.strip_prefix("log.") {
            if let Some(first) = rest.strip_suffix(".torn").and_then(zxid) {
                names.torn.push((entry.name.clone(), first));
            }
            names.logs.extend(zxid(rest));
        } else if let Some(rest) = entry.name.strip_prefix("snapshot.") {
            names.snapshots.extend(zxid(rest));
        }
    }
    names.logs.sort_unstable();
    names.snapshots.sort_unstable();
    Ok(names)
}

fn log_name(first: Zxid) -> String {
    format!("log.{:016x}", first.0)
}

fn snapshot_name(zxid: Zxid) -> String {
    format!("snapshot.{:016x}", zxid.0)
}

fn torn_name(first: Zxid) -> String {
    format!("{}.torn", log_name(first))
}
