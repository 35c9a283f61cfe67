//! From a ZooKeeper's files to a tree: the newest sound snapshot, and the log after it.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::jute::Fault;
use super::log::{self, Rest};
use super::snapshot::{self, Loaded};
use super::txn::{Refusal, translate};
use crate::Zxid;
use crate::tree::{ClosedSession, Origin, Tree, Txn, TxnBody};

/// What has been read.
pub(super) struct Replayed {
    pub(super) tree: Tree,
    /// The snapshot's transaction; none where the log begins at the first of all.
    pub(super) snapshot: Option<Zxid>,
    /// How many transactions of the log came after it.
    pub(super) txns: u64,
    /// The last log file and where in it a record could not be read, behind which there is nothing.
    pub(super) torn: Option<(PathBuf, u64)>,
}

/// Reads it all. `logs_named` says that someone has said where the log is, even if none is there.
pub(super) fn replay(
    snapshots: &Path,
    logs: &Path,
    logs_named: bool,
) -> Result<Replayed, ImportError> {
    let snapshot_files = files(snapshots, "snapshot")?;
    let log_files = files(logs, "log")?;
    if snapshot_files.is_empty() && log_files.is_empty() {
        return Err(ImportError::Nothing {
            path: snapshots.to_owned(),
        });
    }
    let (loaded, snapshot) = newest_sound(&snapshot_files)?;
    let Loaded { mut tree, shows } = loaded;
    if let Some(snapshot) = snapshot
        && log_files.is_empty()
        && snapshot > Zxid::ZERO
        && !logs_named
    {
        return Err(ImportError::NoLogs {
            path: logs.to_owned(),
            snapshot,
        });
    }
    // A newer snapshot that is damaged still tells how far the log must reach.
    let newest = snapshot_files.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
    let mut replayed = Replay {
        logs,
        base: tree.applied(),
        txns: 0,
        torn: None,
    };
    for (index, (first, path)) in log_files.iter().enumerate() {
        let next = log_files.get(index + 1).map(|(first, _)| *first);
        if next.is_none_or(|next| next.0 > replayed.base.0.saturating_add(1)) {
            replayed.file(*first, path, next.is_none(), &mut tree)?;
        }
    }
    let floor = shows.max(newest);
    if tree.applied() < floor {
        return Err(replayed.missing(tree.applied(), floor));
    }
    finish(&mut tree)?;
    Ok(Replayed {
        tree,
        snapshot,
        txns: replayed.txns,
        torn: replayed.torn,
    })
}

struct Replay<'a> {
    logs: &'a Path,
    /// What the snapshot holds.
    base: Zxid,
    txns: u64,
    torn: Option<(PathBuf, u64)>,
}

impl Replay<'_> {
    fn file(
        &mut self,
        first: Zxid,
        path: &Path,
        is_last: bool,
        tree: &mut Tree,
    ) -> Result<(), ImportError> {
        // Within an epoch every transaction is logged from 1 on, also one that fails. An epoch ends anywhere.
        let reached = tree.applied();
        let is_next = if first.epoch() == reached.epoch() {
            first.0 <= reached.0.saturating_add(1)
        } else {
            first < reached || first.counter() <= 1
        };
        if !is_next {
            return Err(self.missing(reached, first));
        }
        self.torn = None;
        let bytes = fs::read(path).map_err(ImportError::on(path))?;
        let end = log::scan(path, &bytes, &mut |header, mut record, position| {
            if header.zxid <= self.base {
                return Ok(());
            }
            let damaged = |reason: String| ImportError::Damaged {
                path: path.to_owned(),
                position,
                reason,
            };
            if header.zxid <= tree.applied() {
                let applied = tree.applied();
                return Err(damaged(format!(
                    "transaction {} comes after {applied}",
                    header.zxid
                )));
            }
            match translate(&header, &mut record, tree) {
                Ok(txn) => {
                    tree.apply(&txn);
                    self.txns += 1;
                    Ok(())
                }
                Err(Refusal::Fault(Fault::Bad(reason))) => Err(damaged(reason)),
                Err(Refusal::Fault(Fault::Io(error))) => Err(ImportError::on(path)(error)),
                Err(Refusal::Unfit(error)) => Err(error),
            }
        })?;
        if end.rest == Rest::Wrong && !is_last {
            return Err(ImportError::Damaged {
                path: path.to_owned(),
                position: end.position,
                reason: "a record's checksum is wrong, and another log file follows".to_owned(),
            });
        }
        if end.rest != Rest::Nothing {
            self.torn = Some((path.to_owned(), end.position));
        }
        Ok(())
    }

    /// Something is missing, perhaps behind what cannot be read.
    fn missing(&self, after: Zxid, before: Zxid) -> ImportError {
        match &self.torn {
            Some((path, position)) => ImportError::Damaged {
                path: path.clone(),
                position: *position,
                reason: format!(
                    "the record after transaction {after} cannot be read, and {before} is known to have been"
                ),
            },
            None => ImportError::Missing {
                path: self.logs.to_owned(),
                after,
                before,
            },
        }
    }
}

fn newest_sound(files: &[(Zxid, PathBuf)]) -> Result<(Loaded, Option<Zxid>), ImportError> {
    for (zxid, path) in files.iter().rev() {
        if path
            .extension()
            .is_some_and(|last| last == "gz" || last == "snappy")
        {
            return Err(ImportError::Compressed { path: path.clone() });
        }
        match snapshot::load(path, *zxid) {
            Ok(loaded) => return Ok((loaded, Some(*zxid))),
            Err(error @ ImportError::Damaged { .. }) => {
                tracing::warn!("a snapshot is passed over: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    let nothing = Loaded {
        tree: Tree::new(),
        shows: Zxid::ZERO,
    };
    Ok((nothing, None))
}

/// The files of a kind, oldest first. ZooKeeper, too, passes over what has no zxid in its name.
fn files(dir: &Path, kind: &str) -> Result<Vec<(Zxid, PathBuf)>, ImportError> {
    let on = ImportError::on(dir);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(&on)? {
        let entry = entry.map_err(&on)?;
        let name = entry.file_name();
        let mut parts = name.to_str().unwrap_or_default().split('.');
        if parts.next() == Some(kind)
            && let Some(zxid) = parts
                .next()
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        {
            files.push((Zxid(zxid), entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// What ZooKeeper does after it has read its files: ephemeral znodes without a session go. And what must hold then.
fn finish(tree: &mut Tree) -> Result<(), ImportError> {
    let closed: Vec<ClosedSession> = snapshot::orphans(tree)
        .into_iter()
        .map(|(id, paths)| ClosedSession {
            id,
            paths: paths.into_iter().collect(),
        })
        .collect();
    if !closed.is_empty() {
        let zxid = tree.applied();
        tree.apply(&Txn {
            zxid,
            time: 0,
            session: 0,
            origin: Origin::default(),
            body: TxnBody::CloseSessions(closed),
        });
    }
    // Znodes that every tree has and a very old ZooKeeper's has not.
    let mut missing = Vec::new();
    Tree::new().walk(None, &mut |node| {
        if tree.exists(&node.path).is_none() {
            missing.push(node);
        }
        true
    });
    for node in missing {
        let restored = tree.restore(node);
        debug_assert!(restored.is_ok(), "parents come first, and it was not there");
    }
    let mut without_list = None;
    tree.walk(None, &mut |node| {
        if snapshot::is_unknown(&node.acl) {
            without_list = Some(node.path);
        }
        without_list.is_none()
    });
    match without_list {
        Some(path) => Err(ImportError::Unfit {
            what: format!("znode {path:?}"),
            reason: "the snapshot does not have its access control list, nor does the log"
                .to_owned(),
        }),
        None => Ok(()),
    }
}
