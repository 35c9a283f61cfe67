//! From the files of an earlier run to the tree: the newest sound snapshot, the log after it, and what was torn.

use std::path::Path;

use disk::{Disk, DiskFile, Open, read_range};

use super::error::StorageError;
use super::log::Log;
use super::record::{HEADER_LEN, never_held_records, parse_header, scan};
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
    /// What was read of the log after the snapshot.
    pub(crate) replayed: Replayed,
    /// Held while the service runs.
    pub(crate) lock: D::Lock,
}

/// How much log a start had to read.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) txns: usize,
    pub(crate) files: usize,
    /// Whether the last file holds records, and so no later one vouches for their being whole.
    open_end: bool,
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
    // What a snapshot holds was committed, so the log must get there, also past a snapshot that cannot be read.
    let floor = reached.max(names.snapshots.last().copied().unwrap_or_default());
    let replayed = replay(disk, dir, &names.logs, floor, &mut tree)?;
    if tree.applied() < floor {
        return Err(StorageError::Missing {
            path: dir.to_owned(),
            after: tree.applied(),
            before: floor,
        });
    }
    let log = Log::new(
        disk.clone(),
        dir.to_owned(),
        tree.applied(),
        replayed.open_end,
    );
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

/// Applies the log to the tree, which must reach `floor`. Nothing is cut unless it does.
fn replay<D: Disk>(
    disk: &D,
    dir: &Path,
    logs: &[Zxid],
    floor: Zxid,
    tree: &mut Tree,
) -> Result<Replayed, StorageError> {
    let base = tree.applied();
    let mut replayed = Replayed::default();
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
        file.drop_cache(0)?;
        let head = read_range(&file, 0, HEADER_LEN as usize)?;
        let Some(previous) = parse_header(&head, &path)? else {
            if is_last && never_held_records(&file)? {
                // A crash came between the file's name and its header.
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
                replayed.txns += 1;
            }
        })?;
        replayed.files += 1;
        replayed.open_end = end.records > 0;
        let evidence = if !is_last {
            Some("another file follows".to_owned())
        } else if end.last < floor {
            Some(format!("a snapshot reaches up to {floor}"))
        } else {
            None
        };
        if let Some(evidence) = evidence.filter(|_| end.garbage_end > end.position) {
            let reason = format!(
                "the record after transaction {} is damaged, and {evidence}",
                end.last
            );
            return Err(StorageError::Corrupt {
                path,
                position: end.position,
                reason,
            });
        }
        if is_last && end.last >= floor {
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
        "{} cannot be read from byte {from} on, which may be a torn write that was never acknowledged: {} bytes are cut and kept in {}",
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
