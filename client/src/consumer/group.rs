//! A member of a group at work: joins, synchronizes, tells that it lives, leaves. What an error
//! means is judged in `membership`; when to join is the consumer's business, at a poll, as only
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
use super::attend::Counts;
use super::membership::{Asked, Identity, Next, next};
use crate::coordinator::{Committer, Coordinator, by_topic};
use crate::{ClientError, TopicPartition};

/// The protocol type of groups that read topics.
const CONSUMER: &str = "consumer";

/// A member of a group, as the consumer and its heartbeats share it.
pub(super) struct Group {
    pub(super) coordinator: Coordinator,
    config: ConsumerConfig,
    state: Mutex<State>,
    /// Told when the consumer should look at the group.
    pub(super) news: Arc<Notify>,
}

struct State {
    identity: Identity,
    /// In a generation, with an assignment: heartbeats are due.
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

/// What a leader decided, and from which numbers of partitions.
type Led = (Vec<SyncGroupRequestAssignment>, Counts);

impl Group {
    pub(super) fn new(coordinator: Coordinator, config: ConsumerConfig, news: Arc<Notify>) -> Self {
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
            news,
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

    /// The error that ended the membership, told once.
    pub(super) fn take_failure(&self) -> Option<ClientError> {
        self.state.lock().failed.take()
    }

    /// The next poll joins again.
    pub(super) fn ask_to_rejoin(&self, why: Rejoin) {
        let mut state = self.state.lock();
        state.stable = false;
        if why == Rejoin::Lost {
            state.identity = Identity::nobody();
        }
        if state.rejoin != Some(Rejoin::Lost) {
            state.rejoin = Some(why);
        }
        drop(state);
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
    pub(super) fn commit_failed(&self, code: ErrorCode) -> bool {
        match next(Asked::Commit, code) {
            Next::Rejoin => {
                self.ask_to_rejoin(Rejoin::InOrder);
                true
            }
            Next::JoinAnew => {
                self.ask_to_rejoin(Rejoin::Lost);
                true
            }
            _ => code == ErrorCode::FencedInstanceId,
        }
    }

    /// Joins and synchronizes until there is an assignment.
    pub(super) async fn join(&self, topics: &BTreeSet<Arc<str>>) -> Result<Joined, ClientError> {
        {
            let mut state = self.state.lock();
            state.stable = false;
            state.rejoin = None;
        }
        let mut failures = 0;
        loop {
            let (asked, error) = match self.join_once(topics).await {
                Ok(joined) => {
                    let mut state = self.state.lock();
                    state.stable = true;
                    state.last_poll = Instant::now();
                    return Ok(joined);
                }
                Err(failed) => failed,
            };
            let next = match error.code() {
                Some(code) => next(asked, code),
                None if error.retriable() => Next::Again,
                None => Next::GiveUp,
            };
            tracing::debug!(group = %self.coordinator.group(), %error, ?next, "joining");
            match next {
                Next::GiveUp => return Err(error),
                Next::JoinAnew => self.state.lock().identity = Identity::nobody(),
                Next::FindCoordinator => self.coordinator.forget(),
                Next::JoinWithId => continue,
                Next::Again | Next::Rejoin => {}
            }
            failures += 1;
            tokio::time::sleep(self.coordinator.client().backoff(failures)).await;
        }
    }

    async fn join_once(&self, topics: &BTreeSet<Arc<str>>) -> Result<Joined, (Asked, ClientError)> {
        let joined = self
            .ask_to_join(topics)
            .await
            .map_err(|e| (Asked::Join, e))?;
        let name = joined.protocol_name.as_deref().unwrap_or("").to_owned();
        let mut assignments = Vec::new();
        let mut led = None;
        if joined.leader == joined.member_id && !joined.skip_assignment {
            let (computed, seen) = self
                .assign(&name, &joined)
                .await
                .map_err(|e| (Asked::Sync, e))?;
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
        let response = self
            .send_long(&request)
            .await
            .map_err(|e| (Asked::Sync, e))?;
        self.check(response.error_code)
            .map_err(|e| (Asked::Sync, e))?;
        let mut partitions = Vec::new();
        if !response.assignment.is_empty() {
            let assignment = ConsumerProtocolAssignment::from_bytes(response.assignment)
                .map_err(|e| (Asked::Sync, self.unreadable("assignment", &e)))?;
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
        let partitions = self.count_partitions(&topics).await?;
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

    /// How many partitions each topic has; none where it is not there (yet).
    pub(super) async fn count_partitions(
        &self,
        topics: &BTreeSet<Arc<str>>,
    ) -> Result<Counts, ClientError> {
        let client = self.coordinator.client();
        let asked = topics.iter().cloned().collect();
        let create = client.config().auto_create_topics;
        let response = client.fetch_metadata(Some(asked), create).await?;
        let mut counts: Counts = topics.iter().map(|t| (t.clone(), 0)).collect();
        for topic in &response.topics {
            if let Some(name) = topic.name.as_deref()
                && let Some(count) = counts.get_mut(name)
            {
                *count = topic.partitions.len();
            }
        }
        Ok(counts)
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
        let answered = self.coordinator.send(&request, None).await;
        let error = match answered.and_then(|response| self.check(response.error_code)) {
            Ok(()) => return,
            Err(error) => error,
        };
        // An answer to an older generation says nothing of the present one.
        if self.state.lock().identity != identity {
            return;
        }
        tracing::debug!(group = self.group(), %error, "heartbeat");
        match error.code().map(|code| next(Asked::Heartbeat, code)) {
            Some(Next::Rejoin | Next::JoinWithId) => self.ask_to_rejoin(Rejoin::InOrder),
            Some(Next::JoinAnew) => self.ask_to_rejoin(Rejoin::Lost),
            Some(Next::FindCoordinator) => self.coordinator.forget(),
            Some(Next::GiveUp) => {
                {
                    let mut state = self.state.lock();
                    state.stable = false;
                    state.failed = Some(error);
                }
                self.news.notify_one();
            }
            Some(Next::Again) | None => {}
        }
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
        if let Err(error) = self.coordinator.send(&request, None).await {
            tracing::debug!(group = self.group(), %error, "leaving");
        }
    }

    fn group(&self) -> &str {
        self.coordinator.group()
    }

    /// For requests that the coordinator answers when all members have come.
    async fn send_long<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let timeout = self.config.client.connection.request_timeout + self.config.rebalance_timeout;
        self.coordinator.send(request, Some(timeout)).await
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
