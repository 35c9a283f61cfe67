//! Looks at the file system: expands patterns, asks for sizes and times, reads heads. What it means is
//! decided in [`scan`](super::scan).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::FileId;
use super::place::HEAD_LEN;
use super::scan::{How, Known, Seen, is_rotation_of, is_still};

/// Problems with files, each told once until it changes or is over.
#[derive(Debug, Default)]
pub struct Troubles {
    told: BTreeMap<PathBuf, Told>,
    look: u64,
    /// How many problems were told, for the closing line.
    pub count: u64,
}

#[derive(Debug)]
struct Told {
    what: String,
    /// The look in which it was last so.
    look: u64,
}

impl Troubles {
    pub fn tell(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.count += u64::from(self.mention(path, what));
    }

    /// Tells what is no problem, only worth knowing. True the first time.
    fn mention(&mut self, path: &Path, what: impl std::fmt::Display) -> bool {
        let (what, look) = (what.to_string(), self.look);
        let old = self.told.insert(path.to_owned(), Told { what, look });
        let told = &self.told[path].what;
        let new = old.is_none_or(|old| old.what != *told);
        if new {
            tracing::warn!("{}: {told}", path.display());
        }
        new
    }

    /// A look has ended: what was told of paths that nobody looks at any more is forgotten.
    fn looked(&mut self, at: &BTreeSet<PathBuf>) {
        let look = self.look;
        self.told
            .retain(|path, told| told.look == look || at.contains(path));
        self.look += 1;
    }

    pub fn over(&mut self, path: &Path) {
        if self.told.remove(path).is_some() {
            tracing::info!("{}: readable again", path.display());
        }
    }

    /// What is wrong with `path` now.
    pub fn of(&self, path: &Path) -> Option<&str> {
        self.told.get(path).map(|told| told.what.as_str())
    }
}

/// Files whose heads need not be looked at, unless they are shorter than this.
type Open = BTreeMap<FileId, u64>;

/// What earlier looks found out, so that the next need not ask again.
#[derive(Debug, Default)]
pub struct Look {
    /// Ship what is there, and wait for nothing.
    once: bool,
    /// Files that a pattern names, held back as possible copies: since when, and at which size.
    held: BTreeMap<PathBuf, (Instant, u64)>,
    /// Paths that the last look could not judge: what stood there may stand there still.
    pub unsure: BTreeSet<PathBuf>,
    pub troubles: Troubles,
}

impl Look {
    pub fn new(once: bool) -> Self {
        Self {
            once,
            ..Self::default()
        }
    }

    /// Everything that the patterns name, and whatever became of the files that are known, or that were
    /// until they `ended`.
    pub fn around(
        &mut self,
        patterns: &[String],
        known: &[Known],
        ended: &[Known],
        now: Instant,
    ) -> Vec<Seen> {
        // What was read of an open file is checked by its reads.
        let checked = known
            .iter()
            .filter(|k| k.open && k.place.position > 0 && !k.rewritten);
        let open: Open = checked.map(|k| (k.id, k.place.position)).collect();
        let mut seen = Vec::new();
        let mut paths = BTreeSet::new();
        self.unsure.clear();
        for (path, by_name) in self.expand(patterns) {
            if paths.insert(path.clone()) {
                seen.extend(self.see(path, How::Asked, by_name, &open, now));
            }
        }
        for k in known {
            if paths.insert(k.path.clone()) {
                seen.extend(self.see(k.path.clone(), How::Remembered, false, &open, now));
            }
        }
        self.held.retain(|path, _| paths.contains(path));
        let moved = moved(known, ended, &seen);
        self.find_moved(&moved, &mut paths, &mut seen, &open, now);
        self.troubles.looked(&paths);
        seen
    }

    /// Holds `path` back from now on; anew where it has grown.
    pub fn hold(&mut self, path: PathBuf, size: u64, now: Instant) {
        let held = self.held.entry(path).or_insert((now, size));
        if held.1 != size {
            *held = (now, size);
        }
    }

    /// Looks for the inodes of files that have `moved` in their folders, and with them for rotations and
    /// copies that were made unseen.
    fn find_moved(
        &mut self,
        moved: &[&Known],
        paths: &mut BTreeSet<PathBuf>,
        seen: &mut Vec<Seen>,
        open: &Open,
        now: Instant,
    ) {
        let mut folders: BTreeMap<&Path, Vec<&Known>> = BTreeMap::new();
        for k in moved {
            let folder = k.path.parent().unwrap_or(Path::new("."));
            folders.entry(folder).or_default().push(k);
        }
        for (folder, gone) in folders {
            let inodes: BTreeSet<u64> = gone.iter().map(|k| k.id.inode).collect();
            let rotation = |path: &Path| {
                let of = gone.iter().find(|k| is_rotation_of(&k.name, path));
                of.map(|k| How::RotationOf(k.name.to_path_buf()))
            };
            // It may stand where a file stood that we know.
            for s in seen.iter_mut().filter(|s| s.how == How::Remembered) {
                let here = s.path.parent() == Some(folder) && !inodes.contains(&s.id.inode);
                if let Some(how) = here.then(|| rotation(&s.path)).flatten() {
                    s.how = how;
                }
            }
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        self.troubles.tell(folder, error);
                        self.unsure.extend(gone.iter().map(|k| k.path.clone()));
                    }
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let known = inodes.contains(&entry.ino()).then_some(How::Remembered);
                let Some(how) = known.or_else(|| rotation(&path)) else {
                    continue;
                };
                if paths.insert(path.clone()) {
                    seen.extend(self.see(path, how, false, open, now));
                }
            }
        }
    }

    /// The paths that the patterns name, and whether they name them as they are.
    fn expand(&mut self, patterns: &[String]) -> Vec<(PathBuf, bool)> {
        let mut paths = Vec::new();
        for pattern in patterns {
            if !is_pattern(pattern) {
                paths.push((PathBuf::from(pattern), true));
                continue;
            }
            match glob::glob(pattern) {
                Ok(found) => {
                    for entry in found {
                        match entry {
                            Ok(path) => paths.push((path, false)),
                            Err(error) => self.troubles.tell(error.path(), error.error()),
                        }
                    }
                }
                Err(error) => self.troubles.tell(Path::new(pattern), error),
            }
        }
        paths
    }

    fn see(
        &mut self,
        path: PathBuf,
        how: How,
        by_name: bool,
        open: &Open,
        now: Instant,
    ) -> Option<Seen> {
        match try_see(&path, open) {
            Ok((meta, head)) => {
                self.troubles.over(&path);
                let held = self.held.get(&path).filter(|held| held.1 == meta.len());
                let held_for = held.map_or(Duration::ZERO, |held| now.duration_since(held.0));
                Some(Seen {
                    id: id_of(&meta),
                    size: meta.len(),
                    modified_ns: modified_ns(&meta),
                    head,
                    how,
                    held_for,
                    path,
                })
            }
            Err(Unseen::Missing) if how != How::Asked => None,
            Err(Unseen::Missing) if self.once => {
                self.troubles.tell(&path, "no such file");
                None
            }
            Err(error) => {
                let skipped = matches!(
                    error,
                    Unseen::Folder(_) | Unseen::Special | Unseen::Compressed
                );
                let missing = matches!(error, Unseen::Missing);
                // A glob may well find what has no lines; who names it by name expects them.
                if skipped && !by_name {
                    self.troubles.mention(&path, error);
                } else {
                    self.troubles.tell(&path, error);
                }
                if !missing {
                    self.unsure.insert(path);
                }
                None
            }
        }
    }
}

/// Files that are known but no longer stand, or no longer with the same bytes, where they stood: they were
/// renamed, deleted, or copied and truncated. And those after which there may have been others unseen: another
/// file stands in their place, or they were empty and are not any more.
fn moved<'a>(known: &'a [Known], ended: &'a [Known], seen: &[Seen]) -> Vec<&'a Known> {
    let by_id: BTreeMap<FileId, &Seen> = seen.iter().map(|s| (s.id, s)).collect();
    let ids: BTreeSet<FileId> = known.iter().map(|k| k.id).collect();
    let fresh: BTreeSet<&Path> = seen
        .iter()
        .filter(|s| !ids.contains(&s.id))
        .map(|s| s.path.as_path())
        .collect();
    let filled = |k: &Known, s: &Seen| k.place.head.len == 0 && s.modified_ns != k.modified_ns;
    let stands = |k: &&Known| {
        by_id
            .get(&k.id)
            .is_some_and(|s| is_still(k, s) && !filled(k, s))
    };
    known
        .iter()
        .filter(|k| !stands(k) || fresh.contains(&*k.name))
        .chain(ended)
        .collect()
}

#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("no such file yet; waiting for it")]
    Missing,
    #[error("a folder, which has no lines; name the files in it, as in {0}/*.log")]
    Folder(String),
    #[error("not a regular file; skipped")]
    Special,
    #[error("compressed; skipped, as only plain files are followed")]
    Compressed,
    #[error("permission denied; waiting until it may be read")]
    Denied,
    #[error("too many open files; raise the limit (ulimit -n)")]
    Descriptors,
    #[error("{0}")]
    Other(io::Error),
}

impl From<io::Error> for Unseen {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(24 | 23) => Self::Descriptors,
            _ if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            _ if error.kind() == io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other(error),
        }
    }
}

fn try_see(path: &Path, open: &Open) -> Result<(Metadata, Option<Vec<u8>>), Unseen> {
    let meta = std::fs::metadata(path)?;
    if meta.is_dir() {
        return Err(Unseen::Folder(path.display().to_string()));
    }
    if !meta.is_file() {
        return Err(Unseen::Special);
    }
    if is_compressed(path) {
        return Err(Unseen::Compressed);
    }
    let read = open.get(&id_of(&meta));
    if read.is_some_and(|position| meta.len() >= *position) {
        return Ok((meta, None));
    }
    let file = open_file(path)?;
    // The open file is what the head is of, whatever the path names by now.
    let meta = file.metadata()?;
    let mut head = vec![0; HEAD_LEN.min(usize::try_from(meta.len()).unwrap_or(HEAD_LEN))];
    let n = read_full(&file, &mut head, 0)?;
    head.truncate(n);
    Ok((meta, Some(head)))
}

/// Whether `pattern` has to be expanded.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[']) && !Path::new(pattern).exists()
}

fn is_compressed(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ["gz", "bz2", "xz", "zst", "lz4", "Z"].contains(&e))
}

/// Opens for reading without waiting for the other end of a pipe that has taken the file's place.
pub fn open_file(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// Reads at `offset` until `buf` is full or the file ends.
pub fn read_full(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match file.read_at(&mut buf[n..], offset + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

pub fn id_of(meta: &Metadata) -> FileId {
    FileId {
        device: meta.dev(),
        inode: meta.ino(),
    }
}

pub fn modified_ns(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}
