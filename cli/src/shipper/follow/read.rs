//! Reading: a batch of lines from wherever there are some.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::look::modified_ns;
use super::super::reader::Read;
use super::super::scan::Key;
use super::super::sink::Line;
use super::{Batch, Follower};

impl Follower {
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
        let Some(file) = f.file.as_ref().filter(|_| !f.rewritten) else {
            return 0;
        };
        let meta = match file.metadata() {
            Ok(meta) => meta,
            Err(error) => {
                self.failed(key, &error);
                return 0;
            }
        };
        let state = (meta.len(), modified_ns(&meta));
        // A look marks its head before the first read. Without a mark, a read would take what it holds by
        // now for all that it ever held, and its new time would hide what was copied and truncated since.
        if f.is_unmarked() {
            f.at_end = state.0 == 0;
            return 0;
        }
        // An unfinished line becomes one when nobody is left to finish it.
        let last = self.settings.once
            || (!f.growing && now.duration_since(f.active) >= self.settings.drain);
        if f.quiet == Some(state) && !(last && state.0 > f.read.position) {
            return 0;
        }
        let before = f.read.position;
        let room = self.settings.batch_lines - batch.lines.len();
        match self.buffer.read(file, &mut f.read, room, last) {
            Ok(Read::Rewritten) => {
                f.rewritten = true;
                0
            }
            Ok(Read::Lines(lines)) if lines.is_empty() && f.read.position == before => {
                (f.at_end, f.modified_ns) = (true, state.1);
                // A file changed this very moment may change again within the clock's step.
                f.quiet = settled(state.1).then_some(state);
                0
            }
            Ok(Read::Lines(lines)) => {
                (f.active, f.quiet, f.at_end) = (now, None, false);
                f.modified_ns = state.1;
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
                        batch.marks.cut += 1;
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
                self.failed(key, &error);
                0
            }
        }
    }

    /// A file cannot be read through its handle: another may do better, while a name leads to it.
    fn failed(&mut self, key: Key, error: &std::io::Error) {
        if let Some(f) = self.files.get_mut(&key) {
            self.look.troubles.tell(&f.path, error);
            if f.named {
                f.file = None;
            }
        }
    }
}

/// Whether the modification time lies far enough back that a later write would change it.
fn settled(modified_ns: i128) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX) - modified_ns > 20_000_000
}
