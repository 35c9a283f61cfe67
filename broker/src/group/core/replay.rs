//! Building a shard from its log: the last record of each key decides.

use super::group::{Group, Member, State};
use super::step::Step;
use super::{GroupRecord, Now, Record, Shard};

impl Shard {
    /// Takes the next record of the log; only before [`Self::loaded`].
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Offset {
                group,
                topic,
                partition,
                value,
            } => match (self.groups.get_mut(&group), value) {
                (Some(group), value) => group.set_offset(&topic, partition, value),
                (None, Some(value)) => {
                    let mut group_of_it = Group::new(group.clone(), value.commit_timestamp_ms);
                    group_of_it.set_offset(&topic, partition, Some(value));
                    self.groups.insert(group, group_of_it);
                }
                (None, None) => {}
            },
            Record::Group { group, value } => {
                let before = self.groups.remove(&group);
                let offsets = before.map(|before| before.offsets).unwrap_or_default();
                let loaded = match value {
                    Some(value) => Group {
                        offsets,
                        ..Group::from_record(group.clone(), value)
                    },
                    None if offsets.is_empty() => return,
                    None => Group {
                        offsets,
                        ..Group::new(group.clone(), 0)
                    },
                };
                self.groups.insert(group, loaded);
            }
        }
    }

    /// The log has been read to its end: sessions start anew, so that members have time to find
    /// their way here. Returns what must be done at once.
    pub(crate) fn loaded(&mut self, now: Now) -> Vec<super::Action> {
        self.groups
            .retain(|_, group| group.persisted || !group.offsets.is_empty());
        self.start(now)
    }
}

impl Group {
    fn from_record(id: String, record: GroupRecord) -> Self {
        let mut group = Self::new(id, record.state_timestamp_ms);
        group.state_since_ms =
            (record.state_timestamp_ms >= 0).then_some(record.state_timestamp_ms);
        group.generation = record.generation;
        group.protocol_type = Some(record.protocol_type).filter(|name| !name.is_empty());
        group.persisted = true;
        // Members without a protocol cannot be: no generation has members before one is chosen.
        if let Some(protocol) = record.protocol_name {
            for member in record.members {
                let rebalance_timeout_ms = match member.rebalance_timeout_ms {
                    -1 => member.session_timeout_ms,
                    ms => ms,
                };
                if let Some(instance) = &member.group_instance_id {
                    group
                        .static_members
                        .insert(instance.clone(), member.member_id.clone());
                }
                let loaded = Member {
                    group_instance_id: member.group_instance_id,
                    client_id: member.client_id,
                    client_host: member.client_host,
                    rebalance_timeout_ms,
                    session_timeout_ms: member.session_timeout_ms,
                    protocols: vec![(protocol.clone(), member.subscription)],
                    assignment: member.assignment,
                    is_new: false,
                    deadline_ms: None,
                    awaiting_join: None,
                    awaiting_sync: None,
                };
                group.members.insert(member.member_id, loaded);
            }
            group.protocol_name = Some(protocol);
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
            let led = record
                .leader
                .filter(|leader| group.members.contains_key(leader));
            group.leader = led.or_else(|| group.members.keys().next().cloned());
        }
        group.read_subscriptions();
        group
    }

    /// Begins the sessions of the members that the log knew.
    pub(super) fn begin_sessions(&mut self, step: &Step<'_>) {
        let bounds = (
            step.config.session_timeout_ms_min,
            step.config.session_timeout_ms_max,
        );
        for member in self.members.values_mut() {
            let session_ms = member.session_timeout_ms.max(bounds.0).min(bounds.1);
            member.deadline_ms = Some(step.after_ms(session_ms));
        }
    }
}
