//! A member of a group at work: joins, synchronizes, tells that it lives, leaves. What an error
//! means is judged in `verdict`; when to join is the consumer's business, at a poll, as only
//! then nothing is being processed.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::api::join_group::JoinGroupRequestProtocol;
use protocol::api::leave_group::MemberIdentity;
use protocol::api::sync_group::SyncGroupRequestAssignment;
use protocol::api::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use protocol::internal::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition as TopicPartitions,
};
use protocol::{ErrorCode, Request};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ConsumerConfig;
use super::assignor::{Assignor, Member};
use super::verdict::{Identity, Verdict, verdict};
use crate::client::{Counts, Lane};
use crate::coordinator::{Committer, Coordinator, by_topic};
use crate::{ClientError, TopicPartition};

/// The protocol type of groups that read topics.
const CONSUMER: &str = "consumer";

/// A member of a group, as the consumer and its heartbeats share it.
pub(super) struct Group {
    pub(super) coordinator: Arc<Coordinator>,
    config: ConsumerConfig,
    state: Mutex<State>,
    /// Told when the consumer should look at the group.
    pub(super) news: Notify,
}

struct State {
    identity: Identity,
    /// In a generation, with an assignment: heartbeats are due, also while a rebalance waits for
    /// this member, or its session would end before its time to give up the partitions is over.
    stable: bool,
    rejoin: Option<Rejoin>,
    last_poll: Instant,
    failed: Option<ClientError>,
}

/// Why to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejoin {
    /// The partitions are still ours until we do.
    InOrder,
    /// They are others' already.
    Lost,
}

/// What a generation gave this member.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) partitions: Vec<TopicPartition>,
    /// If this member leads: how many partitions it saw in each topic that was asked for.
    pub(super) led: Option<Counts>,
}

impl State {
    fn ask_to_rejoin(&mut self, why: Rejoin) {
        if why == Rejoin::Lost {
            self.stable = false;
            self.identity.generation = -1;
        }
        if self.rejoin != Some(Rejoin::Lost) {
            self.rejoin = Some(why);
        }
    }

    /// Does what the coordinator's answer to a member of a generation comes to.
    fn obey(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Rejoin | Verdict::JoinWithId => self.ask_to_rejoin(Rejoin::InOrder),
            Verdict::Lost => self.ask_to_rejoin(Rejoin::Lost),
            Verdict::JoinAnew => {
                self.ask_to_rejoin(Rejoin::Lost);
                self.identity = Identity::nobody();
            }
            Verdict::Again | Verdict::FindCoordinator | Verdict::GiveUp => {}
        }
    }
}

/// What a leader decided, and from which numbers of partitions.
type Led = (Vec<SyncGroupRequestAssignment>, Counts);

impl Group {
    pub(super) fn new(coordinator: Arc<Coordinator>, config: ConsumerConfig) -> Self {
        Self {
            coordinator,
            config,
            state: Mutex::new(State {
                identity: Identity::nobody(),
                stable: false,
                rejoin: None,
                last_poll: Instant::now(),
                failed: None,
            }),
            news: Notify::new(),
        }
    }

    /// The consumer polls.
    pub(super) fn polled(&self) {
        self.state.lock().last_poll = Instant::now();
    }

    /// Whether to give up the partitions and join again, as far as known.
    pub(super) fn rejoin(&self) -> Option<Rejoin> {
        self.state.lock().rejoin
    }

    /// Whether the consumer must look at the group before it hands out more.
    pub(super) fn has_news(&self) -> bool {
        let state = self.state.lock();
        state.rejoin.is_some() || state.failed.is_some()
    }

    /// Whether the membership ended with an error.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failed.is_some()
    }

    /// The error that ended the membership, told once.
    pub(super) fn take_failure(&self) -> Option<ClientError> {
        self.state.lock().failed.take()
    }

    /// The next poll joins again.
    pub(super) fn ask_to_rejoin(&self, why: Rejoin) {
        self.state.lock().ask_to_rejoin(why);
        self.news.notify_one();
    }

    /// As whom to commit.
    pub(super) fn committer(&self) -> Committer {
        let state = self.state.lock();
        Committer {
            member_id: state.identity.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
            generation: state.identity.generation,
        }
    }

    /// Judges the error of a commit: whether the partitions are lost with it.
    pub(super) fn commit_failed(&self, committer: &Committer, code: ErrorCode) -> bool {
        let verdict = verdict(code);
        if !matches!(verdict, Verdict::Rejoin | Verdict::Lost | Verdict::JoinAnew) {
            return code == ErrorCode::FencedInstanceId;
        }
        let mut state = self.state.lock();
        // A late answer to an older generation's commit says nothing of the present one.
        if state.stable && state.identity.is(committer) {
            state.obey(verdict);
            drop(state);
            self.news.notify_one();
        }
        true
    }

    /// Joins and synchronizes until there is an assignment.
    pub(super) async fn join(&self, topics: &BTreeSet<Arc<str>>) -> Result<Joined, ClientError> {
        {
            let mut state = self.state.lock();
            state.stable = false;
            state.rejoin = None;
        }
        let mut failures = 0;
        let mut has_id = false;
        loop {
            let error = match self.join_once(topics).await {
                Ok(joined) => {
                    let mut state = self.state.lock();
                    state.stable = true;
                    state.last_poll = Instant::now();
                    return Ok(joined);
                }
                Err(error) => error,
            };
            let verdict = match error.code() {
                Some(code) => verdict(code),
                None if error.retriable() => Verdict::Again,
                None => Verdict::GiveUp,
            };
            tracing::debug!(group = self.group(), %error, ?verdict, "joining");
            match verdict {
                Verdict::GiveUp => return Err(error),
                Verdict::Lost => self.state.lock().identity.generation = -1,
                Verdict::JoinAnew => self.state.lock().identity = Identity::nobody(),
                Verdict::FindCoordinator => self.coordinator.forget(),
                // A broker that asks for it each time is not asked without a pause.
                Verdict::JoinWithId if !has_id => {
                    has_id = true;
                    continue;
                }
                Verdict::JoinWithId | Verdict::Again | Verdict::Rejoin => {}
            }
            failures += 1;
            tokio::time::sleep(self.coordinator.client().backoff(failures)).await;
        }
    }

    async fn join_once(&self, topics: &BTreeSet<Arc<str>>) -> Result<Joined, ClientError> {
        let joined = self.ask_to_join(topics).await?;
        let name = joined.protocol_name.as_deref().unwrap_or("").to_owned();
        let mut assignments = Vec::new();
        let mut led = None;
        if joined.leader == joined.member_id && !joined.skip_assignment {
            let (computed, seen) = self.assign(&name, &joined).await?;
            assignments = computed;
            led = Some(seen);
        }
        let request = SyncGroupRequest {
            group_id: self.group().into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            group_instance_id: self.config.instance_id.as_deref().map(Into::into),
            protocol_type: Some(CONSUMER.into()),
            protocol_name: Some(name.into()),
            assignments,
        };
        let response = self.send_long(&request).await?;
        self.check(response.error_code)?;
        let mut partitions = Vec::new();
        if !response.assignment.is_empty() {
            let assignment = ConsumerProtocolAssignment::from_bytes(response.assignment)
                .map_err(|error| self.unreadable("assignment", &error))?;
            for topic in assignment.assigned_partitions {
                let name: Arc<str> = (&*topic.topic).into();
                let indexes = topic.partitions.iter();
                partitions.extend(indexes.map(|&p| TopicPartition::new(name.clone(), p)));
            }
        }
        Ok(Joined { partitions, led })
    }

    async fn ask_to_join(
        &self,
        topics: &BTreeSet<Arc<str>>,
    ) -> Result<JoinGroupResponse, ClientError> {
        let subscription = ConsumerProtocolSubscription {
            topics: topics.iter().map(|topic| topic.as_ref().into()).collect(),
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = subscription.to_bytes(1);
        let request = JoinGroupRequest {
            group_id: self.group().into(),
            session_timeout_ms: self.config.session_timeout.as_millis() as i32,
            rebalance_timeout_ms: self.config.rebalance_timeout.as_millis() as i32,
            member_id: self.state.lock().identity.member_id.as_str().into(),
            group_instance_id: self.config.instance_id.as_deref().map(Into::into),
            protocol_type: CONSUMER.into(),
            protocols: self
                .config
                .assignors
                .iter()
                .map(|assignor| JoinGroupRequestProtocol {
                    name: assignor.name().into(),
                    metadata: metadata.clone(),
                })
                .collect(),
            reason: None,
        };
        let response = self.send_long(&request).await?;
        let code = ErrorCode::from(response.error_code);
        if code == ErrorCode::MemberIdRequired {
            self.state.lock().identity.member_id = response.member_id.to_string();
        }
        self.check(response.error_code)?;
        self.state.lock().identity = Identity {
            member_id: response.member_id.to_string(),
            generation: response.generation_id,
        };
        Ok(response)
    }

    /// The leader's work: who reads what, from the members' subscriptions.
    async fn assign(&self, protocol: &str, joined: &JoinGroupResponse) -> Result<Led, ClientError> {
        let assignor = Assignor::named(protocol).ok_or_else(|| {
            ClientError::refused(
                format!("group {}, assignor {protocol}", self.group()),
                ErrorCode::InconsistentGroupProtocol,
            )
        })?;
        let mut members = Vec::new();
        for member in &joined.members {
            let subscription = ConsumerProtocolSubscription::from_bytes(member.metadata.clone())
                .map_err(|error| self.unreadable("member's subscription", &error))?;
            members.push(Member {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_deref().map(str::to_owned),
                topics: subscription
                    .topics
                    .iter()
                    .map(|topic| Arc::from(&**topic))
                    .collect(),
            });
        }
        let topics: BTreeSet<Arc<str>> = members.iter().flat_map(|m| m.topics.clone()).collect();
        let partitions = self.coordinator.client().count_partitions(&topics).await?;
        let assigned = assignor.assign(&members, &partitions);
        let assignments = members
            .iter()
            .zip(assigned)
            .map(|(member, partitions)| {
                let topics = by_topic(partitions.iter().map(|partition| (partition, ())));
                let assignment = ConsumerProtocolAssignment {
                    assigned_partitions: topics
                        .into_iter()
                        .map(|(topic, indexes)| TopicPartitions {
                            topic: topic.as_ref().into(),
                            partitions: indexes.into_iter().map(|(index, ())| index).collect(),
                        })
                        .collect(),
                    user_data: None,
                };
                SyncGroupRequestAssignment {
                    member_id: member.member_id.as_str().into(),
                    assignment: assignment.to_bytes(1),
                }
            })
            .collect();
        Ok((assignments, partitions))
    }

    /// One heartbeat, if one is due.
    pub(super) async fn heartbeat(&self) {
        let (identity, late) = {
            let state = self.state.lock();
            if !state.stable {
                return;
            }
            let late = state.last_poll.elapsed() > self.config.rebalance_timeout;
            (state.identity.clone(), late)
        };
        if late {
            tracing::warn!(
                group = self.group(),
                "leaving the group: no poll within rebalance_timeout"
            );
            self.leave().await;
            self.ask_to_rejoin(Rejoin::Lost);
            return;
        }
        let request = HeartbeatRequest {
            group_id: self.group().into(),
            generation_id: identity.generation,
            member_id: identity.member_id.as_str().into(),
            group_instance_id: self.config.instance_id.as_deref().map(Into::into),
        };
        let timeout = self.config.client.connection.request_timeout;
        let answered = self.coordinator.send(&request, Lane::Group, timeout).await;
        let error = match answered.and_then(|response| self.check(response.error_code)) {
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::debug!(group = self.group(), %error, "heartbeat");
        let mut state = self.state.lock();
        // An answer to an older generation says nothing of the present one, nor one that comes
        // while we join.
        if !state.stable || state.identity != identity {
            return;
        }
        match error.code().map(verdict) {
            Some(Verdict::FindCoordinator) => return self.coordinator.forget(),
            Some(Verdict::Again) | None => return,
            Some(Verdict::GiveUp) => {
                state.stable = false;
                state.failed = Some(error);
            }
            Some(verdict) => state.obey(verdict),
        }
        drop(state);
        self.news.notify_one();
    }

    /// Leaves the group, so that it need not wait for the session to time out. A static member
    /// stays: its place is kept for its return.
    pub(super) async fn leave(&self) {
        let identity = {
            let mut state = self.state.lock();
            state.stable = false;
            std::mem::replace(&mut state.identity, Identity::nobody())
        };
        if identity.member_id.is_empty() || self.config.instance_id.is_some() {
            return;
        }
        let request = LeaveGroupRequest {
            group_id: self.group().into(),
            member_id: identity.member_id.as_str().into(),
            members: vec![MemberIdentity {
                member_id: identity.member_id.as_str().into(),
                ..MemberIdentity::default()
            }],
        };
        // Not behind a JoinGroup that waits for the other members.
        let timeout = self.config.client.connection.request_timeout;
        let left = self.coordinator.send(&request, Lane::Common, timeout).await;
        if let Err(error) = left {
            tracing::debug!(group = self.group(), %error, "leaving");
        }
    }

    fn group(&self) -> &str {
        self.coordinator.group()
    }

    /// For requests that the coordinator answers when all members have come.
    async fn send_long<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let timeout = self.config.client.connection.request_timeout + self.config.rebalance_timeout;
        self.coordinator.send(request, Lane::Group, timeout).await
    }

    fn check(&self, code: i16) -> Result<(), ClientError> {
        ClientError::check(format!("group {}", self.group()), code, None)
    }

    fn unreadable(&self, what: &str, error: &protocol::DecodeError) -> ClientError {
        ClientError::Invalid(format!(
            "group {}: a {what} cannot be read: {error}",
            self.group()
        ))
    }
}

#[cfg(test)]
mod tests;
