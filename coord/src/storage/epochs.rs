//! The two epochs that a member keeps on disk, as ZooKeeper does: a number in a file each.

use std::io::ErrorKind;
use std::path::Path;

use disk::Disk;

use super::error::StorageError;

/// The newest epoch that this member has promised to follow, and the one whose history it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    pub(crate) accepted: u32,
    pub(crate) current: u32,
}

const ACCEPTED: &str = "acceptedEpoch";
const CURRENT: &str = "currentEpoch";

impl Epochs {
    /// Reads both; a file that is not there stands for 0.
    pub(crate) fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Epochs, StorageError> {
        let number = |name: &str| -> Result<u32, StorageError> {
            let path = dir.join(name);
            let bytes = match disk.read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
                read => read?,
            };
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            text.trim().parse().map_err(|_| StorageError::Corrupt {
                path,
                position: 0,
                reason: "it does not hold an epoch".to_owned(),
            })
        };
        Ok(Epochs {
            accepted: number(ACCEPTED)?,
            current: number(CURRENT)?,
        })
    }

    /// Promises an epoch and enters it, each on disk before the next.
    pub(crate) fn enter<D: Disk>(disk: &D, dir: &Path, epoch: u32) -> Result<(), StorageError> {
        disk.replace(&dir.join(ACCEPTED), format!("{epoch}\n").as_bytes())?;
        disk.replace(&dir.join(CURRENT), format!("{epoch}\n").as_bytes())?;
        Ok(())
    }
}
