//! The checkpoint: which files were shipped how far, on disk.
//!
//! One file of text, a line a file, closed by a checksum. It is replaced as a whole: written beside,
//! synced, the old one kept under another name, renamed. At whatever step the power goes, one whole
//! checkpoint is left, and a torn one is seen by its checksum and the older one taken.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::place::{Mark, Place};
use super::{FileId, Saved};

const FIRST_LINE: &str = "logship checkpoint 1";

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("another logship is shipping with the checkpoint {}; stop it, or give this one its own folder with --checkpoint-dir", .0.display())]
    InUse(PathBuf),
    #[error("{} was written by a newer logship (it begins with {found:?}); use that one, or another --checkpoint-dir", path.display())]
    Newer { path: PathBuf, found: String },
}

/// A checkpoint's files, held by this process alone.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes the checkpoint called `name` in `dir`, which is created where missing.
    pub fn open(dir: &Path, name: &str) -> Result<Self, CheckpointError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { what, path, source }
        };
        fs::create_dir_all(dir).map_err(io("create the folder", dir))?;
        let path = dir.join(format!("{name}.checkpoint"));
        let lock_path = path.with_extension("lock");
        let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
            |error| match error {
                rustix::io::Errno::WOULDBLOCK => CheckpointError::InUse(path.clone()),
                other => io("lock", &lock_path)(other.into()),
            },
        )?;
        Ok(Self { path, _lock: lock })
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    /// The newest whole checkpoint; none if there never was one. Says so where one is damaged.
    pub fn load(&self) -> Result<Option<Vec<Saved>>, CheckpointError> {
        let mut damaged = false;
        // A whole new one is only there, beside a torn or a missing one, when a save was cut short.
        for path in [self.path.clone(), self.beside("new"), self.beside("old")] {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    return Err(CheckpointError::Io {
                        what: "read",
                        path,
                        source,
                    });
                }
            };
            match decode(&bytes) {
                Ok(saved) => return Ok(Some(saved)),
                Err(Bad::Newer(found)) => return Err(CheckpointError::Newer { path, found }),
                Err(Bad::Torn) => {
                    tracing::warn!(
                        "{} is damaged; looking for the one before it",
                        path.display()
                    );
                    damaged = true;
                }
            }
        }
        if damaged {
            tracing::warn!(
                "no whole checkpoint is left: every file is shipped again from its start"
            );
        }
        // An empty list is not "never": files are then read from their start, so that nothing is lost.
        Ok(damaged.then(Vec::new))
    }

    /// Replaces the checkpoint. On an error the old one still stands.
    pub fn save(&self, saved: &[Saved]) -> Result<(), CheckpointError> {
        let new = self.beside("new");
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { what, path, source }
        };
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(encode(saved).as_bytes())?;
            file.sync_all()
        };
        write().map_err(io("write", &new))?;
        match fs::rename(&self.path, self.beside("old")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("rename", &self.path)(error));
            }
            _ => {}
        }
        fs::rename(&new, &self.path).map_err(io("replace", &self.path))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io("sync the folder", dir))
    }
}

fn encode(saved: &[Saved]) -> String {
    let mut out = format!("{FIRST_LINE}\n");
    for s in saved {
        let prefix = s
            .place
            .prefix
            .map_or_else(|| "-".to_owned(), |crc| format!("{crc:x}"));
        writeln!(
            out,
            "{} {} {} {} {} {} {:x} {} {:x} {} {} {} {}",
            s.id.device,
            s.id.inode,
            s.place.position,
            prefix,
            u8::from(s.place.skipping),
            s.place.head.len,
            s.place.head.crc,
            s.place.tail.len,
            s.place.tail.crc,
            s.modified_ns,
            s.seen_s,
            escape(&s.path),
            escape(&s.name),
        )
        .expect("a String takes everything");
    }
    let crc = crc32c::crc32c(out.as_bytes());
    writeln!(out, "crc32c {crc:08x}").expect("a String takes everything");
    out
}

#[derive(Debug, PartialEq)]
enum Bad {
    Torn,
    Newer(String),
}

fn decode(bytes: &[u8]) -> Result<Vec<Saved>, Bad> {
    let text = std::str::from_utf8(bytes).map_err(|_| Bad::Torn)?;
    let body_len = text.trim_end_matches('\n').rfind('\n').ok_or(Bad::Torn)? + 1;
    let (body, last) = text.split_at(body_len);
    if last != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err(Bad::Torn);
    }
    let mut lines = body.lines();
    match lines.next() {
        Some(FIRST_LINE) => {}
        Some(other) if other.starts_with("logship checkpoint ") => {
            return Err(Bad::Newer(other.to_owned()));
        }
        _ => return Err(Bad::Torn),
    }
    lines
        .map(|line| decode_line(line).ok_or(Bad::Torn))
        .collect()
}

fn decode_line(line: &str) -> Option<Saved> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [
        device,
        inode,
        position,
        prefix,
        skipping,
        head_len,
        head,
        tail_len,
        tail,
        modified,
        seen,
        path,
        name,
    ] = fields[..]
    else {
        return None;
    };
    let mark = |len: &str, crc: &str, max: usize| {
        let len: u32 = len.parse().ok()?;
        let crc = u32::from_str_radix(crc, 16).ok()?;
        (len as usize <= max).then_some(Mark { len, crc })
    };
    let place = Place {
        position: position.parse().ok()?,
        head: mark(head_len, head, super::place::HEAD_LEN)?,
        tail: mark(tail_len, tail, super::place::TAIL_LEN)?,
        prefix: match prefix {
            "-" => None,
            crc => Some(u32::from_str_radix(crc, 16).ok()?),
        },
        skipping: skipping == "1",
    };
    (u64::from(place.tail.len) <= place.position).then_some(Saved {
        id: FileId {
            device: device.parse().ok()?,
            inode: inode.parse().ok()?,
        },
        path: unescape(path)?,
        name: unescape(name)?,
        place,
        modified_ns: modified.parse().ok()?,
        seen_s: seen.parse().ok()?,
    })
}

/// Paths are bytes: what is not plain ASCII, a space or a backslash is written as `\xNN`.
fn escape(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'!'..=b'[' | b']'..=b'~' => out.push(char::from(*byte)),
            _ => write!(out, "\\x{byte:02x}").expect("a String takes everything"),
        }
    }
    out
}

fn unescape(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        if *first == b'\\' {
            let hex = std::str::from_utf8(more.get(1..3)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &more[3..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(position: u64) -> Saved {
        Saved {
            id: FileId {
                device: 3,
                inode: 4,
            },
            path: OsString::from_vec(b"/tmp/a b\\\xff\n.log".to_vec()).into(),
            name: "/tmp/x".into(),
            place: Place {
                position,
                head: Mark::of(b"head"),
                tail: Mark::of(b"t"),
                prefix: Some(7),
                skipping: true,
            },
            modified_ns: 1_700_000_000_123_456_789,
            seen_s: 1_700_000_000,
        }
    }

    fn folder() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "t").unwrap();
        (dir, store)
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_dir, store) = folder();
        assert_eq!(store.load().unwrap(), None);
        store.save(&[saved(10)]).unwrap();
        store.save(&[saved(11), saved(12)]).unwrap();
        assert_eq!(store.load().unwrap(), Some(vec![saved(11), saved(12)]));
    }

    #[test]
    fn every_cut_of_a_checkpoint_is_seen_as_torn() {
        let text = encode(&[saved(10), saved(20)]);
        for len in 0..text.len() {
            assert_eq!(decode(&text.as_bytes()[..len]), Err(Bad::Torn), "{len}");
        }
        assert!(decode(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_kill_at_any_step_of_a_save_leaves_a_whole_checkpoint() {
        let (dir, store) = folder();
        let old = encode(&[saved(10)]);
        let new = encode(&[saved(20)]);
        let at = |name: &str| dir.path().join(name);
        let states: [&[(&str, &str)]; 6] = [
            &[("t.checkpoint", &old), ("t.new", &new[..20])],
            &[("t.checkpoint", &old), ("t.new", &new)],
            &[("t.old", &old), ("t.new", &new)],
            &[("t.old", &old), ("t.checkpoint", &new)],
            &[("t.old", &old), ("t.checkpoint", &new[..30])],
            &[("t.old", &old[..30]), ("t.new", &new)],
        ];
        for (i, state) in states.iter().enumerate() {
            for name in ["t.checkpoint", "t.new", "t.old"] {
                let _ = fs::remove_file(at(name));
            }
            for (name, content) in *state {
                fs::write(at(name), content).unwrap();
            }
            let expected = if [2, 3, 5].contains(&i) {
                saved(20)
            } else {
                saved(10)
            };
            assert_eq!(store.load().unwrap(), Some(vec![expected]), "state {i}");
            store.save(&[saved(30)]).unwrap();
            assert_eq!(
                store.load().unwrap(),
                Some(vec![saved(30)]),
                "after state {i}"
            );
        }
    }

    #[test]
    fn with_nothing_whole_left_files_begin_at_their_start() {
        let (dir, store) = folder();
        fs::write(dir.path().join("t.checkpoint"), "garbage").unwrap();
        assert_eq!(store.load().unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_full_disk_leaves_the_old_checkpoint() {
        let (dir, store) = folder();
        store.save(&[saved(10)]).unwrap();
        // A folder in the way of the new file stands for a disk that takes no more.
        fs::create_dir(dir.path().join("t.new")).unwrap();
        let error = store.save(&[saved(20)]).unwrap_err().to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        assert_eq!(store.load().unwrap(), Some(vec![saved(10)]));
    }

    #[test]
    fn two_shippers_do_not_share_a_checkpoint() {
        let (dir, _store) = folder();
        let error = Store::open(dir.path(), "t").unwrap_err();
        assert!(matches!(error, CheckpointError::InUse(_)), "{error}");
    }

    #[test]
    fn a_newer_format_is_not_overwritten() {
        let (dir, store) = folder();
        let body = "logship checkpoint 2\nwhatever\n";
        let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
        fs::write(dir.path().join("t.checkpoint"), text).unwrap();
        assert!(matches!(store.load(), Err(CheckpointError::Newer { .. })));
    }
}
