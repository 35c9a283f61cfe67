//! What a look at the file system means: which files are the ones we know, which were rotated, truncated,
//! copied or deleted, and which are new. Pure: what was seen comes in, changes go out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::FileId;
use super::place::Place;

/// Names a followed file within one run.
pub type Key = u64;

/// A file that is being followed.
#[derive(Debug, Clone)]
pub struct Known {
    pub key: Key,
    pub id: FileId,
    pub path: PathBuf,
    /// How far it has been read.
    pub place: Place,
    /// It is open, so its inode cannot have been used again, and its reads check its content.
    pub open: bool,
    /// Its modification time when last seen, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// A regular file that the look found.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: PathBuf,
    pub id: FileId,
    pub size: u64,
    pub modified_ns: i128,
    /// Its first bytes, at most [`HEAD_LEN`](super::place::HEAD_LEN); none if it was not opened to look.
    pub head: Option<Vec<u8>>,
    /// How it was found.
    pub how: How,
    /// Since when it has been held back as a possible copy.
    pub held_for: Option<Duration>,
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

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The file is the known one. `asked`: a pattern names it still.
    Same {
        key: Key,
        path: PathBuf,
        asked: bool,
    },
    /// The inode is the known one, the content is not: begin anew.
    Rewritten {
        key: Key,
        path: PathBuf,
        asked: bool,
    },
    /// A file not seen before; or a rotation of a known path that was made unseen.
    New {
        path: PathBuf,
        rotation_of: Option<PathBuf>,
    },
    /// It begins like a file that was rewritten in this look: if it holds all that was read of that one,
    /// go on where reading stopped.
    CopyOf { key: Key, path: PathBuf },
    /// It begins like a known file, and may be a copy that is still being made: look again later.
    Hold { path: PathBuf },
    /// No name leads to it any more.
    Gone { key: Key },
}

/// Compares what is known with what was seen. `ended` are files whose rewriting their reads noticed lately;
/// `hold` is how long a possible copy waits.
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
        let asked = s.how == How::Asked;
        let Some(k) = by_id.get(&s.id).copied().or_else(|| renumbered(known, s)) else {
            strangers.push(s);
            continue;
        };
        if !found.insert(k.key) {
            continue;
        }
        let (key, path) = (k.key, s.path.clone());
        if is_still(k, s) {
            out.push(Change::Same { key, path, asked });
        } else {
            rewritten.insert(key);
            out.push(Change::Rewritten { key, path, asked });
        }
    }
    for k in known {
        if !found.contains(&k.key) {
            out.push(Change::Gone { key: k.key });
        }
    }
    strangers.sort_by_key(|s| (s.modified_ns, s.path.clone()));
    out.extend(
        strangers
            .into_iter()
            .filter_map(|s| stranger(s, known, ended, &rewritten, hold)),
    );
    out
}

fn is_still(k: &Known, s: &Seen) -> bool {
    s.size >= k.place.position && s.head.as_ref().is_none_or(|head| k.place.head.begins(head))
}

/// Device numbers can change over a restart of the machine: path, inode and content then decide.
fn renumbered<'a>(known: &'a [Known], s: &Seen) -> Option<&'a Known> {
    let head = s.head.as_ref()?;
    known.iter().find(|k| {
        !k.open
            && k.id.inode == s.id.inode
            && k.path == s.path
            && k.place.head.len > 0
            && k.place.head.begins(head)
            && s.size >= k.place.position
    })
}

fn stranger(
    s: &Seen,
    known: &[Known],
    ended: &[Known],
    rewritten: &BTreeSet<Key>,
    hold: Duration,
) -> Option<Change> {
    let path = s.path.clone();
    match &s.how {
        How::Asked => {
            let twin = |k: &&Known| {
                k.place.head.len > 0
                    && s.head
                        .as_ref()
                        .is_some_and(|head| k.place.head.begins(head))
            };
            if let Some(k) = known
                .iter()
                .filter(|k| rewritten.contains(&k.key))
                .chain(ended)
                .filter(|k| s.size >= k.place.position)
                .find(twin)
            {
                return Some(Change::CopyOf { key: k.key, path });
            }
            let waited = s.held_for.unwrap_or_default();
            if waited < hold
                && known
                    .iter()
                    .filter(|k| !rewritten.contains(&k.key))
                    .any(|k| twin(&k))
            {
                return Some(Change::Hold { path });
            }
            Some(Change::New {
                path,
                rotation_of: None,
            })
        }
        // A rotation that happened unseen: written to after the file that we knew under this name.
        How::RotationOf(from) => known
            .iter()
            .filter(|k| &k.path == from)
            .any(|k| s.modified_ns > k.modified_ns)
            .then(|| Change::New {
                path,
                rotation_of: Some(from.clone()),
            }),
        How::Remembered => None,
    }
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
mod tests {
    use super::super::place::Mark;
    use super::*;

    const HOLD: Duration = Duration::from_secs(5);

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode }
    }

    fn known(key: Key, inode: u64, path: &str, content: &[u8]) -> Known {
        let mut place = Place::start();
        place.advance(content, content.len(), false);
        place.head = Mark::of(content);
        Known {
            key,
            id: id(inode),
            path: path.into(),
            place,
            open: false,
            modified_ns: 100,
        }
    }

    fn seen(inode: u64, path: &str, content: &[u8]) -> Seen {
        Seen {
            path: path.into(),
            id: id(inode),
            size: content.len() as u64,
            modified_ns: 200,
            head: Some(content.to_vec()),
            how: How::Asked,
            held_for: None,
        }
    }

    fn check(known: &[Known], seen: &[Seen], expected: &[Change]) {
        assert_eq!(changes(known, &[], seen, HOLD), expected);
    }

    fn same(key: Key, path: &str) -> Change {
        Change::Same {
            key,
            path: path.into(),
            asked: true,
        }
    }

    fn new(path: &str) -> Change {
        Change::New {
            path: path.into(),
            rotation_of: None,
        }
    }

    #[test]
    fn a_file_that_grew_is_the_same() {
        check(
            &[known(1, 7, "a", b"one\n")],
            &[seen(7, "a", b"one\ntwo\n")],
            &[same(1, "a")],
        );
    }

    #[test]
    fn a_rename_with_a_new_file_in_its_place() {
        check(
            &[known(1, 7, "a", b"one\n")],
            &[seen(8, "a", b"new\n"), seen(7, "a.1", b"one\n")],
            &[same(1, "a.1"), new("a")],
        );
    }

    #[test]
    fn a_shorter_file_in_the_same_inode_was_truncated() {
        let rewritten = Change::Rewritten {
            key: 1,
            path: "a".into(),
            asked: true,
        };
        check(
            &[known(1, 7, "a", b"one\ntwo\n")],
            &[seen(7, "a", b"one\n")],
            std::slice::from_ref(&rewritten),
        );
        check(
            &[known(1, 7, "a", b"one\n")],
            &[seen(7, "a", b"uno\n")],
            std::slice::from_ref(&rewritten),
        );
        check(
            &[known(1, 7, "a", b"one\n")],
            &[seen(7, "a", b"uno\ndos\n")],
            &[rewritten],
        );
    }

    #[test]
    fn a_copy_is_held_until_its_original_is_truncated() {
        let k = [known(1, 7, "a", b"one\n")];
        let hold = Change::Hold { path: "a.1".into() };
        check(
            &k,
            &[seen(7, "a", b"one\n"), seen(8, "a.1", b"one\n")],
            &[same(1, "a"), hold],
        );
        check(
            &k,
            &[seen(7, "a", b""), seen(8, "a.1", b"one\ntwo\n")],
            &[
                Change::Rewritten {
                    key: 1,
                    path: "a".into(),
                    asked: true,
                },
                Change::CopyOf {
                    key: 1,
                    path: "a.1".into(),
                },
            ],
        );
        let mut late = seen(8, "a.1", b"one\n");
        late.held_for = Some(HOLD);
        check(
            &k,
            &[seen(7, "a", b"one\n"), late],
            &[same(1, "a"), new("a.1")],
        );
    }

    #[test]
    fn two_names_of_one_file_are_one_file() {
        check(
            &[],
            &[seen(7, "link", b"x\n"), seen(7, "a", b"x\n")],
            &[new("a")],
        );
        check(
            &[known(1, 7, "link", b"x\n")],
            &[seen(7, "link", b"x\n"), seen(7, "a", b"x\n")],
            &[same(1, "link")],
        );
    }

    #[test]
    fn a_rotation_made_while_we_were_away_is_found_by_its_time() {
        let k = [known(1, 7, "a", b"one\n")];
        let rotated = |inode, path: &str, modified_ns| Seen {
            how: How::RotationOf("a".into()),
            modified_ns,
            ..seen(inode, path, b"other\n")
        };
        let mut first = seen(7, "a.2", b"one\n");
        first.how = How::Remembered;
        check(
            &k,
            &[
                seen(9, "a", b"3\n"),
                rotated(8, "a.1", 150),
                first,
                rotated(6, "a.3", 50),
            ],
            &[
                Change::Same {
                    key: 1,
                    path: "a.2".into(),
                    asked: false,
                },
                Change::New {
                    path: "a.1".into(),
                    rotation_of: Some("a".into()),
                },
                new("a"),
            ],
        );
    }

    #[test]
    fn a_new_device_number_does_not_make_a_new_file() {
        let mut s = seen(7, "a", b"one\ntwo\n");
        s.id.device = 2;
        check(&[known(1, 7, "a", b"one\n")], &[s], &[same(1, "a")]);
    }

    #[test]
    fn a_file_without_a_name_is_gone() {
        check(
            &[known(1, 7, "a", b"one\n")],
            &[],
            &[Change::Gone { key: 1 }],
        );
    }

    #[test]
    fn names_of_rotations() {
        for (name, yes) in [
            ("/l/app.log.1", true),
            ("/l/app.log-20260131", true),
            ("/l/app.log.2026-01-31T10:00", true),
            ("/l/app.log.1.gz", false),
            ("/l/app.log-errors", false),
            ("/l/app.log", false),
            ("/l/app.logs.1", false),
        ] {
            assert_eq!(
                is_rotation_of(Path::new("/l/app.log"), Path::new(name)),
                yes,
                "{name}"
            );
        }
    }
}
