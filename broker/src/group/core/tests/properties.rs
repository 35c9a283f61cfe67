//! Random lives of groups: what holds whatever happens, in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::script::Script;
use crate::group::core::{Config, Record, State};

/// Clients `a` to `c` are dynamic, `d` to `f` static, and `f` would be what `e` is.
const CLIENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn command() -> impl Strategy<Value = String> {
    let who = prop::sample::select(&CLIENTS[..]);
    let instance = |who: &str| match who {
        "d" => " i=1",
        "e" | "f" => " i=2",
        _ => "",
    };
    let version = prop::sample::select(&["v0", "v4", "v9"][..]);
    let topics = prop::sample::select(&["t", "t", "t", "u"][..]);
    let known = prop::sample::select(&["", "", "", " id=-", " id=stranger"][..]);
    let timeouts = prop::sample::select(
        &[
            "session=6000 rebalance=9000",
            "session=20000 rebalance=4000",
        ][..],
    );
    let join = (who.clone(), version, topics, known, timeouts).prop_map(
        move |(who, version, topics, known, timeouts)| {
            format!(
                "join {who} {version}{} topics={topics}{known} {timeouts}",
                instance(who)
            )
        },
    );
    let error = prop::sample::select(
        &[
            "NOT_ENOUGH_REPLICAS",
            "KAFKA_STORAGE_ERROR",
            "MESSAGE_TOO_LARGE",
            "REQUEST_TIMED_OUT",
        ][..],
    );
    prop_oneof![
        6 => join,
        6 => who.clone().prop_map(|who| format!("sync {who} *")),
        3 => who.clone().prop_map(|who| format!("beat {who}")),
        2 => who.clone().prop_map(|who| format!("leave {who}")),
        1 => Just("leave i=1 i=2".to_owned()),
        2 => (who, at("t")).prop_map(|(who, at)| format!("commit {who} {at}")),
        2 => at("u").prop_map(|at| format!("commit - {at}")),
        1 => Just("delete-offsets t-0 u-1".to_owned()),
        1 => Just("delete".to_owned()),
        1 => Just("topic-deleted t".to_owned()),
        1 => Just("settle".to_owned()),
        4 => (0..8_000).prop_map(|ms| format!("+{ms}")),
        8 => Just("ack".to_owned()),
        1 => error.prop_map(|error| format!("fail {error}")),
        1 => Just("restart".to_owned()),
    ]
}

fn at(topic: &'static str) -> impl Strategy<Value = String> {
    (0..3, 0..100).prop_map(move |(partition, offset)| format!("{topic}-{partition}={offset}"))
}

/// Follows a group and complains.
#[derive(Default)]
struct Watch {
    generation: i32,
    /// The log may be behind: a group's record was lost.
    behind: bool,
}

impl Watch {
    fn run(&mut self, script: &mut Script, command: &str) -> Result<(), TestCaseError> {
        if command == "restart" {
            // What waits or is on its way when a node dies is gone with it.
            script.waiting.clear();
            script.writes.clear();
            *self = Self {
                behind: self.behind,
                generation: 0,
            };
        }
        if command == "ack" || command.starts_with("fail") {
            let Some((_, records)) = script.writes.front() else {
                return Ok(());
            };
            if records
                .iter()
                .any(|record| matches!(record, Record::Group { .. }))
            {
                self.behind = command != "ack";
            }
        }
        script.run(command);
        self.check(script)
    }

    fn check(&mut self, script: &Script) -> Result<(), TestCaseError> {
        let Some(group) = script.shard.group("g") else {
            self.generation = 0;
            return Ok(());
        };
        prop_assert!(
            group.generation >= self.generation,
            "the generation went back"
        );
        self.generation = group.generation;

        let leader = group.leader.as_ref();
        prop_assert_eq!(group.members.is_empty(), leader.is_none());
        prop_assert!(
            leader.is_none_or(|leader| group.members.contains_key(leader)),
            "led by a stranger"
        );
        for (instance, id) in &group.static_members {
            prop_assert_eq!(group.members[id].group_instance_id.as_ref(), Some(instance));
        }
        let statics = group
            .members
            .values()
            .filter(|member| member.group_instance_id.is_some());
        prop_assert_eq!(statics.count(), group.static_members.len());
        prop_assert_eq!(group.writes as usize, script.writes.len());
        for (id, member) in &group.members {
            let waits = member.awaiting_join.is_some() || member.awaiting_sync.is_some();
            prop_assert!(
                waits || member.deadline_ms.is_some(),
                "{} may stay for ever",
                id
            );
            prop_assert!(!group.pending_joins.contains_key(id));
            if group.state == State::Stable {
                prop_assert!(!member.assignment.is_empty(), "{} has no assignment", id);
                prop_assert!(member.awaiting_sync.is_none());
            }
        }
        if matches!(group.state, State::Empty | State::Dead) {
            prop_assert!(group.members.is_empty());
        }
        if let Some(at_ms) = group.next_deadline_ms() {
            prop_assert!(
                script.shard.next_deadline() <= at_ms,
                "a deadline is not in the queue"
            );
        }
        if script.writes.is_empty() {
            self.check_log(script)?;
        }
        Ok(())
    }

    /// A shard from the log is what the living one would be after a restart.
    fn check_log(&self, script: &Script) -> Result<(), TestCaseError> {
        let replayed = script.replayed();
        let live = &script.shard.groups["g"];
        let offsets = replayed
            .group("g")
            .map(|group| group.offsets.clone())
            .unwrap_or_default();
        prop_assert_eq!(&live.offsets, &offsets);
        let stored =
            matches!(live.state, State::Stable) || live.state == State::Empty && live.persisted;
        if stored && !self.behind {
            let replayed = &replayed.groups["g"];
            let (mut live_record, record) = (live.record(None), replayed.record(None));
            if live.state == State::Stable {
                live_record.state_timestamp_ms = record.state_timestamp_ms;
            }
            prop_assert_eq!(live_record, record);
            prop_assert_eq!(&live.state, &replayed.state);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_group_keeps_its_promises(commands in prop::collection::vec(command(), 1..80)) {
        let mut script = Script::new(Config::default());
        script.hold = true;
        let mut watch = Watch::default();
        for command in &commands {
            watch.run(&mut script, command)?;
        }
        // Now nothing more is asked, and all is answered as writes end and time passes.
        for _ in 0..50 {
            while !script.writes.is_empty() {
                watch.run(&mut script, "ack")?;
            }
            watch.run(&mut script, "+10000")?;
        }
        prop_assert_eq!(&script.waiting, &BTreeMap::new(), "{}", script.out);
        if let Some(group) = script.shard.group("g") {
            prop_assert_eq!(&group.state, &State::Empty, "{}", script.out);
        }
    }
}
