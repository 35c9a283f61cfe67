//! The loop, with a broker that comes and goes.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::Settings;
use super::super::checkpoint::Store;
use super::super::ship::{Report, ship};
use super::super::sink::{Line, Refused, Sink};

/// A broker that can be away, and a list of what it took.
#[derive(Clone, Default)]
struct Broker {
    lines: Arc<Mutex<Vec<String>>>,
    away: Arc<AtomicBool>,
    taken: Arc<tokio::sync::Notify>,
}

impl Sink for Broker {
    async fn send(&mut self, lines: Vec<Line>) -> Result<u64, Refused> {
        while self.away.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let text = lines
            .iter()
            .map(|l| String::from_utf8_lossy(&l.value).into_owned());
        self.lines.lock().unwrap().extend(text);
        self.taken.notify_waiters();
        Ok(0)
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

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ships_what_was_read_from_standard_input() {
    let broker = Broker::default();
    let line = |text: &'static str| Line {
        path: Path::new("-").into(),
        value: text.into(),
        cut: false,
    };
    let (send, receive) = tokio::sync::mpsc::channel(1);
    send.send(vec![line("one"), line("two")]).await.unwrap();
    let settings = Settings::new(Vec::new());
    let report = ship(settings, None, Some(receive), broker.clone(), async {})
        .await
        .unwrap();
    assert!(report.complete && report.stopped);
    assert_eq!((report.counts.lines, report.counts.bytes), (2, 6));
    assert_eq!(*broker.lines.lock().unwrap(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_tells_of_a_named_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.log"), "one\n").unwrap();
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    let change = |s: &mut Settings| {
        s.once = true;
        s.patterns.push(missing);
    };
    let report = Running::start(dir.path(), change, &Broker::default());
    let report = report.task.await.unwrap();
    assert_eq!((report.counts.lines, report.troubles), (1, 1));
}
