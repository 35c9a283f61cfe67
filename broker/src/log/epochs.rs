//! Which leader epoch began at which offset, and the `leader-epoch-checkpoint` that keeps it.
//!
//! The file is written at a roll and at a clean stop. What began in the last segment is found
//! again by recovery, in that segment's batches or in its mark.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

use super::checkpoint::{Lines, number};
use super::error::LogError;

const FILE: &str = "leader-epoch-checkpoint";
const STAGED: &str = "leader-epoch-checkpoint.tmp";

/// Leader epochs and their first offsets, both strictly ascending.
#[derive(Debug, Default)]
pub(super) struct LeaderEpochs {
    entries: Vec<(i32, i64)>,
    /// Whether the file says something else.
    changed: bool,
    /// Whether the new contents lie beside the file.
    staged: bool,
}

impl LeaderEpochs {
    /// Reads the file in a partition's folder; none is an empty history.
    pub(super) fn load<D: Disk>(disk: &D, dir: &Path) -> Result<LeaderEpochs, LogError> {
        let path = dir.join(FILE);
        let text = match disk.read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let mut epochs = LeaderEpochs::default();
        for line in Lines::parse(&path, &text)? {
            let mut words = line.split(' ');
            let entry = number(words.next()).zip(number(words.next()));
            let (epoch, start) = entry
                .ok_or_else(|| LogError::malformed(&path, format!("\"{line}\" is no epoch")))?;
            epochs.begin(epoch, start);
        }
        epochs.changed = false;
        Ok(epochs)
    }

    /// Writes the file if anything has changed since; durable once the folder is synced. Tells
    /// whether it was written.
    pub(super) fn save<D: Disk>(&mut self, disk: &D, dir: &Path) -> io::Result<bool> {
        let written = self.changed;
        if written {
            disk.replace_later(&dir.join(FILE), self.text().as_bytes())?;
            self.changed = false;
            self.staged = false;
        }
        Ok(written)
    }

    /// Writes the new contents beside the file, if anything has changed, and tells where. They are
    /// to be synced before [`LeaderEpochs::finish`] gives them the file's name.
    pub(super) fn stage<D: Disk>(&mut self, disk: &D, dir: &Path) -> io::Result<Option<PathBuf>> {
        if !self.changed {
            return Ok(None);
        }
        let path = dir.join(STAGED);
        let file = disk.open(&path, Open::Create)?;
        file.overwrite(self.text().as_bytes())?;
        self.staged = true;
        Ok(Some(path))
    }

    /// Gives what was staged the file's name.
    pub(super) fn finish<D: Disk>(&mut self, disk: &D, dir: &Path) -> io::Result<()> {
        if self.staged {
            disk.rename(&dir.join(STAGED), &dir.join(FILE))?;
            self.changed = false;
            self.staged = false;
        }
        Ok(())
    }

    /// Whether the file is to be written.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    fn change(&mut self) {
        self.changed = true;
        self.staged = false;
    }

    fn text(&self) -> String {
        let entries = self.entries.iter();
        Lines::format(entries.map(|(epoch, start)| format!("{epoch} {start}")))
    }

    /// The newest epoch, if there is one.
    pub(super) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// Notes that `epoch` begins at `start`; nothing if it has begun already.
    pub(super) fn begin(&mut self, epoch: i32, start: i64) {
        if epoch < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        // An epoch in which nothing was appended gives its place to the next.
        while self
            .entries
            .last()
            .is_some_and(|&(_, begun)| begun >= start)
        {
            self.entries.pop();
        }
        self.entries.push((epoch, start));
        self.change();
    }

    /// Forgets what began at `end` or after it.
    pub(super) fn truncate_from(&mut self, end: i64) {
        let keep = self.entries.partition_point(|&(_, start)| start < end);
        if keep < self.entries.len() {
            self.entries.truncate(keep);
            self.change();
        }
    }

    /// Forgets what ended before `start`; the epoch that holds `start` begins there now.
    pub(super) fn truncate_before(&mut self, start: i64) {
        let keep = self.entries.partition_point(|&(_, begun)| begun <= start);
        if keep > 1 {
            self.entries.drain(..keep - 1);
            self.change();
        }
        if let Some(first) = self.entries.first_mut()
            && first.1 < start
        {
            first.1 = start;
            self.change();
        }
    }

    /// The epochs that began at `start` or after it.
    pub(super) fn from(&self, start: i64) -> &[(i32, i64)] {
        let before = self.entries.partition_point(|&(_, begun)| begun < start);
        &self.entries[before..]
    }

    /// The epoch of the record at `offset`.
    pub(super) fn at(&self, offset: i64) -> Option<i32> {
        let count = self.entries.partition_point(|&(_, start)| start <= offset);
        count.checked_sub(1).map(|last| self.entries[last].0)
    }

    /// Kafka's answer to OffsetForLeaderEpoch: the greatest epoch up to `epoch` and the offset
    /// where it ended, which is `end` for the newest; (-1, -1) where nothing is known of it.
    pub(super) fn end_of(&self, epoch: i32, end: i64) -> (i32, i64) {
        let after = self.entries.partition_point(|&(begun, _)| begun <= epoch);
        if epoch >= 0 && self.latest() == Some(epoch) {
            return (epoch, end);
        }
        match (after.checked_sub(1), self.entries.get(after)) {
            (_, None) => (-1, -1),
            _ if epoch < 0 => (-1, -1),
            (None, Some(&(_, start))) => (epoch, start),
            (Some(floor), Some(&(_, start))) => (self.entries[floor].0, start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimulatedDisk;
    use expect_test::expect;

    fn history() -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in [(2, 0), (3, 10), (5, 10), (5, 12), (4, 15), (9, 20)] {
            epochs.begin(epoch, start);
        }
        epochs
    }

    #[test]
    fn ends_are_answered_as_kafka_does() {
        let epochs = history();
        let table = [
            (-1, (-1, -1)),
            (0, (0, 0)),
            (2, (2, 10)),
            (3, (2, 10)),
            (5, (5, 20)),
            (8, (5, 20)),
            (9, (9, 31)),
            (10, (-1, -1)),
        ];
        for (epoch, expected) in table {
            assert_eq!(epochs.end_of(epoch, 31), expected, "epoch {epoch}");
        }
        assert_eq!(LeaderEpochs::default().end_of(0, 5), (-1, -1));
        assert_eq!(epochs.at(9), Some(2));
        assert_eq!(epochs.at(20), Some(9));
    }

    #[test]
    fn a_history_is_kept_in_kafkas_format_and_can_be_cut() {
        let disk = SimulatedDisk::new(1);
        let dir = Path::new("/t-0");
        disk.create_dir_all(dir).expect("create");
        let mut epochs = history();
        epochs.save(&disk, dir).expect("save");
        let text = disk.read(&dir.join(FILE)).expect("read");
        expect![[r"
            0
            3
            2 0
            5 10
            9 20
        "]]
        .assert_eq(&String::from_utf8(text).expect("text"));
        let mut read = LeaderEpochs::load(&disk, dir).expect("load");
        assert_eq!(read.entries, epochs.entries);
        read.truncate_from(20);
        read.truncate_before(11);
        assert_eq!(read.entries, [(5, 11)]);
    }
}
