//! From one generation to the next: asking members to join again, waiting for them, and what
//! becomes of those who do not.

use protocol::error::ErrorCode;
use tracing::{debug, info};

use super::group::{FirstRebalance, Group, Member, State};
use super::step::{Step, Then, Write};
use super::{Record, Token};

/// How long a rebalance that nobody came to waits at least before it looks again.
const RETRY_MS_MIN: i32 = 1_000;

impl Group {
    /// The members have changed: a rebalance begins, or the one that waits for them may be
    /// complete.
    pub(super) fn rebalance_or_complete(&mut self, step: &mut Step<'_>) -> Option<Token> {
        match self.state {
            State::Empty | State::CompletingRebalance { .. } | State::Stable => {
                self.prepare_rebalance(step)
            }
            State::PreparingRebalance { .. } => self.complete_if_all_joined(step),
            State::Dead => None,
        }
    }

    /// Asks all members to join again. Returns the write of the empty generation, if none is left.
    pub(super) fn prepare_rebalance(&mut self, step: &mut Step<'_>) -> Option<Token> {
        if matches!(self.state, State::CompletingRebalance { .. }) {
            self.reset_assignments(step, ErrorCode::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        self.sync_deadline_ms = None;
        let timeout_ms = self.rebalance_timeout_ms();
        let first = (self.state == State::Empty).then(|| FirstRebalance {
            delay_ms: step.config.initial_rebalance_delay_ms,
            remaining_ms: timeout_ms
                .saturating_sub(step.config.initial_rebalance_delay_ms)
                .max(0),
            grew: false,
        });
        let deadline_ms = step.after_ms(first.map_or(timeout_ms, |first| first.delay_ms));
        info!(
            group = self.id,
            generation = self.generation,
            "the group rebalances"
        );
        self.enter(
            State::PreparingRebalance { deadline_ms, first },
            step.now.wall_ms,
        );
        self.complete_if_all_joined(step)
    }

    /// Ends the wait for members when none is missing. A first rebalance waits for members that
    /// nobody knows of.
    pub(super) fn complete_if_all_joined(&mut self, step: &mut Step<'_>) -> Option<Token> {
        let waits = matches!(self.state, State::PreparingRebalance { first: None, .. });
        if waits && self.all_joined() {
            self.complete_join(step)
        } else {
            None
        }
    }

    /// The wait for members has lasted long enough.
    pub(super) fn rebalance_deadline_passed(&mut self, step: &mut Step<'_>) {
        let State::PreparingRebalance { deadline_ms, first } = &mut self.state else {
            return;
        };
        match first {
            Some(first) if first.grew && first.remaining_ms > 0 => {
                let next_ms = step
                    .config
                    .initial_rebalance_delay_ms
                    .min(first.remaining_ms);
                let remaining_ms = (first.remaining_ms - first.delay_ms).max(0);
                *first = FirstRebalance {
                    delay_ms: next_ms,
                    remaining_ms,
                    grew: false,
                };
                *deadline_ms = step.after_ms(next_ms);
            }
            _ => {
                self.complete_join(step);
            }
        }
    }

    /// Begins the next generation with those who have joined. Returns the write of an empty one.
    pub(super) fn complete_join(&mut self, step: &mut Step<'_>) -> Option<Token> {
        // Static members are on leave until their session ends; others who did not join are gone.
        let gone =
            |member: &Member| member.awaiting_join.is_none() && member.group_instance_id.is_none();
        let gone: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| gone(member))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &gone {
            info!(
                group = self.id,
                member = id,
                "the member did not join the rebalance and is left out"
            );
            self.drop_member(step, id);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            let deadline_ms = step.after_ms(self.rebalance_timeout_ms().max(RETRY_MS_MIN));
            self.state = State::PreparingRebalance {
                deadline_ms,
                first: None,
            };
            return None;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.protocol_name = self.select_protocol();
        self.read_subscriptions();
        self.pending_syncs.clear();
        if self.members.is_empty() {
            debug!(
                group = self.id,
                generation = self.generation,
                "the group is empty"
            );
            self.enter(State::Empty, step.now.wall_ms);
            let record = Record::Group {
                group: self.id.clone(),
                value: Some(self.record(None)),
            };
            // Should this write fail, the log holds a generation whose members will expire: no
            // harm.
            return Some(self.append(step, vec![record], Then::Nothing));
        }
        info!(
            group = self.id,
            generation = self.generation,
            members = self.members.len(),
            "the group has a new generation"
        );
        self.enter(
            State::CompletingRebalance { saving: None },
            step.now.wall_ms,
        );
        self.sync_deadline_ms = Some(step.after_ms(self.rebalance_timeout_ms()));
        self.pending_syncs = self.members.keys().cloned().collect();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let reply = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.is_new = false;
            member.deadline_ms = Some(step.after_ms(member.session_timeout_ms));
            if let Some(to) = member.awaiting_join.take() {
                step.join(to, reply);
            }
        }
        None
    }

    /// Sees to a leader that is there; false if no member has joined.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &String| {
            self.members
                .get(id)
                .is_some_and(|member| member.awaiting_join.is_some())
        };
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        match self
            .members
            .iter()
            .find(|(_, member)| member.awaiting_join.is_some())
        {
            Some((id, _)) => {
                self.leader = Some(id.clone());
                true
            }
            None => false,
        }
    }

    /// Members that did not come for their assignment in time are put out.
    pub(super) fn sync_deadline_passed(&mut self, step: &mut Step<'_>) {
        self.sync_deadline_ms = None;
        if !matches!(
            self.state,
            State::CompletingRebalance { .. } | State::Stable
        ) || self.pending_syncs.is_empty()
        {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            info!(
                group = self.id,
                member = id,
                "the member did not sync in time and is removed"
            );
            self.drop_member(step, &id);
        }
        self.prepare_rebalance(step);
    }

    /// A member's session has ended.
    pub(super) fn session_expired(&mut self, step: &mut Step<'_>, id: &str) {
        if self.pending_joins.remove(id).is_some() {
            self.complete_join_if_all_there(step);
            return;
        }
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.deadline_ms = None;
        if member.is_waiting() {
            return;
        }
        info!(
            group = self.id,
            member = id,
            "the member's session has expired"
        );
        self.drop_member(step, id);
        if self.state.preparing() {
            self.complete_join_if_all_there(step);
        } else {
            self.rebalance_or_complete(step);
        }
    }

    /// Like `complete_if_all_joined`, but ends a first rebalance, too: Kafka does so when a member
    /// is lost.
    fn complete_join_if_all_there(&mut self, step: &mut Step<'_>) {
        if self.state.preparing() && self.all_joined() {
            self.complete_join(step);
        }
    }

    /// Takes a member out and sends away what waits for it; the client may start anew.
    pub(super) fn drop_member(&mut self, step: &mut Step<'_>, id: &str) {
        let Some(member) = self.take(id) else { return };
        if let Some(to) = member.awaiting_join {
            step.refuse_join(to, "", ErrorCode::UnknownMemberId);
        }
        if let Some(to) = member.awaiting_sync {
            step.refuse_sync(to, ErrorCode::UnknownMemberId);
        }
    }

    /// Asks for a write of this group's.
    pub(super) fn append(
        &mut self,
        step: &mut Step<'_>,
        records: Vec<Record>,
        then: Then,
    ) -> Token {
        self.writes += 1;
        for record in &records {
            if let Record::Offset {
                topic, partition, ..
            } = record
            {
                *self
                    .unsettled
                    .entry((topic.clone(), *partition))
                    .or_default() += 1;
            }
        }
        step.append(&self.id, records, then)
    }

    /// A write has ended; what it brought, if it succeeded, is now so.
    pub(super) fn written(
        &mut self,
        step: &mut Step<'_>,
        token: Token,
        write: Write,
        result: Result<(), ErrorCode>,
    ) {
        self.writes -= 1;
        // A write that timed out has its place in the log, where the next start finds it.
        let placed = matches!(result, Ok(()) | Err(ErrorCode::RequestTimedOut));
        for record in write.records.iter() {
            match record {
                Record::Offset {
                    topic,
                    partition,
                    value,
                    ..
                } => {
                    let key = (topic.clone(), *partition);
                    if let Some(count) = self.unsettled.get_mut(&key) {
                        *count -= 1;
                        if *count == 0 {
                            self.unsettled.remove(&key);
                        }
                    }
                    if placed {
                        self.set_offset(topic, *partition, value.clone());
                    }
                }
                Record::Group { value, .. } if placed => self.persisted = value.is_some(),
                Record::Group { .. } => {}
            }
        }
        let mut result = result.map_err(told);
        if let Err(error) = result {
            info!(
                group = self.id,
                ?error,
                "a write to the group's log has failed"
            );
        }
        match write.then {
            Then::Nothing => {}
            Then::Stabilise { assignments } => self.stabilise(step, token, assignments, result),
            Then::Replace(replaced) => self.replaced(step, replaced, result),
            Then::Delete => result = result.and(self.deleted(placed)),
        }
        for (to, reply) in write.replies {
            match result {
                Ok(()) => step.reply(to, reply),
                Err(error) => step.reply(to, reply.failed(error)),
            }
        }
    }
}

/// What a client is told of a failed write, so that it tries again, here or at the new coordinator,
/// as by Kafka.
fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}
