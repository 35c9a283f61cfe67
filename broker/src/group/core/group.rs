//! A group: its state, its members, and the questions one can ask them. What changes them in answer
//! to requests is in `join`, `sync`, `leave` and `rebalance`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::Str;
use protocol::api::join_group::JoinGroupResponseMember;
use protocol::error::ErrorCode;

use super::{CommittedOffset, GroupRecord, MemberRecord, ReplyTo, Token, subscription};

/// The protocol type of Kafka's consumers, the only one whose metadata a coordinator can read.
const CONSUMER: &str = "consumer";

/// A consumer group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(super) id: String,
    pub(super) state: State,
    /// When the group entered its state, in milliseconds since the epoch; unknown for groups of old
    /// brokers' records.
    pub(super) state_since_ms: Option<i64>,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) generation: i32,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Instance ids and the members that hold them.
    pub(super) static_members: BTreeMap<String, String>,
    /// Members that were given an id and did not join with it yet, and when they are forgotten.
    pub(super) pending_joins: BTreeMap<String, i64>,
    /// Members of this generation that did not sync yet.
    pub(super) pending_syncs: BTreeSet<String>,
    /// When those are thrown out.
    pub(super) sync_deadline_ms: Option<i64>,
    /// The topics that the members of a consumer group read, where they can be read from the
    /// metadata.
    pub(super) subscribed: Option<BTreeSet<String>>,
    pub(super) offsets: Offsets,
    /// Offsets with writes under way, and how many.
    pub(super) unsettled: BTreeMap<(String, i32), u32>,
    /// All writes under way.
    pub(super) writes: u32,
    /// Whether the log knows the group, so that forgetting it takes a tombstone.
    pub(super) persisted: bool,
    /// Where the shard's queue of deadlines holds this group.
    pub(super) queued_ms: Option<i64>,
}

/// Committed offsets by topic and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

/// Where a group stands between two generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// No members. Offsets may be left, and members on their way.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance {
        /// When those who did not are left behind.
        deadline_ms: i64,
        /// The first rebalance of a group waits even when all known members have joined.
        first: Option<FirstRebalance>,
    },
    /// All have joined; the leader's assignment is awaited.
    CompletingRebalance {
        /// The write of the assignment, once the leader brought it.
        saving: Option<Token>,
    },
    /// Each member has its assignment.
    Stable,
    /// Being deleted: the tombstones are on their way.
    Dead,
}

/// How a first rebalance is prolonged while new members keep coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstRebalance {
    pub(super) delay_ms: i32,
    pub(super) remaining_ms: i32,
    pub(super) grew: bool,
}

impl State {
    /// Kafka's name of it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance { .. } => "PreparingRebalance",
            Self::CompletingRebalance { .. } => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    pub(super) fn preparing(&self) -> bool {
        matches!(self, Self::PreparingRebalance { .. })
    }
}

/// A member of a group.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(super) group_instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Names and metadata, the most wanted first.
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    /// Has not been told its id by a JoinGroup answer, so it cannot send heartbeats.
    pub(super) is_new: bool,
    /// When it counts as gone. None: a join or sync of it waits here, or did when the deadline
    /// passed.
    pub(super) deadline_ms: Option<i64>,
    pub(super) awaiting_join: Option<ReplyTo>,
    pub(super) awaiting_sync: Option<ReplyTo>,
}

impl Member {
    /// Its metadata for a protocol; empty if it does not know that protocol.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// A heartbeat is not expected of a member that waits for us.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    pub(super) fn metadata_bytes(&self) -> usize {
        self.protocols
            .iter()
            .map(|(name, metadata)| name.len() + metadata.len())
            .sum()
    }
}

impl Group {
    pub(super) fn new(id: String, wall_ms: i64) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since_ms: Some(wall_ms),
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            sync_deadline_ms: None,
            subscribed: None,
            offsets: Offsets::new(),
            unsettled: BTreeMap::new(),
            writes: 0,
            persisted: false,
            queued_ms: None,
        }
    }

    /// Where the group stands.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// What its members have in common, `consumer` for Kafka's consumers; empty for a group that
    /// only commits offsets.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The chosen protocol (assignment strategy) of this generation.
    pub(crate) fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    /// The members, as the log would hold them.
    pub(crate) fn members(&self) -> Vec<MemberRecord> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let record = |(id, member): (&String, &Member)| MemberRecord {
            member_id: id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        self.members.iter().map(record).collect()
    }

    /// How many members there are.
    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// The committed offsets by topic and partition.
    pub(crate) fn offsets(&self) -> &BTreeMap<String, BTreeMap<i32, CommittedOffset>> {
        &self.offsets
    }

    /// One committed offset.
    pub(crate) fn offset(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.get(topic)?.get(&partition)
    }

    pub(super) fn enter(&mut self, state: State, wall_ms: i64) {
        self.state = state;
        self.state_since_ms = Some(wall_ms);
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn reads_consumer_metadata(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a topic's offsets must stay because members read it. Metadata that cannot be read
    /// may mean any topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed
            .as_ref()
            .map_or(self.reads_consumer_metadata(), |topics| {
                topics.contains(topic)
            })
    }

    pub(super) fn read_subscriptions(&mut self) {
        self.subscribed = match &self.protocol_name {
            _ if !self.reads_consumer_metadata() => None,
            _ if self.members.is_empty() => Some(BTreeSet::new()),
            None => None,
            Some(protocol) => self
                .members
                .values()
                .try_fold(BTreeSet::new(), |mut all, member| {
                    all.append(&mut subscription::topics(&member.metadata(protocol))?);
                    Some(all)
                }),
        };
    }

    /// Whether a request comes from who it says: a member, and the one that holds its instance id.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(holder) if holder != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Whether someone with these protocols could be a member: one of them must be known to all
    /// others.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.supports(name)))
    }

    /// The protocol that most members prefer among those that all know. `None` without members.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let known_to_all: BTreeSet<&str> = first
            .protocols
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let mut votes = BTreeMap::<&str, u32>::new();
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|(name, _)| known_to_all.contains(name.as_str()));
            if let Some((name, _)) = vote {
                *votes.entry(name).or_default() += 1;
            }
        }
        // Of equals the first in the alphabet: any choice will do, if it is always the same.
        votes
            .into_iter()
            .rev()
            .max_by_key(|(_, votes)| *votes)
            .map(|(name, _)| name.to_owned())
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending_joins.is_empty()
            && self
                .members
                .values()
                .all(|member| member.awaiting_join.is_some())
    }

    pub(super) fn joins_waiting(&self) -> usize {
        self.members
            .values()
            .filter(|member| member.awaiting_join.is_some())
            .count()
    }

    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members
            .values()
            .map(|member| member.rebalance_timeout_ms)
            .max()
            .unwrap_or(0)
    }

    pub(super) fn metadata_bytes(&self) -> usize {
        self.members.values().map(Member::metadata_bytes).sum()
    }

    /// What a leader is told about its group.
    pub(super) fn joined_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let joined = |(id, member): (&String, &Member)| JoinGroupResponseMember {
            member_id: id.clone().into(),
            group_instance_id: member.group_instance_id.clone().map(Str::from),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(joined).collect()
    }

    /// The group for the log, with assignments that are not the members' yet where given.
    pub(super) fn record(&self, assignments: Option<&BTreeMap<String, Bytes>>) -> GroupRecord {
        let mut members = self.members();
        if let Some(assignments) = assignments {
            for member in &mut members {
                member.assignment = assignments
                    .get(&member.member_id)
                    .cloned()
                    .unwrap_or_default();
            }
        }
        GroupRecord {
            protocol_type: self.protocol_type().to_owned(),
            generation: self.generation,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.state_since_ms.unwrap_or(-1),
            members,
        }
    }

    /// Puts a member in, first of all as the leader. The caller has checked the protocols.
    pub(super) fn add(&mut self, id: String, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_joins.remove(&id);
        self.members.insert(id, member);
    }

    /// Takes a member out; another leads where it led. The caller answers what it waits for.
    pub(super) fn take(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id);
        if let Some(instance) = member
            .as_ref()
            .and_then(|member| member.group_instance_id.as_ref())
        {
            self.static_members.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        member
    }

    /// Puts a member's id in the place of another: the same static member after a restart.
    pub(super) fn rename(&mut self, old: &str, new: &str, member: Member) {
        self.members.remove(old);
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), new.to_owned());
        }
        if self.is_leader(old) {
            self.leader = Some(new.to_owned());
        }
        if self.pending_syncs.remove(old) {
            self.pending_syncs.insert(new.to_owned());
        }
        self.members.insert(new.to_owned(), member);
    }

    /// The next moment at which time alone changes the group.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        let rebalance = match self.state {
            State::PreparingRebalance { deadline_ms, .. } => Some(deadline_ms),
            _ => None,
        };
        let members = self
            .members
            .values()
            .filter_map(|member| member.deadline_ms)
            .min();
        let pending = self.pending_joins.values().copied().min();
        [rebalance, members, pending, self.sync_deadline_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing but offsets would be lost with it: no members, none on their way, no writes.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Empty && self.pending_joins.is_empty() && self.writes == 0
    }
}
