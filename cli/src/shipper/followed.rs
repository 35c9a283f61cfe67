//! One file being followed: what is known of it, how far it was read, and how far it was shipped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::place::{Mark, Place};
use super::scan::{Key, Known, Sight, is_rotation_of};
use super::{FileId, Saved};

/// A file's size and modification time when its reads last found nothing.
pub type Quiet = (u64, i128);

#[derive(Debug)]
pub struct Followed {
    pub id: FileId,
    pub path: PathBuf,
    /// The path that its records carry: the one under which it was first found.
    pub name: Arc<Path>,
    pub file: Option<File>,
    /// How far it was read.
    pub read: Place,
    /// How far the sink has taken it.
    pub shipped: Place,
    /// A pattern names the path where it was found first: else its place is kept, and it is not read.
    pub wanted: bool,
    /// A pattern names it, under the path where it was found first: it will grow, and an unfinished line
    /// waits for its end.
    pub growing: bool,
    /// A name leads to it.
    pub named: bool,
    /// A read found other bytes in it than before. The next look finds out where the old ones are; until
    /// then it is not read, so that the checkpoint still tells of them.
    pub rewritten: bool,
    /// It may be a copy of a file that is being read: since when it is not read for that, nor has grown.
    pub held: Option<Instant>,
    pub size: u64,
    pub modified_ns: i128,
    pub quiet: Option<Quiet>,
    /// The last read found nothing.
    pub at_end: bool,
    /// When it last gave a line, or was found to be moved.
    pub active: Instant,
    pub seen_s: i64,
}

impl Followed {
    /// A file of which only this is known: it is not open, and no name leads to it yet.
    pub fn new(id: FileId, path: PathBuf, name: Arc<Path>, place: Place, now: Instant) -> Self {
        Self {
            id,
            path,
            name,
            file: None,
            read: place,
            shipped: place,
            wanted: true,
            growing: false,
            named: false,
            rewritten: false,
            held: None,
            size: 0,
            modified_ns: 0,
            quiet: None,
            at_end: false,
            active: now,
            seen_s: unix_s(),
        }
    }

    /// As the checkpoint has it.
    pub fn load(saved: Saved, wanted: bool, now: Instant) -> Self {
        Self {
            wanted,
            modified_ns: saved.modified_ns,
            seen_s: saved.seen_s,
            ..Self::new(saved.id, saved.path, saved.name.into(), saved.place, now)
        }
    }

    pub fn save(&self) -> Saved {
        Saved {
            id: self.id,
            path: self.path.clone(),
            name: self.name.to_path_buf(),
            place: self.shipped,
            modified_ns: self.modified_ns,
            seen_s: if self.named { unix_s() } else { self.seen_s },
        }
    }

    pub fn known(&self, key: Key, now: Instant) -> Known {
        Known {
            key,
            id: self.id,
            path: self.path.clone(),
            name: Arc::clone(&self.name),
            place: self.read,
            shipped: self.shipped,
            open: self.file.is_some(),
            rewritten: self.rewritten,
            held_for: self.held.map(|since| now.duration_since(since)),
            modified_ns: self.modified_ns,
        }
    }

    /// A look has found it. True if there is news for the checkpoint.
    pub fn found(&mut self, sight: Sight, now: Instant) -> bool {
        let grown = sight.head.filter(|head| self.begins_with(*head));
        let moved = self.path != sight.path;
        if moved {
            tracing::debug!("{} is now {}", self.path.display(), sight.path.display());
        }
        // Nothing was read of it, or of what its inode holds by now: it is what it is called.
        if self.read.position == 0 && sight.asked && !is_rotation_of(&self.name, &sight.path) {
            self.name = sight.path.as_path().into();
            self.wanted = true;
        }
        // Under another name than its first, it was rotated: whoever wrote it will leave it soon.
        let growing = sight.asked && *sight.path == *self.name;
        if self.growing && !growing {
            self.active = now;
            self.quiet = None;
        }
        self.growing = growing;
        self.named = sight.asked || self.wanted;
        self.path = sight.path;
        self.id = sight.id;
        self.size = sight.size;
        // Of an open file only a read can say whether it was still the same then.
        if sight.head.is_some() {
            self.modified_ns = sight.modified_ns;
        }
        self.seen_s = unix_s();
        moved || grown.is_some()
    }

    /// Marks more of the file's beginning. False where that is done by reading it.
    pub fn begins_with(&mut self, head: Mark) -> bool {
        let more = self.read.position == 0 && head.len > self.read.head.len;
        if more {
            (self.read.head, self.shipped.head) = (head, head);
        }
        more
    }

    /// No name leads to it any more.
    pub fn gone(&mut self, now: Instant) {
        (self.named, self.growing, self.seen_s) = (false, false, 0);
        (self.active, self.quiet) = (now, None);
    }

    pub fn has_unread(&self) -> bool {
        self.size != self.read.position
    }

    /// It was empty at the last look, for all that is known. Where no name leads to it, no look will mark it,
    /// nor can there be copies.
    pub fn is_unmarked(&self) -> bool {
        self.named && self.read.position == 0 && self.read.head.len == 0
    }

    /// It is not read before a look has found out what it is.
    pub fn waits_for_look(&self) -> bool {
        self.rewritten || (self.is_unmarked() && self.is_unfinished())
    }

    /// There are bytes of a line whose end is missing.
    pub fn is_unfinished(&self) -> bool {
        let meta = self.file.as_ref().and_then(|file| file.metadata().ok());
        meta.is_some_and(|meta| meta.len() > self.read.position)
    }
}

/// Seconds since 1970.
pub fn unix_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
