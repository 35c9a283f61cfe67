//! What a look at the file system means: which files are the ones we know, which were rotated, truncated,
//! copied or deleted, and which are new. Pure: what was seen comes in, changes go out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::FileId;
use super::place::{Mark, Place};

/// Names a followed file within one run.
pub type Key = u64;

/// A file that is being followed.
#[derive(Debug, Clone)]
pub struct Known {
    pub key: Key,
    pub id: FileId,
    pub path: PathBuf,
    /// The path under which it was first found.
    pub name: Arc<Path>,
    /// How far it has been read.
    pub place: Place,
    /// How far the sink has taken it.
    pub shipped: Place,
    /// It is open, so its inode cannot have been used again, and its reads check its content.
    pub open: bool,
    /// A read found other bytes in it than before.
    pub rewritten: bool,
    /// For how long it has been held back as a possible copy, without growing; none if it is not. Only
    /// rotations are known while they are held.
    pub held_for: Option<Duration>,
    /// Its modification time when last seen, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// A regular file that the look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub path: PathBuf,
    pub id: FileId,
    pub size: u64,
    pub modified_ns: i128,
    /// Its first bytes, at most [`HEAD_LEN`](super::place::HEAD_LEN); none if it was not opened to look.
    pub head: Option<Vec<u8>>,
    /// How it was found.
    pub how: How,
    /// For how long it has been held back as a possible copy, without growing.
    pub held_for: Duration,
}

/// How a file came to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// A pattern names it.
    Asked,
    /// It stands where a known file stood, or is one by its inode.
    Remembered,
    /// Its name is that of a rotation of this path, from which a known file has gone.
    RotationOf(PathBuf),
}

/// Where a known file was seen, and as what. Whoever acts on it must not ask the path again: it may name
/// another file by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    pub path: PathBuf,
    pub id: FileId,
    pub size: u64,
    pub modified_ns: i128,
    /// Of its first bytes; none if these were not looked at.
    pub head: Option<Mark>,
    /// A pattern names it still.
    pub asked: bool,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The file is the known one.
    Same { key: Key, sight: Sight },
    /// The inode is the known one, the content is not: begin anew.
    Rewritten { key: Key, sight: Sight },
    /// A file not seen before; or a rotation of a known path that was made unseen.
    New {
        path: PathBuf,
        id: FileId,
        rotation_of: Option<PathBuf>,
    },
    /// It begins like a file that was rewritten: if it holds all that was read of that one, go on where
    /// shipping stopped. `else_new`: if it does not, it is a file not seen before.
    CopyOf {
        key: Key,
        path: PathBuf,
        id: FileId,
        else_new: bool,
    },
    /// It begins like a known file, and may be a copy that is still being made: look again later.
    Hold {
        path: PathBuf,
        id: FileId,
        size: u64,
        rotation_of: Option<PathBuf>,
    },
    /// No name leads to it any more.
    Gone { key: Key },
}

/// Compares what is known with what was seen. `ended` are files that were rewritten lately, as they were
/// before; `hold` is how long a possible copy waits.
pub fn changes(known: &[Known], ended: &[Known], seen: &[Seen], hold: Duration) -> Vec<Change> {
    let by_id: BTreeMap<FileId, &Known> = known.iter().map(|k| (k.id, k)).collect();
    let mut found: BTreeSet<Key> = BTreeSet::new();
    let mut taken: BTreeSet<FileId> = BTreeSet::new();
    let mut rewritten: BTreeSet<Key> = BTreeSet::new();
    let mut out = Vec::new();
    let mut strangers = Vec::new();

    // A file that several names lead to is followed once: under a name that was asked for, and that it
    // had before, if there is one.
    let mut order: Vec<&Seen> = seen.iter().collect();
    order.sort_by_key(|s| {
        let kept = by_id.get(&s.id).is_some_and(|k| k.path == s.path);
        (s.how != How::Asked, !kept, s.path.clone())
    });
    for s in order {
        if !taken.insert(s.id) {
            continue;
        }
        let Some(k) = by_id.get(&s.id).copied().or_else(|| renumbered(known, s)) else {
            strangers.push((s, None));
            continue;
        };
        if !found.insert(k.key) {
            continue;
        }
        if k.held_for.is_some() {
            strangers.push((s, Some(k)));
            continue;
        }
        let key = k.key;
        let sight = Sight {
            path: s.path.clone(),
            id: s.id,
            size: s.size,
            modified_ns: s.modified_ns,
            head: s.head.as_deref().map(Mark::of),
            asked: s.how == How::Asked,
        };
        if is_still(k, s) {
            out.push(Change::Same { key, sight });
        } else {
            rewritten.insert(key);
            out.push(Change::Rewritten { key, sight });
        }
    }
    for k in known {
        if !found.contains(&k.key) {
            if k.rewritten {
                rewritten.insert(k.key);
            }
            out.push(Change::Gone { key: k.key });
        }
    }
    strangers.sort_by_key(|(s, _)| (s.modified_ns, s.path.clone()));
    out.extend(
        strangers
            .into_iter()
            .filter_map(|(s, held)| stranger(s, held, known, ended, &rewritten, hold)),
    );
    out
}

/// Whether `s`, which has the inode of `k`, holds what was read of it.
pub fn is_still(k: &Known, s: &Seen) -> bool {
    !k.rewritten
        && s.size >= k.place.position
        && s.head.as_ref().is_none_or(|head| k.place.head.begins(head))
}

/// Device numbers can change over a restart of the machine: path, inode and content then decide.
fn renumbered<'a>(known: &'a [Known], s: &Seen) -> Option<&'a Known> {
    let head = s.head.as_ref()?;
    known.iter().find(|k| {
        !k.open
            && !k.rewritten
            && k.id.inode == s.id.inode
            && k.path == s.path
            && k.place.head.len > 0
            && k.place.head.begins(head)
            && s.size >= k.place.position
    })
}

fn stranger(
    s: &Seen,
    held: Option<&Known>,
    known: &[Known],
    ended: &[Known],
    rewritten: &BTreeSet<Key>,
    hold: Duration,
) -> Option<Change> {
    let (path, id) = (s.path.clone(), s.id);
    let rotation_of = match (held, &s.how) {
        (Some(held), _) => Some(held.name.to_path_buf()),
        (None, How::Asked) => None,
        (None, How::RotationOf(from)) => Some(from.clone()),
        (None, How::Remembered) => return None,
    };
    let is_new = match &rotation_of {
        None => true,
        // By the next look others may stand where it was told from what is older.
        Some(from) => held.is_some() || is_later(s, from, known, ended),
    };
    let held_for = held.and_then(|k| k.held_for).unwrap_or(s.held_for);
    let twin = |k: &&Known| {
        k.place.head.len > 0
            && s.head
                .as_ref()
                .is_some_and(|head| k.place.head.begins(head))
    };
    let original = known
        .iter()
        .filter(|k| rewritten.contains(&k.key))
        .chain(ended)
        .filter(|k| s.size >= k.place.position)
        .find(twin);
    if let Some(k) = original {
        return Some(Change::CopyOf {
            key: k.key,
            path,
            id,
            else_new: is_new,
        });
    }
    let mut intact = known.iter().filter(|k| !rewritten.contains(&k.key));
    if is_new && held_for < hold && intact.any(|k| twin(&k)) {
        return Some(Change::Hold {
            path,
            id,
            size: s.size,
            rotation_of,
        });
    }
    is_new.then_some(Change::New {
        path,
        id,
        rotation_of,
    })
}

/// Whether a rotation of `from` was made unseen: it was written to after the file that we knew under this
/// name, or, where none stood there, after all that came from it.
fn is_later(s: &Seen, from: &Path, known: &[Known], ended: &[Known]) -> bool {
    let all = || known.iter().chain(ended);
    let there = all().filter(|k| k.path == from).map(|k| k.modified_ns);
    let family = all().filter(|k| &*k.name == from).map(|k| k.modified_ns);
    let known = there.min().or_else(|| family.max());
    known.is_some_and(|modified_ns| s.modified_ns > modified_ns)
}

/// Whether `name` looks like what a rotation makes of `base`: `app.log.1`, `app.log-20260131`.
pub fn is_rotation_of(base: &Path, name: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let (Some(base), Some(name)) = (base.file_name(), name.file_name()) else {
        return false;
    };
    let Some(rest) = name.as_bytes().strip_prefix(base.as_bytes()) else {
        return false;
    };
    let [b'.' | b'-' | b'_', digits @ ..] = rest else {
        return false;
    };
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits
            .iter()
            .all(|c| c.is_ascii_digit() || b".-_:TZ".contains(c))
}

#[cfg(test)]
mod tests;
