//! The files being followed: which are open, how far each was read and how far it was shipped.
//!
//! Blocking; [`ship`](super::ship) calls it between its waits. `scan` brings the set of files up to date,
//! `read` takes a batch of lines, `shipped` moves the places that a checkpoint holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::look::{Look, id_of, modified_ns, open_file};
use super::place::Place;
use super::reader::{Buffer, Name, Read, end_of, holds_all_before};
use super::scan::{Change, Key, Known, changes};
use super::sink::Line;
use super::{Begin, FileId, Saved, Settings};

/// A file that no longer exists and was never seen in this run is forgotten after a week.
const FORGET_S: i64 = 7 * 24 * 3600;

/// How long, and of how many, it is remembered that a file was written anew: a copy may still be found.
const ENDED_FOR: Duration = Duration::from_secs(60);
const ENDED: usize = 1000;

/// A file's size and modification time when its reads last found nothing.
type Quiet = (u64, i128);

#[derive(Debug)]
struct Followed {
    id: FileId,
    path: PathBuf,
    name: Name,
    file: Option<File>,
    /// How far it was read.
    read: Place,
    /// How far the sink has taken it.
    shipped: Place,
    /// A pattern names it, under the path where it was found first: it will grow, and an unfinished line
    /// waits for its end.
    growing: bool,
    /// A name leads to it.
    named: bool,
    size: u64,
    modified_ns: i128,
    quiet: Option<Quiet>,
    /// The last read found nothing.
    at_end: bool,
    /// When it last gave a line, or was found to be moved.
    active: Instant,
    seen_s: i64,
}

impl Followed {
    fn has_unread(&self) -> bool {
        self.size != self.read.position
    }

    /// There are bytes of a line whose end is missing.
    fn is_unfinished(&self) -> bool {
        let meta = self.file.as_ref().and_then(|file| file.metadata().ok());
        meta.is_some_and(|meta| meta.len() > self.read.position)
    }
}

/// Lines, and where their files will be once these are shipped.
#[derive(Debug, Default)]
pub struct Batch {
    pub lines: Vec<Line>,
    pub marks: Marks,
}

/// What [`Follower::shipped`] needs to know of a batch.
#[derive(Debug, Default)]
pub struct Marks {
    places: BTreeMap<Key, Place>,
    lines: u64,
    bytes: u64,
}

impl Batch {
    /// Nothing in it: no lines, and no place that moved.
    pub fn is_empty(&self) -> bool {
        self.marks.places.is_empty()
    }
}

/// What was counted, for the closing line and for tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub bytes: u64,
    /// Lines over the limit, of which only the beginning was shipped.
    pub cut: u64,
    /// Files that were truncated or written anew.
    pub rewritten: u64,
}

#[derive(Debug)]
pub struct Follower {
    settings: Settings,
    files: BTreeMap<Key, Followed>,
    next: Key,
    /// Where the round over the files goes on.
    turn: Key,
    /// Files that were written anew, as they were before, until when.
    ended: Vec<(Instant, Known)>,
    look: Look,
    buffer: Buffer,
    /// Files found from now on are new, and read from their start.
    scanned: bool,
    changed: bool,
    pub counts: Counts,
}

impl Follower {
    /// Follows what `settings` name, from where `saved` says; none at the very first start.
    pub fn new(settings: Settings, saved: Option<Vec<Saved>>, now: Instant) -> Self {
        let mut this = Self {
            buffer: Buffer::new(settings.line_limit),
            settings,
            files: BTreeMap::new(),
            next: 1,
            turn: 0,
            ended: Vec::new(),
            look: Look::default(),
            scanned: saved.is_some(),
            changed: false,
            counts: Counts::default(),
        };
        for s in saved.into_iter().flatten() {
            let key = this.new_key();
            this.files.insert(
                key,
                Followed {
                    id: s.id,
                    path: s.path,
                    name: s.name.into(),
                    file: None,
                    read: s.place,
                    shipped: s.place,
                    growing: false,
                    named: false,
                    size: 0,
                    modified_ns: s.modified_ns,
                    quiet: None,
                    at_end: false,
                    active: now,
                    seen_s: s.seen_s,
                },
            );
        }
        this
    }

    fn new_key(&mut self) -> Key {
        self.next += 1;
        self.next
    }

    /// Looks at the file system and follows what has changed.
    pub fn scan(&mut self, now: Instant) {
        let all: Vec<Known> = self.files.iter().map(|(key, f)| known(*key, f)).collect();
        self.ended.retain(|(until, _)| now < *until);
        let ended: Vec<Known> = self.ended.iter().map(|(_, k)| k.clone()).collect();
        let seen = self.look.around(&self.settings.patterns, &all, now);
        let hold = if self.settings.once {
            Duration::ZERO
        } else {
            self.settings.hold
        };
        for change in changes(&all, &ended, &seen, hold) {
            self.apply(change, &all, &ended, now);
        }
        let sizes: BTreeMap<&Path, u64> = seen.iter().map(|s| (s.path.as_path(), s.size)).collect();
        for f in self.files.values_mut() {
            f.size = sizes.get(f.path.as_path()).copied().unwrap_or(f.size);
        }
        self.scanned = true;
        self.close_idle(now);
        self.open_grown();
    }

    fn apply(&mut self, change: Change, known: &[Known], ended: &[Known], now: Instant) {
        match change {
            Change::Same { key, path, asked } => {
                self.found(key, path, asked, now);
            }
            Change::Rewritten { key, path, asked } => {
                self.rewritten(key, now);
                // `rewritten` gave it a new key, the last one.
                self.found(self.next, path, asked, now);
            }
            Change::New { path, rotation_of } => {
                let old = self.scanned || rotation_of.is_some();
                let begin = if old {
                    Begin::Start
                } else {
                    self.settings.begin
                };
                self.follow(path, rotation_of, now, |file| match begin {
                    Begin::Start => Ok(Place::start()),
                    Begin::End => end_of(file),
                });
            }
            Change::CopyOf { key, path } => {
                let original = known.iter().chain(ended).find(|k| k.key == key);
                let place = original.map(|k| k.place);
                self.follow(
                    path,
                    original.map(|k| k.path.clone()),
                    now,
                    |file| match place {
                        Some(place) if holds_all_before(file, &place)? => Ok(place),
                        _ => Ok(Place::start()),
                    },
                );
            }
            Change::Hold { path } => self.look.hold(path, now),
            Change::Gone { key } => {
                let Some(f) = self.files.get_mut(&key) else {
                    return;
                };
                if f.named && !self.look.unsure.contains(&f.path) {
                    (f.named, f.growing, f.active, f.seen_s) = (false, false, now, 0);
                    f.quiet = None;
                }
            }
        }
    }

    fn found(&mut self, key: Key, path: PathBuf, asked: bool, now: Instant) {
        let Some(f) = self.files.get_mut(&key) else {
            return;
        };
        if f.path != path {
            tracing::debug!("{} is now {}", f.path.display(), path.display());
            self.changed = true;
        }
        // Under another name than its first, it was rotated: whoever wrote it will leave it soon.
        let growing = asked && *path == *f.name;
        if f.growing && !growing {
            f.active = now;
            f.quiet = None;
        }
        (f.path, f.growing, f.named, f.seen_s) = (path, growing, true, unix_s());
        if let Ok(meta) = std::fs::metadata(&f.path) {
            (f.id, f.modified_ns) = (id_of(&meta), modified_ns(&meta));
        }
    }

    fn follow(
        &mut self,
        path: PathBuf,
        name: Option<PathBuf>,
        now: Instant,
        place: impl FnOnce(&File) -> std::io::Result<Place>,
    ) {
        let opened = open_file(&path).and_then(|file| {
            let meta = file.metadata()?;
            let place = place(&file)?;
            Ok((file, meta, place))
        });
        match opened {
            Ok((file, meta, place)) => {
                tracing::debug!("{}: following from byte {}", path.display(), place.position);
                let key = self.new_key();
                self.changed = true;
                let room = self.open_files() < self.settings.open_limit;
                self.files.insert(
                    key,
                    Followed {
                        id: id_of(&meta),
                        growing: name.is_none(),
                        name: name.unwrap_or_else(|| path.clone()).into(),
                        path,
                        file: room.then_some(file),
                        read: place,
                        shipped: place,
                        named: true,
                        size: meta.len(),
                        modified_ns: modified_ns(&meta),
                        quiet: None,
                        at_end: false,
                        active: now,
                        seen_s: unix_s(),
                    },
                );
            }
            Err(error) => self.look.troubles.tell(&path, error),
        }
    }

    /// The file's inode holds other bytes now: it begins anew under a new key, so that lines of the old
    /// content that are still under way do not move its place.
    fn rewritten(&mut self, key: Key, now: Instant) {
        let Some(mut f) = self.files.remove(&key) else {
            return;
        };
        tracing::info!(
            "{}: truncated or written anew; reading from its beginning",
            f.path.display()
        );
        if self.ended.len() < ENDED {
            let k = known(key, &f);
            self.ended.push((now + ENDED_FOR, k));
        }
        f.read = Place::start();
        f.shipped = f.read;
        (f.quiet, f.active) = (None, now);
        self.counts.rewritten += 1;
        self.changed = true;
        let key = self.new_key();
        self.files.insert(key, f);
    }

    /// Opens files that have something to read, and then idle ones, so that they can be read to their end
    /// even when they are deleted; as many as the limit allows.
    fn open_grown(&mut self) {
        let mut open = self.open_files();
        for idle in [false, true] {
            for f in self.files.values_mut() {
                if open >= self.settings.open_limit {
                    return;
                }
                if f.file.is_some() || !f.named || f.has_unread() == idle || (idle && !f.growing) {
                    continue;
                }
                match open_file(&f.path) {
                    // The path may name another file by now; the next look will tell.
                    Ok(file) if file.metadata().is_ok_and(|m| id_of(&m) == f.id) => {
                        f.file = Some(file);
                        f.quiet = None;
                        open += 1;
                    }
                    Ok(_) => {}
                    Err(error) => self.look.troubles.tell(&f.path, error),
                }
            }
        }
    }

    /// Closes what has been read to its end and will not grow, and idle files where others need their
    /// place; forgets those that are no more.
    fn close_idle(&mut self, now: Instant) {
        let drain = self.settings.drain;
        let wanting = self
            .files
            .values()
            .filter(|f| f.file.is_none() && f.named && f.has_unread());
        let mut wanted = wanting.count() + self.open_files();
        for f in self
            .files
            .values_mut()
            .filter(|f| f.file.is_some() && f.at_end)
        {
            let drained = !f.growing && now.duration_since(f.active) >= drain && !f.is_unfinished();
            let spare = f.named && wanted > self.settings.open_limit;
            if drained || spare {
                f.file = None;
                wanted -= 1;
            }
        }
        let now_s = unix_s();
        let before = self.files.len();
        self.files.retain(|_, f| {
            f.named || f.file.is_some() || f.read != f.shipped || now_s - f.seen_s < FORGET_S
        });
        self.changed |= before != self.files.len();
    }

    /// Takes a batch of lines, going round the files so that a busy one does not starve the others.
    pub fn read(&mut self, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let keys: Vec<Key> = self
            .files
            .range(self.turn..)
            .chain(self.files.range(..self.turn))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if bytes >= self.settings.batch_bytes || batch.lines.len() >= self.settings.batch_lines
            {
                self.turn = key;
                return batch;
            }
            bytes += self.read_one(key, now, &mut batch);
        }
        batch
    }

    fn read_one(&mut self, key: Key, now: Instant, batch: &mut Batch) -> usize {
        let Some(f) = self.files.get_mut(&key) else {
            return 0;
        };
        let Some(file) = &f.file else { return 0 };
        let meta = match file.metadata() {
            Ok(meta) => meta,
            Err(error) => {
                self.look.troubles.tell(&f.path, error);
                return 0;
            }
        };
        let state = (meta.len(), modified_ns(&meta));
        // An unfinished line becomes one when nobody is left to finish it.
        let last = self.settings.once
            || (!f.growing && now.duration_since(f.active) >= self.settings.drain);
        if f.quiet == Some(state) && !(last && state.0 > f.read.position) {
            return 0;
        }
        f.modified_ns = state.1;
        let before = f.read.position;
        let room = self.settings.batch_lines - batch.lines.len();
        match self.buffer.read(file, &mut f.read, room, last) {
            Ok(Read::Rewritten) => {
                self.rewritten(key, now);
                0
            }
            Ok(Read::Lines(lines)) if lines.is_empty() && f.read.position == before => {
                f.at_end = true;
                // A file changed this very moment may change again within the clock's step.
                f.quiet = settled(state.1).then_some(state);
                0
            }
            Ok(Read::Lines(lines)) => {
                (f.active, f.quiet, f.at_end) = (now, None, false);
                batch.marks.places.insert(key, f.read);
                let mut bytes = 0;
                for (value, cut) in lines {
                    if cut {
                        tracing::warn!(
                            "{}: a line before byte {} is longer than {} bytes; only its beginning is shipped",
                            f.path.display(),
                            f.read.position,
                            self.settings.line_limit
                        );
                        self.counts.cut += 1;
                    }
                    bytes += value.len();
                    batch.lines.push(Line {
                        path: Arc::clone(&f.name),
                        value,
                        cut,
                    });
                }
                batch.marks.lines = batch.lines.len() as u64;
                batch.marks.bytes += bytes as u64;
                bytes
            }
            Err(error) => {
                self.look.troubles.tell(&f.path, error);
                0
            }
        }
    }

    /// Whether everything that can be read has been: for `--once`.
    pub fn is_drained(&self) -> bool {
        self.files.values().all(|f| {
            f.file.is_some()
                || !f.named
                || !f.has_unread()
                || self.look.troubles.of(&f.path).is_some()
        })
    }

    /// The folders whose changes tell of rotations.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.files.values().filter_map(|f| f.path.parent())
    }

    /// How many problems with files were told.
    pub fn troubles(&self) -> u64 {
        self.look.troubles.count
    }

    /// What a checkpoint must hold, if it has changed since the last call.
    pub fn take_saved(&mut self) -> Option<Vec<Saved>> {
        std::mem::take(&mut self.changed).then(|| {
            let saved = |f: &Followed| Saved {
                id: f.id,
                path: f.path.clone(),
                name: f.name.to_path_buf(),
                place: f.shipped,
                modified_ns: f.modified_ns,
                seen_s: if f.named { unix_s() } else { f.seen_s },
            };
            self.files.values().map(saved).collect()
        })
    }

    /// The checkpoint was not written: it is still due.
    pub fn not_saved(&mut self) {
        self.changed = true;
    }

    fn open_files(&self) -> usize {
        self.files.values().filter(|f| f.file.is_some()).count()
    }

    /// The sink has taken the batch.
    pub fn shipped(&mut self, batch: &Marks) {
        for (key, place) in &batch.places {
            if let Some(f) = self.files.get_mut(key) {
                f.shipped = *place;
            }
        }
        self.counts.lines += batch.lines;
        self.counts.bytes += batch.bytes;
        self.changed = true;
    }
}

fn known(key: Key, f: &Followed) -> Known {
    Known {
        key,
        id: f.id,
        path: f.path.clone(),
        place: f.read,
        open: f.file.is_some(),
        modified_ns: f.modified_ns,
    }
}

fn unix_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Whether the modification time lies far enough back that a later write would change it.
fn settled(modified_ns: i128) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - modified_ns > 20_000_000
}
