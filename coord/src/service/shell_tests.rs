//! The core thread's turns one by one, with the other threads played by the test.

use std::path::Path;

use disk::{Disk, SimulatedDisk};

use super::inbox::Inbox;
use super::log_thread::LogThread;
use super::*;
use crate::error::MultiError;
use crate::service::core::{Done, LogCommand};
use crate::service::shared::{Reply, answer_place};
use crate::tree::{CreateMode, Op, Tree};
use crate::watch::WatchMode;
use crate::{ErrorCode, Zxid};

type Answer = tokio::sync::oneshot::Receiver<Result<Done, MultiError>>;

/// A shell over an empty tree.
struct Turns {
    shell: Shell,
    commands: Vec<LogCommand>,
}

impl Turns {
    fn new() -> Turns {
        let tree = Tree::new();
        let config = CoordConfig::default();
        let now = Now { wall: 0, steady: 0 };
        let run = Run {
            member: config.member,
            incarnation: 1,
        };
        let rules = config.wire.rules();
        let core = Core::new(&tree, run, 1, rules, config.sweep_every_ms, now);
        let shell = Shell {
            core,
            shared: Arc::new(Shared::new(
                tree,
                Arc::new(Inbox::new()),
                config.wire.clone(),
            )),
            log: Arc::new(Inbox::new()),
            snapshots: Arc::new(Inbox::new()),
            snapshot_busy: Arc::default(),
            config,
            started: Instant::now(),
            stopping: false,
            run,
            warned_at: None,
            since_snapshot: (0, 0),
        };
        Turns {
            shell,
            commands: Vec::new(),
        }
    }

    /// One turn with these events; returns the zxids that it proposed.
    fn turn(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Zxid> {
        self.shell.turn(&mut events.into_iter().collect());
        let wait = Some(std::time::Duration::ZERO);
        self.shell.log.take(wait, &mut self.commands);
        let appended = |command| match command {
            LogCommand::Append { entry, .. } => Some(entry.0),
            _ => None,
        };
        self.commands.drain(..).filter_map(appended).collect()
    }

    /// What a session of this process would have pushed when it was dropped.
    fn pushed(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let wait = Some(std::time::Duration::ZERO);
        self.shell.shared.events.take(wait, &mut events);
        events
    }

    fn sessions(&self) -> usize {
        self.shell.shared.served.read().tree.sessions().count()
    }
}

fn create(path: &str) -> (Event, Answer) {
    let (reply, answer) = answer_place();
    let ops = vec![Op::create(path, "", CreateMode::Persistent)];
    (Event::Ask(Request::internal(0, ops), reply), answer)
}

fn open_local(reply: Reply) -> Event {
    Event::OpenLocal {
        timeout_ms: 6_000,
        reply,
    }
}

fn full() -> Event {
    Event::Refused {
        generation: 0,
        reason: "full".into(),
    }
}

fn code(answer: &mut Answer) -> ErrorCode {
    match answer.try_recv().expect("answered") {
        Ok(_) => ErrorCode::Ok,
        Err(error) => error.error.code(),
    }
}

#[test]
fn what_was_committed_before_a_refusal_counts_for_the_request_after_it() {
    let mut turns = Turns::new();
    let (first, mut first_answer) = create("/a");
    let zxid = turns.turn([first])[0];
    let (large, mut large_answer) = create("/large");
    turns.turn([large]);
    let (second, mut second_answer) = create("/a");
    let proposed = turns.turn([Event::Durable(zxid), full(), second]);
    assert_eq!(proposed, []);
    assert_eq!(code(&mut first_answer), ErrorCode::Ok);
    assert_eq!(code(&mut large_answer), ErrorCode::SystemError);
    assert_eq!(code(&mut second_answer), ErrorCode::NodeExists);
}

#[test]
fn a_session_that_nobody_waited_for_is_closed_again() {
    for waits_until_opened in [false, true] {
        let mut turns = Turns::new();
        let (reply, answer) = answer_place();
        let zxid = turns.turn([open_local(reply)])[0];
        let answer = waits_until_opened.then_some(answer);
        turns.turn([Event::Durable(zxid)]);
        assert_eq!(turns.sessions(), 1);
        drop(answer);
        let dropped = turns.pushed();
        let zxid = turns.turn(dropped)[0];
        turns.turn([Event::Durable(zxid)]);
        assert_eq!(turns.sessions(), 0);
    }
}

#[test]
fn a_dropped_session_ends_although_an_end_already_proposed_was_refused() {
    let mut turns = Turns::new();
    let (reply, mut answer) = answer_place();
    let zxid = turns.turn([open_local(reply)])[0];
    turns.turn([Event::Durable(zxid)]);
    let session = answer.try_recv().unwrap().unwrap().opened.unwrap();
    let ids = vec![session.id];
    let (reply, cancelled) = answer_place();
    assert_eq!(
        turns
            .turn([Event::Ask(Request::CloseSessions { ids }, reply)])
            .len(),
        1
    );
    drop((cancelled, session));
    let dropped = turns.pushed();
    assert_eq!(dropped.len(), 1);
    assert_eq!(turns.turn(dropped), [], "its end is under way");
    turns.turn([full()]);
    turns.shell.started -= std::time::Duration::from_secs(2);
    let zxid = turns.turn([])[0];
    turns.turn([Event::Durable(zxid)]);
    assert_eq!(turns.sessions(), 0);
}

#[test]
fn a_stopping_service_takes_no_more_requests_and_finishes_those_it_has() {
    let mut turns = Turns::new();
    let (before, mut before_answer) = create("/before");
    let (after, mut after_answer) = create("/after");
    let proposed = turns.turn([before, Event::Stop, after]);
    assert_eq!(proposed.len(), 1);
    assert!(after_answer.try_recv().is_err(), "answers keep their order");
    assert!(!turns.shell.core.is_idle());
    assert_eq!(turns.shell.core.next_tick(), i64::MAX);
    turns.turn([Event::Durable(proposed[0])]);
    assert_eq!(code(&mut before_answer), ErrorCode::Ok);
    assert_eq!(code(&mut after_answer), ErrorCode::ConnectionLoss);
    assert!(turns.shell.core.is_idle());
}

#[tokio::test]
async fn a_failed_log_ends_the_watches_and_leaves_nothing_due() {
    let mut turns = Turns::new();
    let (reply, mut answer) = answer_place();
    let zxid = turns.turn([open_local(reply)])[0];
    turns.turn([Event::Durable(zxid)]);
    let session = answer.try_recv().unwrap().unwrap().opened.unwrap();
    let shared = &turns.shell.shared;
    let mut watch = crate::Watch::set(shared, session.id, "/", WatchMode::Persistent);
    let error = std::io::Error::other("a fault");
    turns.turn([Event::Failed(Arc::new(error.into()))]);
    assert_eq!(watch.next().await, None);
    assert_eq!(turns.shell.core.next_tick(), i64::MAX);
    let shared = &turns.shell.shared;
    let mut late = crate::Watch::set(shared, session.id, "/", WatchMode::Persistent);
    assert_eq!(late.next().await, None);
}

#[test]
fn a_sync_that_says_full_is_final() {
    let disk = SimulatedDisk::new(1);
    let dir = Path::new("/coord");
    let log = storage::open(&disk, dir).unwrap().log;
    let events = Arc::new(Inbox::new());
    let thread = LogThread {
        disk: disk.clone(),
        log,
        commands: Arc::new(Inbox::new()),
        events: Arc::clone(&events),
    };
    let mut told = Vec::new();
    for (fails_for_good, goes_on) in [(false, true), (true, false)] {
        if fails_for_good {
            disk.health().fail("cannot sync");
        }
        let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(thread.tell(Err(error.into()), 1, &mut None), goes_on);
        events.take(Some(std::time::Duration::ZERO), &mut told);
        assert_eq!(matches!(told[..], [Event::Refused { .. }]), goes_on);
        assert_eq!(matches!(told[..], [Event::Failed(_)]), !goes_on);
        told.clear();
    }
}
