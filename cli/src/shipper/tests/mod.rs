//! The shipper on real files, step by step: what a shipper has been seen to get wrong elsewhere.

mod kill;
mod looping;
mod rotation;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::follow::{Batch, Follower};
use super::{Begin, Saved, Settings};

/// A folder with files, a follower that is stepped by hand, and everything it has read.
struct World {
    dir: tempfile::TempDir,
    settings: Settings,
    follower: Follower,
    now: Instant,
    lines: Vec<String>,
    names: Vec<String>,
}

impl World {
    fn new(patterns: &[&str]) -> Self {
        Self::with(patterns, |_| {})
    }

    fn with(patterns: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let full = |p: &&str| dir.path().join(p).to_str().unwrap().to_owned();
        let mut settings = Settings::new(patterns.iter().map(full).collect());
        change(&mut settings);
        let now = Instant::now();
        Self {
            follower: Follower::new(settings.clone(), None, now),
            dir,
            settings,
            now,
            lines: Vec::new(),
            names: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        let file = fs::File::options().write(true).open(self.path(name));
        file.unwrap().set_len(0).unwrap();
    }

    /// Copies and truncates, as logrotate does.
    fn copytruncate(&self, from: &str, to: &str, then: &str) {
        self.copy(from, to);
        self.truncate(from);
        self.append(from, then);
    }

    /// Reads what is there without looking for new names; everything is shipped.
    fn read(&mut self) {
        loop {
            let batch = self.follower.read(self.now);
            if batch.is_empty() {
                break;
            }
            self.ship(&batch);
        }
    }

    /// The sink takes the batch.
    fn ship(&mut self, batch: &Batch) {
        for line in &batch.lines {
            self.lines
                .push(String::from_utf8_lossy(&line.value).into_owned());
            self.names
                .push(line.path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        self.follower.shipped(&batch.marks);
    }

    fn scan(&mut self) {
        self.follower.scan(self.now);
    }

    fn step(&mut self) {
        self.scan();
        self.read();
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Stops here and starts again from what a checkpoint would hold, `change`d on the way.
    fn restart_with(&mut self, change: impl FnOnce(&mut Vec<Saved>)) {
        self.follower.not_saved();
        let mut saved = self.follower.take_saved().unwrap();
        change(&mut saved);
        self.follower = Follower::new(self.settings.clone(), Some(saved), self.now);
    }

    fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort();
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}

#[test]
fn lines_are_read_as_they_come_and_not_again_after_a_restart() {
    let mut w = World::new(&["a.log"]);
    w.step();
    w.write("a.log", "one\ntwo\nthr");
    w.step();
    w.check(&["one", "two"]);
    w.append("a.log", b"ee\r\nfo\0ur \xc3");
    w.read();
    w.check(&["three"]);
    w.restart();
    w.append("a.log", b"\xa4 \xff\n");
    w.step();
    w.check(&["fo\0ur \u{e4} \u{fffd}"]);
}

#[test]
fn an_inode_used_again_is_a_new_file() {
    let mut w = World::new(&["*.log"]);
    w.write("a.log", "one\ntwo\n");
    w.step();
    w.check(&["one", "two"]);
    fs::remove_file(w.path("a.log")).unwrap();
    w.write(
        "b.log",
        "a file longer than the first\nin what was its inode\n",
    );
    let id = super::look::id_of(&fs::metadata(w.path("b.log")).unwrap());
    w.restart_with(|saved| saved[0].id = id);
    w.step();
    w.check(&["a file longer than the first", "in what was its inode"]);
    // While running, too: deleted and created again between two looks.
    fs::remove_file(w.path("b.log")).unwrap();
    w.write("c.log", "x\n");
    w.step();
    w.check(&["x"]);
}

#[test]
fn a_checkpoint_past_the_end_of_the_file_begins_anew() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\ntwo\nthree\n");
    w.step();
    w.check(&["one", "two", "three"]);
    w.write("a.log", "one\n");
    w.restart();
    w.step();
    w.check(&["one"]);
}

#[test]
fn files_that_begin_alike_are_told_apart() {
    let mut w = World::new(&["*.log"]);
    let head = "# the same header\n".repeat(100);
    for name in ["a", "b", "c"] {
        w.write(&format!("{name}.log"), format!("{head}{name}\n"));
    }
    w.write("empty.log", "");
    w.write("tiny.log", "x");
    w.step();
    assert_eq!(w.lines.len(), 303);
    w.lines.clear();
    w.restart();
    w.append("b.log", "more\n");
    w.append("empty.log", "no more\n");
    w.append("tiny.log", "\n");
    w.step();
    w.check(&["more", "no more", "x"]);
    // One that comes later waits a moment, as it could be a copy, and is then read whole.
    w.write("d.log", format!("{head}d\n"));
    w.step();
    w.check(&[]);
    w.later(6);
    w.step();
    assert_eq!(w.lines.len(), 101);
}

#[test]
fn a_deleted_file_is_read_to_its_end() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    let mut held = fs::File::options()
        .append(true)
        .open(w.path("a.log"))
        .unwrap();
    held.write_all(b"two\n").unwrap();
    fs::remove_file(w.path("a.log")).unwrap();
    w.step();
    held.write_all(b"three\nunfinished").unwrap();
    w.step();
    w.check(&["one", "two", "three"]);
    w.later(31);
    w.step();
    w.check(&["unfinished"]);
    w.later(31);
    w.step();
    w.follower.not_saved();
    assert_eq!(w.follower.take_saved().unwrap(), []);
}

#[test]
fn a_line_past_the_limit_is_cut_and_counted_and_the_position_moves_on() {
    let mut w = World::with(&["a.log"], |s| s.line_limit = 1000);
    let long = "x".repeat(2_000_000);
    w.write("a.log", format!("before\n{long}"));
    w.step();
    let cut = "x".repeat(1000);
    w.check(&["before", &cut]);
    assert_eq!(w.follower.counts.cut, 1);
    w.restart();
    w.append("a.log", "the rest of the long line\nafter\n");
    w.step();
    w.check(&["after"]);
}

#[test]
fn from_the_end_means_what_was_there_at_the_first_start_alone() {
    let mut w = World::with(&["*.log"], |s| s.begin = Begin::End);
    w.write("a.log", "old\n");
    w.step();
    w.append("a.log", "new\n");
    w.write("b.log", "born later\n");
    w.step();
    w.check(&["new", "born later"]);
    w.write("c.log", "born while stopped\n");
    w.restart();
    w.step();
    w.check(&["born while stopped"]);
}

#[test]
fn nothing_is_noted_down_that_was_not_shipped() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\ntwo\n");
    w.scan();
    let batch = w.follower.read(w.now);
    assert_eq!(batch.lines.len(), 2);
    w.restart();
    w.step();
    w.check(&["one", "two"]);
}

#[test]
fn symlinks_lead_to_one_file_and_of_what_a_glob_finds_only_loops_are_a_problem() {
    let mut w = World::new(&["*.log"]);
    w.write("real.log", "one\n");
    std::os::unix::fs::symlink(w.path("real.log"), w.path("link.log")).unwrap();
    std::os::unix::fs::symlink(w.path("loop.log"), w.path("loop.log")).unwrap();
    fs::create_dir(w.path("folder.log")).unwrap();
    w.step();
    w.step();
    w.check(&["one"]);
    assert_eq!(w.follower.troubles(), 1);
}

#[test]
fn a_file_that_cannot_be_looked_at_for_a_while_is_not_forgotten() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    w.restart();
    w.rename("a.log", "aside");
    std::os::unix::fs::symlink(w.path("a.log"), w.path("a.log")).unwrap();
    w.later(1000);
    w.step();
    fs::remove_file(w.path("a.log")).unwrap();
    w.rename("aside", "a.log");
    w.append("a.log", "two\n");
    w.step();
    w.check(&["one", "two"]);
}

#[test]
fn ten_thousand_files_need_few_descriptors() {
    let mut w = World::with(&["*.log"], |s| s.open_limit = 1000);
    for i in 0..10_000 {
        w.write(&format!("{i}.log"), format!("{i}\n"));
    }
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut most = 0;
    for _ in 0..12 {
        w.step();
        most = most.max(open());
    }
    assert_eq!(w.lines.len(), 10_000);
    // Other tests of this process open files, too.
    assert!(most < before + 2000, "{most} open");
    w.lines.clear();
    w.append("17.log", "more\n");
    fs::remove_file(w.path("18.log")).unwrap();
    w.write("new.log", "new\n");
    for _ in 0..12 {
        w.step();
    }
    w.check(&["more", "new"]);
}
