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
use super::scan::{How, Known, Seen, is_rotation_of};

/// Problems with files, each told once until it changes or is over.
#[derive(Debug, Default)]
pub struct Troubles {
    told: BTreeMap<PathBuf, String>,
    /// How many problems were told, for the closing line.
    pub count: u64,
}

impl Troubles {
    pub fn tell(&mut self, path: &Path, what: impl std::fmt::Display) {
        let what = what.to_string();
        if self.told.get(path) != Some(&what) {
            tracing::warn!("{}: {what}", path.display());
            self.told.insert(path.to_owned(), what);
            self.count += 1;
        }
    }

    pub fn over(&mut self, path: &Path) {
        if self.told.remove(path).is_some() {
            tracing::info!("{}: readable again", path.display());
        }
    }

    /// What is wrong with `path` now.
    pub fn of(&self, path: &Path) -> Option<&str> {
        self.told.get(path).map(String::as_str)
    }
}

/// What earlier looks found out, so that the next need not ask again.
#[derive(Debug, Default)]
pub struct Look {
    /// Files held back as possible copies, and since when.
    held: BTreeMap<PathBuf, Instant>,
    /// Paths that the last look could not judge: what stood there may stand there still.
    pub unsure: BTreeSet<PathBuf>,
    pub troubles: Troubles,
}

impl Look {
    /// Everything that the patterns name, and whatever became of the files that are known.
    pub fn around(&mut self, patterns: &[String], known: &[Known], now: Instant) -> Vec<Seen> {
        let open: BTreeSet<FileId> = known.iter().filter(|k| k.open).map(|k| k.id).collect();
        let mut seen = Vec::new();
        let mut paths = BTreeSet::new();
        self.unsure.clear();
        for path in self.expand(patterns) {
            if paths.insert(path.clone()) {
                seen.extend(self.see(path, How::Asked, &open, now));
            }
        }
        for k in known {
            if paths.insert(k.path.clone()) {
                seen.extend(self.see(k.path.clone(), How::Remembered, &open, now));
            }
        }
        self.held.retain(|path, _| paths.contains(path));
        self.find_moved(known, &mut paths, &mut seen, &open, now);
        seen
    }

    /// Marks `path` as held back from now on, if it is not yet.
    pub fn hold(&mut self, path: PathBuf, now: Instant) {
        self.held.entry(path).or_insert(now);
    }

    /// Files that are known but were not seen were renamed or deleted: their inodes are looked for in
    /// their folders, and with them rotations that came and went unseen.
    fn find_moved(
        &mut self,
        known: &[Known],
        paths: &mut BTreeSet<PathBuf>,
        seen: &mut Vec<Seen>,
        open: &BTreeSet<FileId>,
        now: Instant,
    ) {
        let ids: BTreeSet<FileId> = seen.iter().map(|s| s.id).collect();
        let mut missing: BTreeMap<&Path, Vec<&Known>> = BTreeMap::new();
        for k in known.iter().filter(|k| !ids.contains(&k.id)) {
            let folder = k.path.parent().unwrap_or(Path::new("."));
            missing.entry(folder).or_default().push(k);
        }
        for (folder, gone) in missing {
            let inodes: BTreeSet<u64> = gone.iter().map(|k| k.id.inode).collect();
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
                let how = if inodes.contains(&entry.ino()) {
                    How::Remembered
                } else if let Some(k) = gone.iter().find(|k| is_rotation_of(&k.path, &path)) {
                    How::RotationOf(k.path.clone())
                } else {
                    continue;
                };
                if paths.insert(path.clone()) {
                    seen.extend(self.see(path, how, open, now));
                }
            }
        }
    }

    fn expand(&mut self, patterns: &[String]) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for pattern in patterns {
            if !is_pattern(pattern) {
                paths.push(PathBuf::from(pattern));
                continue;
            }
            match glob::glob(pattern) {
                Ok(found) => {
                    for entry in found {
                        match entry {
                            Ok(path) => paths.push(path),
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
        open: &BTreeSet<FileId>,
        now: Instant,
    ) -> Option<Seen> {
        match try_see(&path, open) {
            Ok((meta, head)) => {
                self.troubles.over(&path);
                Some(Seen {
                    id: id_of(&meta),
                    size: meta.len(),
                    modified_ns: modified_ns(&meta),
                    head,
                    how,
                    held_for: self.held.get(&path).map_or(Some(Duration::ZERO), |since| {
                        Some(now.duration_since(*since))
                    }),
                    path,
                })
            }
            Err(error) => {
                let missing = matches!(error, Unseen::Missing);
                if how == How::Asked || !missing {
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

fn try_see(path: &Path, open: &BTreeSet<FileId>) -> Result<(Metadata, Option<Vec<u8>>), Unseen> {
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
    if open.contains(&id_of(&meta)) {
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
