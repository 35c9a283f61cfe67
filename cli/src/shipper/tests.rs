//! The shipper on real files, step by step: what a shipper has been seen to get wrong elsewhere.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::checkpoint::Store;
use super::follow::Follower;
use super::ship::{Report, ship};
use super::sink::{Line, Refused, Sink};
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

    /// Copies and truncates, as logrotate does.
    fn copytruncate(&self, from: &str, to: &str, then: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(self.path(from))
            .unwrap();
        file.set_len(0).unwrap();
        self.append(from, then);
    }

    /// Reads what is there without looking for new names; everything is shipped.
    fn read(&mut self) {
        loop {
            let batch = self.follower.read(self.now);
            if batch.is_empty() {
                break;
            }
            for line in &batch.lines {
                self.lines
                    .push(String::from_utf8_lossy(&line.value).into_owned());
                self.names
                    .push(line.path.file_name().unwrap().to_str().unwrap().to_owned());
            }
            self.follower.shipped(&batch.marks);
        }
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
fn a_rename_loses_nothing_and_repeats_nothing() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log", "a.log.1");
    w.append("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.step();
    w.check(&["one", "two", "three", "four"]);
    assert!(w.names.iter().all(|name| name == "a.log"), "{:?}", w.names);
    // The writer may still hold the old file.
    w.append("a.log.1", "late\n");
    w.step();
    w.check(&["late"]);
    w.later(100);
    w.step();
    w.append("a.log.1", "very late\n");
    w.step();
    w.check(&["very late"]);
}

#[test]
fn two_rotations_within_one_look_are_both_read() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log", "a.log.2");
    w.write("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.step();
    w.step();
    w.check(&["one", "two", "three", "four"]);
}

#[test]
fn two_rotations_while_stopped_are_both_read() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log.1", "old, from before we came\n");
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log.1", "a.log.3");
    w.rename("a.log", "a.log.2");
    w.write("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.restart();
    w.step();
    w.step();
    w.check(&["one", "two", "three", "four"]);
    w.restart();
    w.step();
    w.check(&[]);
}

#[test]
fn rotated_files_that_the_pattern_names_are_not_read_again() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    for i in 0..5 {
        w.rename("a.log", &format!("a.log.{i}"));
        w.write("a.log", format!("new {i}\n"));
        if i % 2 == 0 {
            w.restart();
        }
        w.step();
        w.later(40);
    }
    w.check(&["one", "new 0", "new 1", "new 2", "new 3", "new 4"]);
}

#[test]
fn copytruncate_to_smaller_equal_and_larger_is_seen_running_and_stopped() {
    for stopped in [false, true] {
        for then in ["n\n", "xxx\nyyy\n", "one\nnot two, and longer\n"] {
            let mut w = World::new(&["a.log"]);
            w.write("a.log", "one\ntwo\n");
            w.step();
            w.copytruncate("a.log", "a.log.1", then);
            if stopped {
                w.restart();
            }
            w.step();
            w.step();
            let mut expected = vec!["one", "two"];
            expected.extend(then.lines());
            w.check(&expected);
        }
    }
}

#[test]
fn a_copy_that_the_pattern_names_goes_on_where_the_original_was_left() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "written after the last read\n");
    w.copytruncate("a.log", "a.log.1", "new\n");
    w.step();
    w.step();
    w.check(&["one", "written after the last read", "new"]);
    // The copy is seen before the original is truncated.
    fs::copy(w.path("a.log"), w.path("a.log.2")).unwrap();
    w.step();
    w.write("a.log", "");
    w.step();
    w.later(10);
    w.step();
    w.check(&[]);
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
fn an_unfinished_line_waits_for_its_end_across_a_rotation() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "beg");
    w.step();
    w.rename("a.log", "a.log.1");
    w.write("a.log", "new\n");
    w.step();
    w.check(&["new"]);
    w.append("a.log.1", "un and done\n");
    w.step();
    w.check(&["begun and done"]);
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
fn symlinks_lead_to_one_file_and_loops_are_told() {
    let mut w = World::new(&["*.log"]);
    w.write("real.log", "one\n");
    std::os::unix::fs::symlink(w.path("real.log"), w.path("link.log")).unwrap();
    std::os::unix::fs::symlink(w.path("loop.log"), w.path("loop.log")).unwrap();
    fs::create_dir(w.path("folder.log")).unwrap();
    w.step();
    w.step();
    w.check(&["one"]);
    assert_eq!(w.follower.troubles(), 2);
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

/// A broker that can be away, and a list of what it took.
#[derive(Clone, Default)]
struct Broker {
    lines: Arc<Mutex<Vec<String>>>,
    away: Arc<AtomicBool>,
    taken: Arc<tokio::sync::Notify>,
}

impl Sink for Broker {
    async fn send(&mut self, lines: Vec<Line>) -> Result<(), Refused> {
        while self.away.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let text = lines
            .iter()
            .map(|l| String::from_utf8_lossy(&l.value).into_owned());
        self.lines.lock().unwrap().extend(text);
        self.taken.notify_waiters();
        Ok(())
    }
}

impl Broker {
    async fn has(&self, n: usize) {
        let all = async {
            while self.lines.lock().unwrap().len() < n {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let there = tokio::time::timeout(Duration::from_secs(20), all).await;
        assert!(
            there.is_ok(),
            "{n} lines wanted, there are {}",
            self.lines.lock().unwrap().len()
        );
    }
}

struct Running {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Report>,
}

impl Running {
    fn start(dir: &Path, change: impl FnOnce(&mut Settings), broker: &Broker) -> Self {
        let mut settings = Settings::new(vec![dir.join("*.log").to_str().unwrap().to_owned()]);
        settings.grace = Duration::from_millis(50);
        change(&mut settings);
        let store = Store::open(&dir.join("state"), "t").unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let broker = broker.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            ship(settings, Some(store), None, broker, stopped)
                .await
                .unwrap()
        });
        Self { stop, task }
    }

    async fn stop(self) -> Report {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loop_ships_follows_and_goes_on_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let broker = Broker::default();
    fs::write(&path, "one\n").unwrap();
    let running = Running::start(dir.path(), |_| {}, &broker);
    broker.has(1).await;
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    fs::write(&path, "two\n").unwrap();
    broker.has(2).await;
    assert!(running.stop().await.complete);
    fs::write(dir.path().join("b.log"), "three\n").unwrap();
    let running = Running::start(dir.path(), |_| {}, &broker);
    broker.has(3).await;
    running.stop().await;
    assert_eq!(*broker.lines.lock().unwrap(), ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_nothing_is_lost_and_little_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::default();
    broker.away.store(true, Ordering::Release);
    let mut expected = Vec::new();
    for file in 0..5 {
        let lines: Vec<String> = (0..2000).map(|i| format!("{file} {i}")).collect();
        fs::write(
            dir.path().join(format!("{file}.log")),
            lines.join("\n") + "\n",
        )
        .unwrap();
        expected.extend(lines);
    }
    let small = |s: &mut Settings| s.batch_lines = 100;
    let running = Running::start(dir.path(), small, &broker);
    // The checkpoint names the files as soon as they are open; then one goes away.
    let state = dir.path().join("state/t.checkpoint");
    while !fs::read_to_string(&state).is_ok_and(|s| s.contains("4.log")) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fs::remove_file(dir.path().join("4.log")).unwrap();
    broker.away.store(false, Ordering::Release);
    broker.has(10_000).await;
    broker.away.store(true, Ordering::Release);
    fs::write(dir.path().join("late.log"), "late\n").unwrap();
    let report = running.stop().await;
    assert_eq!(report.counts.lines, 10_000);
    broker.away.store(false, Ordering::Release);
    let running = Running::start(dir.path(), |s| s.once = true, &broker);
    let report = running.task.await.unwrap();
    assert!(report.complete);
    expected.push("late".to_owned());
    expected.sort();
    let mut lines = std::mem::take(&mut *broker.lines.lock().unwrap());
    lines.sort();
    assert_eq!(lines.len(), expected.len());
    assert!(lines == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_ships_the_unfinished_line_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::default();
    fs::write(dir.path().join("a.log"), "one\nlast").unwrap();
    let running = Running::start(dir.path(), |s| s.once = true, &broker);
    assert_eq!(running.task.await.unwrap().counts.lines, 2);
    assert_eq!(*broker.lines.lock().unwrap(), ["one", "last"]);
}
