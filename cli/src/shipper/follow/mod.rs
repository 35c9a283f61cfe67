//! The files being followed: which are open, how far each was read and how far it was shipped.
//!
//! Blocking; [`ship`](super::ship) calls it between its waits. `scan` brings the set of files up to date,
//! `read` takes a batch of lines, `shipped` moves the places that a checkpoint holds.

mod batch;
mod read;

pub use batch::{Batch, Counts, Marks};

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glob::MatchOptions;

use super::followed::{Followed, unix_s};
use super::look::{Look, id_of, modified_ns, open_file};
use super::place::Place;
use super::reader::{Buffer, end_of, holds_all_before, with_head};
use super::scan::{Change, Key, Known, Seen, Sight, changes};
use super::{Begin, FileId, Saved, Settings};

/// A file that no longer exists and was never seen in this run is forgotten after a week.
const FORGET_S: i64 = 7 * 24 * 3600;

/// How long, and of how many, it is remembered that a file was written anew: a copy may still be found.
const ENDED_FOR: Duration = Duration::from_secs(60);
const ENDED: usize = 1000;

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
            files: BTreeMap::new(),
            next: 1,
            turn: 0,
            ended: Vec::new(),
            look: Look::new(settings.once),
            scanned: saved.is_some(),
            changed: false,
            counts: Counts::default(),
            settings,
        };
        for s in saved.into_iter().flatten() {
            let key = this.new_key();
            let wanted = this.wants(&s.name);
            this.files.insert(key, Followed::load(s, wanted, now));
        }
        this
    }

    /// Whether a pattern names `path`.
    fn wants(&self, path: &Path) -> bool {
        let options = MatchOptions {
            require_literal_separator: true,
            ..MatchOptions::new()
        };
        self.settings.patterns.iter().any(|pattern| {
            Path::new(pattern) == path
                || glob::Pattern::new(pattern).is_ok_and(|p| p.matches_path_with(path, options))
        })
    }

    fn new_key(&mut self) -> Key {
        self.next += 1;
        self.next
    }

    /// Looks at the file system and follows what has changed.
    pub fn scan(&mut self, now: Instant) {
        let seen = self.look(now);
        self.follow_up(&seen, now);
    }

    /// The first half of a scan: what is there.
    pub(super) fn look(&mut self, now: Instant) -> Vec<Seen> {
        self.ended.retain(|(until, _)| now < *until);
        let (known, ended) = self.known(now);
        self.look
            .around(&self.settings.patterns, &known, &ended, now)
    }

    /// The second half: what it means. The files may have moved on by now.
    pub(super) fn follow_up(&mut self, seen: &[Seen], now: Instant) {
        let (known, ended) = self.known(now);
        let hold = if self.settings.once {
            Duration::ZERO
        } else {
            self.settings.hold
        };
        for change in changes(&known, &ended, seen, hold) {
            self.apply(change, &known, &ended, now);
        }
        self.scanned = true;
        self.close_idle(now);
        self.open_grown();
    }

    fn known(&self, now: Instant) -> (Vec<Known>, Vec<Known>) {
        let known = self.files.iter().map(|(key, f)| f.known(*key, now));
        let ended = self.ended.iter().map(|(_, k)| k.clone());
        (known.collect(), ended.collect())
    }

    fn apply(&mut self, change: Change, known: &[Known], ended: &[Known], now: Instant) {
        match change {
            Change::Same { key, sight } => self.found(key, sight, now),
            Change::Rewritten { key, sight } => {
                if let Some(key) = self.rewritten(key, now) {
                    self.found(key, sight, now);
                }
            }
            Change::New {
                path,
                id,
                rotation_of,
            } => {
                let is_old = self.scanned || rotation_of.is_some();
                let begin = if is_old {
                    Begin::Start
                } else {
                    self.settings.begin
                };
                let name = rotation_of.unwrap_or_else(|| path.clone());
                let new = Followed::new(id, path, name.into(), Place::start(), now);
                let key = self.new_key();
                self.follow(key, new, |file, f| {
                    let place = match begin {
                        Begin::Start => Place::start(),
                        Begin::End => end_of(file)?,
                    };
                    f.read = with_head(file, place)?;
                    f.shipped = f.read;
                    Ok(true)
                });
            }
            Change::CopyOf {
                key,
                path,
                id,
                else_new,
            } => {
                let original = known.iter().chain(ended).find(|k| k.key == key);
                let Some(original) = original.cloned() else {
                    return;
                };
                // The copy is what its original was, so that lines of that which are still under way move
                // its place. It may be the second copy, though.
                let is_first = !self.files.contains_key(&key);
                let key = if is_first { key } else { self.new_key() };
                let mut copy = Followed::new(id, path, original.name, original.place, now);
                if is_first {
                    copy.shipped = original.shipped;
                }
                self.follow(key, copy, |file, f| {
                    let is_copy = holds_all_before(file, &original.place)?;
                    if !is_copy {
                        f.read = with_head(file, Place::start())?;
                        f.shipped = f.read;
                    }
                    Ok(is_copy || else_new)
                });
            }
            Change::Hold {
                path,
                id,
                size,
                rotation_of,
            } => match rotation_of {
                None => self.look.hold(path, size, now),
                Some(name) => self.hold(path, id, size, &name, now),
            },
            Change::Gone { key } => {
                let Some(f) = self.files.get(&key) else {
                    return;
                };
                if self.look.unsure.contains(&f.path) {
                    return;
                }
                let key = if f.rewritten {
                    self.rewritten(key, now)
                } else {
                    Some(key)
                };
                let file = key.and_then(|key| self.files.get_mut(&key));
                if let Some(f) = file.filter(|f| f.named) {
                    f.gone(now);
                }
            }
        }
    }

    fn found(&mut self, key: Key, sight: Sight, now: Instant) {
        if let Some(f) = self.files.get_mut(&key) {
            self.changed |= f.found(sight, now);
        }
    }

    /// Follows `f`, as it was seen. `begin` puts it where it is to begin; false: it is not followed.
    fn follow(
        &mut self,
        key: Key,
        mut f: Followed,
        begin: impl FnOnce(&File, &mut Followed) -> std::io::Result<bool>,
    ) {
        if !self.wants(&f.name) {
            return;
        }
        let opened = open_file(&f.path).and_then(|file| {
            let meta = file.metadata()?;
            if id_of(&meta) != f.id {
                return Err(std::io::ErrorKind::NotFound.into());
            }
            Ok((begin(&file, &mut f)?, file, meta))
        });
        f.named = true;
        match opened {
            Ok((false, ..)) => return,
            Ok((true, file, meta)) => {
                tracing::debug!(
                    "{}: following from byte {}",
                    f.path.display(),
                    f.read.position
                );
                (f.size, f.modified_ns) = (meta.len(), modified_ns(&meta));
                f.growing = *f.path == *f.name;
                if self.open_files() < self.settings.open_limit {
                    f.file = Some(file);
                }
            }
            // It was moved since it was seen: the next look finds it by its inode.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                self.look.troubles.tell(&f.path, error);
                return;
            }
        }
        self.changed = true;
        self.files
            .retain(|_, other| other.held.is_none() || other.id != f.id);
        self.files.insert(key, f);
    }

    /// Holds a rotation back that may be a copy in the making. It is known meanwhile: the next look need not
    /// search for rotations, and would not find it.
    fn hold(&mut self, path: PathBuf, id: FileId, size: u64, name: &Path, now: Instant) {
        if !self.wants(name) {
            return;
        }
        let held = self
            .files
            .iter()
            .find(|(_, f)| f.held.is_some() && f.id == id);
        let held = held.map(|(key, _)| *key);
        let key = match held {
            Some(key) => key,
            None => self.new_key(),
        };
        let f = self
            .files
            .entry(key)
            .or_insert_with(|| Followed::new(id, path.clone(), name.into(), Place::start(), now));
        if f.size != size {
            f.held = Some(now);
        }
        f.held.get_or_insert(now);
        self.changed |= f.path != path || !f.named;
        (f.path, f.size, f.named) = (path, size, true);
    }

    /// The file's inode holds other bytes now: it begins anew under a new key, so that lines of the old
    /// content that are still under way do not move its place.
    fn rewritten(&mut self, key: Key, now: Instant) -> Option<Key> {
        let mut f = self.files.remove(&key)?;
        tracing::info!(
            "{}: truncated or written anew; reading from its beginning",
            f.path.display()
        );
        if self.ended.len() < ENDED {
            self.ended.push((now + ENDED_FOR, f.known(key, now)));
        }
        f.read = Place::start();
        f.shipped = f.read;
        (f.rewritten, f.quiet, f.active) = (false, None, now);
        self.counts.rewritten += 1;
        self.changed = true;
        let key = self.new_key();
        self.files.insert(key, f);
        Some(key)
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
                if f.held.is_some()
                    || f.file.is_some()
                    || !f.named
                    || f.has_unread() == idle
                    || (idle && !f.growing)
                {
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

    /// Whether there is something that only a look can make sense of.
    pub fn wants_look(&self) -> bool {
        self.files.values().any(Followed::waits_for_look)
    }

    /// Whether everything that can be read has been: for `--once`.
    pub fn is_drained(&self) -> bool {
        self.files.values().all(|f| {
            let done = f.file.is_some() || !f.named || !f.has_unread();
            (done && !f.waits_for_look()) || self.look.troubles.of(&f.path).is_some()
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
        std::mem::take(&mut self.changed).then(|| self.files.values().map(Followed::save).collect())
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
            let ended = self.ended.iter_mut().map(|(_, k)| k);
            if let Some(f) = self.files.get_mut(key) {
                f.shipped = *place;
            } else if let Some(k) = ended.into_iter().find(|k| k.key == *key) {
                k.shipped = *place;
            }
        }
        self.counts.lines += batch.lines;
        self.counts.bytes += batch.bytes;
        self.counts.cut += batch.cut;
        self.changed = true;
    }
}
