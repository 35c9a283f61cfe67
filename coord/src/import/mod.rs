//! ZooKeeper's own snapshots and transaction logs (as 3.9 writes them), read into a folder of ours.
//!
//! `snapshot` and `log` read its files, `state` is what they tell of; [`import`] puts it into a snapshot of ours. Sessions
//! are not taken over, as their passwords are made of a secret that is in no file: their ephemeral znodes are left out,
//! and their clients are told that they have expired.

mod log;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use disk::Disk;

use crate::Zxid;
use crate::listener::jute::JuteError;
use crate::storage::{SnapshotWriter, StorageError};
use crate::tree::NodeRecord;
use state::State;

/// Znodes that are written at once.
const PIECE_NODES: usize = 512;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is data of ours already.
    #[error("{0} is there already: import into a folder without data, or move that one away")]
    NotEmpty(PathBuf),
    /// No snapshot and no log.
    #[error("{0} holds no snapshot.* that can be read, and no log.* from the first transaction on")]
    Nothing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A log is damaged where others follow it.
    #[error(
        "{path} is damaged at byte {position}, and logs follow it; copy the files of another member"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where.
        position: usize,
    },
    /// A file that is none of ZooKeeper's, or is not written in its usual form.
    #[error("{path} is no file that can be read: {reason}")]
    Format {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What was read cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Znodes, the root counted.
    pub znodes: usize,
    /// Ephemeral znodes that were left out.
    pub ephemerals: usize,
    /// The last transaction.
    pub zxid: Zxid,
}

/// Reads the newest sound snapshot in `snapshots` and the `logs` after it, and writes them as a new folder `into`.
pub fn import<D: Disk>(
    disk: &D,
    snapshots: &Path,
    logs: &Path,
    into: &Path,
) -> Result<Imported, ImportError> {
    if io(into, disk.exists(into))? {
        return Err(ImportError::NotEmpty(into.to_owned()));
    }
    let mut state = None;
    for (zxid, path) in files(disk, snapshots, "snapshot.")?.iter().rev() {
        match snapshot::read(&load(disk, path)?) {
            Ok(read) => {
                state = Some((*zxid, read));
                break;
            }
            Err(reason) => tracing::warn!("{} is passed over: {reason}", path.display()),
        }
    }
    let logs_found = files(disk, logs, "log.")?;
    let (from, mut state) = match state {
        Some(found) => found,
        None if logs_found
            .first()
            .is_some_and(|(first, _)| first.counter() <= 1) =>
        {
            (Zxid::ZERO, State::new())
        }
        None => return Err(ImportError::Nothing(snapshots.to_owned())),
    };
    for (at, (_, path)) in logs_found.iter().enumerate() {
        // A file whose successor begins at or before what the snapshot holds for sure has nothing new.
        let next = logs_found.get(at + 1).map(|(first, _)| *first);
        if next.is_some_and(|next| next <= from) {
            continue;
        }
        log::replay(path, &load(disk, path)?, from, &mut state, next.is_none())?;
    }
    state.zxid = state.zxid.max(from);
    let ephemerals = state.drop_ephemerals();
    write(disk, &state, into)?;
    Ok(Imported {
        znodes: state.nodes.len(),
        ephemerals,
        zxid: state.zxid,
    })
}

/// Writes the folder under another name first: a start must never find half of it.
fn write<D: Disk>(disk: &D, state: &State, into: &Path) -> Result<(), ImportError> {
    let staging = into.with_extension("importing");
    if io(&staging, disk.exists(&staging))? {
        io(&staging, disk.remove_dir_all(&staging))?;
    }
    io(&staging, disk.create_dir_all(&staging))?;
    let mut writer = SnapshotWriter::begin(disk, &staging, state.zxid)?;
    let mut piece: Vec<NodeRecord> = Vec::with_capacity(PIECE_NODES);
    for record in state.records() {
        piece.push(record);
        if piece.len() == PIECE_NODES {
            writer.nodes(&piece)?;
            piece.clear();
        }
    }
    writer.nodes(&piece)?;
    writer.finish(state.zxid)?;
    io(into, disk.rename(&staging, into))?;
    let above = into.parent().filter(|above| !above.as_os_str().is_empty());
    above.map_or(Ok(()), |above| io(above, disk.sync_dir(above)))
}

/// The files whose names begin so, by the zxid that ends them.
fn files<D: Disk>(disk: &D, dir: &Path, prefix: &str) -> Result<Vec<(Zxid, PathBuf)>, ImportError> {
    let mut all = Vec::new();
    for entry in io(dir, disk.read_dir(dir))? {
        let Some(rest) = entry.name.strip_prefix(prefix) else {
            continue;
        };
        let path = dir.join(&entry.name);
        match u64::from_str_radix(rest, 16) {
            Ok(zxid) => all.push((Zxid(zxid), path)),
            Err(_) if matches!(rest.rsplit_once('.'), Some((_, "gz" | "snappy"))) => {
                return Err(ImportError::Format {
                    path,
                    reason: "it is compressed; unpack it, or let ZooKeeper write one with \
                             snapshot.compression.method= (none)"
                        .to_owned(),
                });
            }
            Err(_) => {}
        }
    }
    all.sort();
    Ok(all)
}

fn load<D: Disk>(disk: &D, path: &Path) -> Result<Bytes, ImportError> {
    io(path, disk.read(path)).map(Bytes::from)
}

fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T, ImportError> {
    result.map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The checksum of ZooKeeper's files.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1_u32, 0_u32);
    // So many bytes cannot overflow either sum.
    for chunk in bytes.chunks(5_552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

fn because(error: JuteError) -> String {
    error.to_string()
}
