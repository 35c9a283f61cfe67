//! A look at a running broker from outside, for metrics and health: what it counts, and the
//! state of its logs and groups. Nothing is changed, and no lock is held longer than it takes
//! to read a few numbers.

use std::sync::Arc;

use crate::broker::{Broker, Inner};
use crate::metrics::Metrics;
use crate::partition::Partition;

/// Looks at a broker for as long as it is kept; one that has stopped shows its last state.
#[derive(Clone)]
pub struct Observer {
    inner: Arc<Inner>,
}

/// What a look saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// Connections of clients.
    pub connections: usize,
    /// Incremental fetch sessions kept.
    pub fetch_sessions: usize,
    /// Topics in the cluster.
    pub topics: usize,
    /// The partitions led here, by topic and index.
    pub partitions: Vec<PartitionObservation>,
    /// The groups coordinated here, by name.
    pub groups: Vec<GroupObservation>,
}

/// A partition led here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionObservation {
    pub topic: Arc<str>,
    pub index: i32,
    /// False if the log could not be opened, or failed.
    pub online: bool,
    pub size_bytes: i64,
    /// First offset that is kept.
    pub log_start: i64,
    /// Offset of the next record.
    pub log_end: i64,
    /// Offset up to which consumers read.
    pub high_watermark: i64,
}

/// A group coordinated here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupObservation {
    pub group: String,
    pub members: usize,
    /// By topic and partition; only of partitions that are led here.
    pub offsets: Vec<OffsetObservation>,
}

/// How far a group is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetObservation {
    pub topic: String,
    pub partition: i32,
    /// Records between the committed offset and the high watermark.
    pub lag: i64,
}

impl Broker {
    /// A view of this broker that may be kept aside.
    pub fn observer(&self) -> Observer {
        Observer {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl Observer {
    /// What the broker counts.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Why nothing is written any more, once a write or a sync has failed.
    pub fn storage_failure(&self) -> Option<Arc<str>> {
        self.inner.storage.failure()
    }

    /// The state of logs and groups, now. It takes each partition's lock for a moment, so
    /// call it where blocking is allowed.
    pub fn observe(&self) -> Observation {
        let view = self.inner.view();
        let mut partitions = Vec::new();
        for topic in view.topics() {
            let local = topic.partitions.iter().filter_map(|p| p.local.as_ref());
            partitions.extend(local.map(|partition| partition.observe()));
        }
        let mut groups = Vec::new();
        self.inner.groups.visit(|name, group| {
            let committed = group.offsets().iter().flat_map(|(topic, offsets)| {
                offsets
                    .iter()
                    .map(move |(index, of)| (topic, *index, of.offset))
            });
            let offsets = committed.filter_map(|(topic, partition, offset)| {
                let local = view.topic(topic)?.partition(partition)?.local.as_ref()?;
                Some(OffsetObservation {
                    topic: topic.clone(),
                    partition,
                    lag: (local.high_watermark() - offset).max(0),
                })
            });
            groups.push(GroupObservation {
                group: name.to_owned(),
                members: group.member_count(),
                offsets: offsets.collect(),
            });
        });
        groups.sort_unstable_by(|a, b| a.group.cmp(&b.group));
        Observation {
            connections: self.inner.limits.connections(),
            fetch_sessions: self.inner.fetch_sessions.count(),
            topics: view.topic_count(),
            partitions,
            groups,
        }
    }
}

impl Partition {
    fn observe(&self) -> PartitionObservation {
        let seen = self.with_log(|log| (log.size_bytes(), log.log_start(), log.end_offset()));
        let (size, log_start, log_end) = seen.unwrap_or_else(|_| {
            let known = self.checkpoint().unwrap_or_default();
            (0, known.log_start, known.recovery_point)
        });
        PartitionObservation {
            topic: Arc::clone(&self.topic),
            index: self.index,
            online: seen.is_ok(),
            size_bytes: size as i64,
            log_start,
            log_end,
            high_watermark: self.high_watermark(),
        }
    }
}
