//! From the files of an earlier run to the tree: the newest sound snapshot, the log after it, and what was torn.

use std::path::Path;

use disk::{Disk, DiskFile, Open, read_range};

use super::error::StorageError;
use super::log::Log;
use super::record::{HEADER_LEN, holds_records, parse_header, scan};
use super::snapshot::{self, Loaded, TEMPORARY};
use super::{Epochs, Names, log_name, names, torn_name};
use crate::Zxid;
use crate::tree::Tree;

/// The service's folder, locked and read.
pub(crate) struct Opened<D: Disk> {
    /// Everything that was committed before.
    pub(crate) tree: Tree,
    /// The log, which goes on after the tree's last transaction.
    pub(crate) log: Log<D>,
    /// The epochs of the earlier runs.
    pub(crate) epochs: Epochs,
    /// Transactions replayed from the log: those after the snapshot.
    pub(crate) replayed: usize,
    /// Held while the service runs.
    pub(crate) lock: D::Lock,
}

/// Opens a folder, making it if need be, and brings back what is in it.
pub(crate) fn open<D: Disk>(disk: &D, dir: &Path) -> Result<Opened<D>, StorageError> {
    disk.create_dir_all(dir)?;
    // The folder's own name must last as long as what is acked in it.
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        disk.sync_dir(above)?;
    }
    let lock = disk
        .lock(&dir.join("lock"))?
        .ok_or_else(|| StorageError::InUse {
            path: dir.to_owned(),
        })?;
    let epochs = Epochs::read(disk, dir)?;
    if disk.exists(&dir.join(TEMPORARY))? {
        disk.remove(&dir.join(TEMPORARY))?;
    }
    let names = names(disk, dir)?;
    let Loaded { mut tree, reached } = newest_sound_snapshot(disk, dir, &names);
    let replayed = replay(disk, dir, &names.logs, &mut tree)?;
    if tree.applied() < reached {
        return Err(StorageError::Missing {
            path: dir.to_owned(),
            after: tree.applied(),
            before: reached,
        });
    }
    let log = Log::new(disk.clone(), dir.to_owned(), tree.applied());
    Ok(Opened {
        tree,
        log,
        epochs,
        replayed,
        lock,
    })
}

/// The newest snapshot that can be read, or the tree before the first transaction. A damaged one is told and passed
/// over: the log is kept back to the oldest, and if it does not reach, that is an error of the replay.
fn newest_sound_snapshot<D: Disk>(disk: &D, dir: &Path, names: &Names) -> Loaded {
    for zxid in names.snapshots.iter().rev() {
        match snapshot::load(disk, dir, *zxid) {
            Ok(loaded) => return loaded,
            Err(error) => tracing::error!("a snapshot is passed over: {error}"),
        }
    }
    Loaded {
        tree: Tree::new(),
        reached: Zxid::ZERO,
    }
}

fn replay<D: Disk>(
    disk: &D,
    dir: &Path,
    logs: &[Zxid],
    tree: &mut Tree,
) -> Result<usize, StorageError> {
    let base = tree.applied();
    let mut replayed = 0;
    // What the files so far have reached, once the first that matters was found.
    let mut reached: Option<Zxid> = None;
    for (index, first) in logs.iter().enumerate() {
        // A file whose successor starts at or below the base holds nothing new.
        if logs
            .get(index + 1)
            .is_some_and(|next| next.0 <= base.0.saturating_add(1))
        {
            continue;
        }
        let is_last = index + 1 == logs.len();
        let path = dir.join(log_name(*first));
        let file = disk.open(&path, if is_last { Open::Write } else { Open::Read })?;
        // What a failed sync left in memory only must not be taken for what is on disk.
        file.drop_cache()?;
        let head = read_range(&file, 0, HEADER_LEN as usize)?;
        let Some(previous) = parse_header(&head, &path)? else {
            if is_last && !holds_records(&file)? {
                // A crash came between the file's name and its header: nothing was ever in it.
                drop(file);
                disk.remove(&path)?;
                disk.sync_dir(dir)?;
                break;
            }
            let reason = "the file's header is damaged".to_owned();
            return Err(StorageError::Corrupt {
                path,
                position: 0,
                reason,
            });
        };
        let gap = |after| StorageError::Missing {
            path: dir.to_owned(),
            after,
            before: previous,
        };
        let reached_before = reached.unwrap_or(base);
        if previous > base && previous != reached_before {
            return Err(gap(reached_before));
        }
        let end = scan(&file, &path, previous, &mut |txn| {
            if txn.zxid > base {
                tree.apply(&txn);
                replayed += 1;
            }
        })?;
        if end.garbage_end > end.position && !is_last {
            let reason = format!(
                "the record after transaction {} is damaged, and another file follows",
                end.last
            );
            return Err(StorageError::Corrupt {
                path,
                position: end.position,
                reason,
            });
        }
        if is_last {
            if end.garbage_end > end.position {
                set_aside(disk, dir, *first, &file, end.position, end.garbage_end)?;
            }
            file.set_len(end.position)?;
            // Before anything in it is relied on: a crash may have kept it in memory only.
            file.sync()?;
            disk.sync_dir(dir)?;
        }
        reached = Some(end.last);
    }
    Ok(replayed)
}

/// Keeps what is about to be cut, for someone who wants to look at it.
fn set_aside<D: Disk>(
    disk: &D,
    dir: &Path,
    first: Zxid,
    file: &D::File,
    from: u64,
    to: u64,
) -> Result<(), StorageError> {
    let path = dir.join(torn_name(first));
    let torn = read_range(file, from, (to - from) as usize)?;
    tracing::warn!(
        "{} ends in a torn write at byte {from}, which was never acknowledged: {} bytes are cut and kept in {}",
        log_name(first),
        torn.len(),
        path.display()
    );
    match disk.replace(&path, &torn) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            tracing::warn!("no room to keep them");
            Ok(())
        }
        done => Ok(done?),
    }
}
