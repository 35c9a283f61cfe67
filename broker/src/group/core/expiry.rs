//! Offsets that nobody has asked to keep: those of groups without members, of topics that members
//! no longer read, and of deleted topics; and the groups that nothing is left of.

use super::group::{Group, State};
use super::step::{Step, Then};
use super::{CommittedOffset, Record, Token};

/// The tombstones of one write, in bytes. Those of a group that read thousands of partitions are
/// more than one batch of the log takes, and need not come all at once, as Kafka's do not.
const TOMBSTONES_BYTES_MAX: usize = 64 << 10;
/// A tombstone's size at most, but for its group's name.
const TOMBSTONE_BYTES: usize = 300;

impl Group {
    /// Forgets expired offsets by Kafka's rules (KIP-211), and with the last of them the group, if
    /// it is empty.
    pub(super) fn expire_offsets(&mut self, step: &mut Step<'_>) {
        if self.writes > 0 || self.state == State::Dead {
            return;
        }
        let since = match (&self.protocol_type, &self.state) {
            // Members did join once: the clock starts when the last has left.
            (Some(_), State::Empty) => Since::Empty(self.state_since_ms),
            // Members are there: only what they do not read expires.
            (Some(_), State::Stable)
                if self.reads_consumer_metadata() && self.subscribed.is_some() =>
            {
                Since::Commit
            }
            (Some(_), _) => return,
            (None, _) => Since::Commit,
        };
        let mut records = Vec::new();
        let mut all = true;
        for (topic, partitions) in &self.offsets {
            let subscribed = self.is_subscribed_to(topic);
            for (partition, offset) in partitions {
                if !subscribed && since.expired(offset, step) {
                    let (group, topic) = (self.id.clone(), topic.clone());
                    records.push(Record::Offset {
                        group,
                        topic,
                        partition: *partition,
                        value: None,
                    });
                } else {
                    all = false;
                }
            }
        }
        if all && self.is_idle() {
            if self.persisted {
                records.push(Record::Group {
                    group: self.id.clone(),
                    value: None,
                });
            }
            self.state = State::Dead;
            self.forget(step, records, Then::Delete);
        } else if !records.is_empty() {
            self.forget(step, records, Then::Nothing);
        }
    }

    /// Forgets the offsets in a deleted topic.
    pub(super) fn topic_deleted(&mut self, step: &mut Step<'_>, topic: &str) {
        let records = self.offset_tombstones(|name| name == topic);
        if !records.is_empty() {
            self.forget(step, records, Then::Nothing);
        }
    }

    /// Writes tombstones, in as many writes as it takes, the last of which decides `then`.
    pub(super) fn forget(
        &mut self,
        step: &mut Step<'_>,
        tombstones: Vec<Record>,
        then: Then,
    ) -> Token {
        let at_a_time = (TOMBSTONES_BYTES_MAX / (self.id.len() + TOMBSTONE_BYTES)).max(1);
        let mut tombstones = tombstones.into_iter();
        loop {
            let some: Vec<Record> = tombstones.by_ref().take(at_a_time).collect();
            if tombstones.len() == 0 {
                return self.append(step, some, then);
            }
            self.append(step, some, Then::Nothing);
        }
    }
}

/// What the retention is counted from.
enum Since {
    Empty(Option<i64>),
    Commit,
}

impl Since {
    fn expired(&self, offset: &CommittedOffset, step: &Step<'_>) -> bool {
        if let Some(at_ms) = offset.expire_timestamp_ms {
            return step.now.wall_ms >= at_ms;
        }
        let from_ms = match self {
            Self::Empty(Some(since_ms)) => *since_ms,
            Self::Empty(None) | Self::Commit => offset.commit_timestamp_ms,
        };
        step.now.wall_ms.saturating_sub(from_ms) >= step.config.offsets_retention_ms
    }
}
