//! The groups of one partition of `__consumer_offsets`: events find their group here, and deadlines
//! their time.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::ErrorCode;

use super::config::ID_BYTES_MAX;
use super::group::{Group, State};
use super::step::{Step, Then, Writes};
use super::{
    Action, CommitRequest, Config, Event, Now, Reply, ReplyTo, join, refused_join, refused_sync,
};

/// All groups whose records lie in one partition.
#[derive(Debug)]
pub(crate) struct Shard {
    config: Config,
    pub(super) groups: BTreeMap<String, Group>,
    /// Groups by the moment at which to look at them. It may come too early, as heartbeats move
    /// deadlines; never too late.
    queue: BTreeSet<(i64, String)>,
    writes: Writes,
    expire_offsets_at_ms: i64,
}

impl Shard {
    /// A shard that has read nothing yet: `replay` its log, then tell it that it is `loaded`.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            queue: BTreeSet::new(),
            writes: Writes::default(),
            expire_offsets_at_ms: i64::MAX,
        }
    }

    /// A group by its id.
    pub(crate) fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    /// All groups by their ids.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(id, group)| (id.as_str(), group))
    }

    /// When a [`Event::Tick`] is due, on the clock of `Now::ticks_ms`.
    pub(crate) fn next_deadline(&self) -> i64 {
        self.queue
            .first()
            .map_or(self.expire_offsets_at_ms, |(at_ms, _)| {
                self.expire_offsets_at_ms.min(*at_ms)
            })
    }

    /// Everything that waits here is sent away with `error`: the partition is led elsewhere from
    /// now on.
    pub(crate) fn abandon(&mut self, error: ErrorCode) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, member) in self
            .groups
            .values_mut()
            .flat_map(|group| &mut group.members)
        {
            if let Some(to) = member.awaiting_join.take() {
                actions.push(Action::Reply(
                    to,
                    Reply::Join(refused_join(id.clone(), error)),
                ));
            }
            if let Some(to) = member.awaiting_sync.take() {
                actions.push(Action::Reply(to, Reply::Sync(refused_sync(error))));
            }
        }
        for (_, write) in std::mem::take(&mut self.writes.under_way) {
            let failed = write
                .replies
                .into_iter()
                .map(|(to, reply)| Action::Reply(to, reply.failed(error)));
            actions.extend(failed);
        }
        actions
    }

    /// Takes an event and says what is to be done about it.
    pub(crate) fn on(&mut self, now: Now, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Join(request, to) => {
                if let Err(error) = join::check(&request, &self.config) {
                    actions.push(refuse_join(to, request.member_id, error));
                } else if !self.groups.contains_key(&request.group) && !request.member_id.is_empty()
                {
                    actions.push(refuse_join(
                        to,
                        request.member_id,
                        ErrorCode::UnknownMemberId,
                    ));
                } else if !self.found(now, &request.group) {
                    actions.push(refuse_join(
                        to,
                        request.member_id,
                        ErrorCode::GroupMaxSizeReached,
                    ));
                } else {
                    let id = request.group.clone();
                    self.with(now, &mut actions, &id, |group, step| {
                        group.join(step, request, to);
                    });
                }
            }
            Event::Sync(request, to) => {
                let id = request.group.clone();
                let known = self.with(now, &mut actions, &id, |group, step| {
                    group.sync(step, request, to);
                });
                if !known {
                    let error = unknown(&id, ErrorCode::UnknownMemberId);
                    actions.push(Action::Reply(to, Reply::Sync(refused_sync(error))));
                }
            }
            Event::Heartbeat {
                group: id,
                generation,
                member_id,
                group_instance_id,
                reply_to: to,
            } => {
                let known = self.with(now, &mut actions, &id, |group, step| {
                    let code =
                        group.heartbeat(step, &member_id, group_instance_id.as_deref(), generation);
                    step.reply(to, Reply::Heartbeat(code));
                });
                if !known {
                    actions.push(Action::Reply(
                        to,
                        Reply::Heartbeat(unknown(&id, ErrorCode::UnknownMemberId)),
                    ));
                }
            }
            Event::Leave(request, to) => {
                let (id, leavers) = (request.group.clone(), request.members.len());
                let known = self.with(now, &mut actions, &id, |group, step| {
                    group.leave(step, request, to);
                });
                if !known {
                    let codes = match unknown(&id, ErrorCode::UnknownMemberId) {
                        ErrorCode::InvalidGroupId => Err(ErrorCode::InvalidGroupId),
                        error => Ok(vec![error; leavers]),
                    };
                    actions.push(Action::Reply(to, Reply::Leave(codes)));
                }
            }
            Event::Commit(request, to) => self.commit(now, &mut actions, request, to),
            Event::DeleteOffsets(request, to) => {
                let id = request.group.clone();
                let known = self.with(now, &mut actions, &id, |group, step| {
                    group.delete_offsets(step, request, to);
                });
                if !known {
                    let error = unknown(&id, ErrorCode::GroupIdNotFound);
                    actions.push(Action::Reply(to, Reply::DeleteOffsets(Err(error))));
                }
            }
            Event::DeleteGroup {
                group: id,
                reply_to: to,
            } => {
                let known = self.with(now, &mut actions, &id, |group, step| group.delete(step, to));
                if !known {
                    actions.push(Action::Reply(
                        to,
                        Reply::DeleteGroup(ErrorCode::GroupIdNotFound),
                    ));
                }
            }
            Event::Settle {
                group: id,
                reply_to: to,
            } => {
                let settled = Reply::Settled(ErrorCode::None);
                let under_way = self.groups.get(&id).is_some_and(|group| group.writes > 0);
                if under_way {
                    self.with(now, &mut actions, &id, |group, step| {
                        let token = group.append(step, Vec::new(), Then::Nothing);
                        step.reply_after(Some(token), to, settled);
                    });
                } else {
                    actions.push(Action::Reply(to, settled));
                }
            }
            Event::TopicDeleted(topic) => {
                self.with_each(now, &mut actions, |group, step| {
                    group.topic_deleted(step, &topic);
                });
            }
            Event::Written(token, result) => {
                if let Some(write) = self.writes.under_way.remove(&token) {
                    let id = write.group.clone();
                    self.with(now, &mut actions, &id, |group, step| {
                        group.written(step, token, write, result);
                    });
                }
            }
            Event::Tick => self.tick(now, &mut actions),
        }
        actions
    }

    fn commit(&mut self, now: Now, actions: &mut Vec<Action>, request: CommitRequest, to: ReplyTo) {
        let id = request.group.clone();
        let refused = if self.groups.contains_key(&id) {
            None
        } else if request.generation >= 0 {
            let error = if request.group_not_found {
                ErrorCode::GroupIdNotFound
            } else {
                ErrorCode::IllegalGeneration
            };
            Some(error)
        } else if id.len() > ID_BYTES_MAX {
            Some(ErrorCode::InvalidGroupId)
        } else if !self.found(now, &id) {
            Some(ErrorCode::InvalidCommitOffsetSize)
        } else {
            None
        };
        match refused {
            Some(error) => {
                actions.push(Action::Reply(
                    to,
                    Reply::Commit(vec![error; request.offsets.len()]),
                ));
            }
            None => {
                self.with(now, actions, &id, |group, step| {
                    group.commit(step, request, to);
                });
            }
        }
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>) {
        while let Some((at_ms, id)) = self.queue.first().cloned() {
            if at_ms > now.ticks_ms {
                break;
            }
            self.queue.pop_first();
            if let Some(group) = self.groups.get_mut(&id) {
                group.queued_ms = None;
            }
            self.with(now, actions, &id, Group::deadlines_passed);
        }
        if self.expire_offsets_at_ms <= now.ticks_ms {
            self.expire_offsets_at_ms =
                now.ticks_ms + self.config.offsets_retention_check_interval_ms;
            self.with_each(now, actions, Group::expire_offsets);
        }
    }

    /// The first step of a loaded shard.
    pub(super) fn start(&mut self, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire_offsets_at_ms = now.ticks_ms + self.config.offsets_retention_check_interval_ms;
        self.with_each(now, &mut actions, |group, step| {
            group.begin_sessions(step);
            if group.members.len() > step.config.group_members_max {
                group.prepare_rebalance(step);
            }
        });
        actions
    }

    /// Makes sure that the group exists; false if there is no room for another.
    fn found(&mut self, now: Now, id: &str) -> bool {
        if self.groups.contains_key(id) {
            return true;
        }
        if self.groups.len() >= self.config.groups_max {
            return false;
        }
        self.groups
            .insert(id.to_owned(), Group::new(id.to_owned(), now.wall_ms));
        true
    }

    fn with_each(
        &mut self,
        now: Now,
        actions: &mut Vec<Action>,
        mut work: impl FnMut(&mut Group, &mut Step<'_>),
    ) {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with(now, actions, &id, &mut work);
        }
    }

    /// Lets a group take a step, then sees to its place in the queue, or its end. False if there is
    /// no such group.
    fn with(
        &mut self,
        now: Now,
        actions: &mut Vec<Action>,
        id: &str,
        work: impl FnOnce(&mut Group, &mut Step<'_>),
    ) -> bool {
        let Some(group) = self.groups.get_mut(id) else {
            return false;
        };
        work(
            group,
            &mut Step {
                now,
                config: &self.config,
                writes: &mut self.writes,
                actions,
            },
        );
        if group.state == State::Dead && group.writes == 0 {
            if let Some(at_ms) = group.queued_ms {
                self.queue.remove(&(at_ms, id.to_owned()));
            }
            self.groups.remove(id);
            return true;
        }
        if let Some(at_ms) = group.next_deadline_ms()
            && group.queued_ms.is_none_or(|queued_ms| at_ms < queued_ms)
        {
            if let Some(queued_ms) = group.queued_ms.replace(at_ms) {
                self.queue.remove(&(queued_ms, id.to_owned()));
            }
            self.queue.insert((at_ms, id.to_owned()));
        }
        true
    }
}

impl Group {
    /// Does what time alone asks for. One thing may follow from another, but no deadline sets an
    /// earlier one.
    fn deadlines_passed(&mut self, step: &mut Step<'_>) {
        let now_ms = step.now.ticks_ms;
        let expired: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.deadline_ms.is_some_and(|at_ms| at_ms <= now_ms))
            .map(|(id, _)| id.clone())
            .chain(
                self.pending_joins
                    .iter()
                    .filter(|(_, at_ms)| **at_ms <= now_ms)
                    .map(|(id, _)| id.clone()),
            )
            .collect();
        for id in expired {
            self.session_expired(step, &id);
        }
        if let State::PreparingRebalance { deadline_ms, .. } = self.state
            && deadline_ms <= now_ms
        {
            self.rebalance_deadline_passed(step);
        }
        if self.sync_deadline_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.sync_deadline_passed(step);
        }
    }
}

fn refuse_join(to: ReplyTo, member_id: String, error: ErrorCode) -> Action {
    Action::Reply(to, Reply::Join(refused_join(member_id, error)))
}

/// The error for a group that does not exist, or could not.
fn unknown(id: &str, error: ErrorCode) -> ErrorCode {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        ErrorCode::InvalidGroupId
    } else {
        error
    }
}
