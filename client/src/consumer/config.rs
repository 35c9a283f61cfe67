//! What a consumer can be told.

use std::time::Duration;

use super::Assignor;
use crate::ClientConfig;

/// Where to start in a partition that has no committed offset, or none that is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// At the first record that is there.
    Earliest,
    /// Behind the last one: only what comes from now on.
    #[default]
    Latest,
    /// Nowhere: polling fails with [`NoOffset`](super::ConsumeError::NoOffset).
    None,
}

/// How a [`Consumer`](super::Consumer) works.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The cluster.
    pub client: ClientConfig,
    /// The group, needed to subscribe and to commit.
    pub group_id: Option<String>,
    /// A name that this member keeps over restarts, so that a short absence moves no partitions
    /// (KIP-345). It must be the only one in the group.
    pub instance_id: Option<String>,
    /// Where to start without a committed offset.
    pub reset: Reset,
    /// How often positions are committed while polling, and at the end; `None` leaves
    /// committing to the caller. What a poll returned counts as processed at the next poll.
    pub auto_commit: Option<Duration>,
    /// The group gives a member up that was silent for this long.
    pub session_timeout: Duration,
    /// How often a member tells that it lives.
    pub heartbeat_interval: Duration,
    /// The longest time between two polls, and so the longest a rebalance waits for a member.
    pub rebalance_timeout: Duration,
    /// How partitions are spread, by preference; all members must have one in common.
    pub assignors: Vec<Assignor>,
    /// A broker answers a fetch once it has this much, in bytes, ...
    pub fetch_min_bytes: i32,
    /// ... or after this long.
    pub fetch_max_wait: Duration,
    /// The most that one fetch returns, in bytes.
    pub fetch_max_bytes: i32,
    /// The most that one fetch returns of one partition, in bytes; a larger batch comes alone.
    pub partition_max_bytes: i32,
    /// Bytes fetched ahead of polling, about; fetching stops beyond.
    pub prefetch_bytes: usize,
    /// The most records that one poll returns.
    pub max_poll_records: usize,
    /// Whether checksums are compared, at less than a tenth of the cost of decoding.
    pub check_crcs: bool,
}

impl ConsumerConfig {
    /// The defaults, for the cluster with these brokers.
    pub fn new(brokers: impl AsRef<str>) -> Self {
        Self {
            client: ClientConfig {
                auto_create_topics: false,
                ..ClientConfig::new(brokers)
            },
            ..Self::default()
        }
    }

    /// The defaults, as a member of this group.
    pub fn in_group(brokers: impl AsRef<str>, group: impl Into<String>) -> Self {
        Self {
            group_id: Some(group.into()),
            ..Self::new(brokers)
        }
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            client: ClientConfig {
                auto_create_topics: false,
                ..ClientConfig::default()
            },
            group_id: None,
            instance_id: None,
            reset: Reset::Latest,
            auto_commit: Some(Duration::from_secs(5)),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(300),
            assignors: vec![Assignor::Range, Assignor::RoundRobin],
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 50 << 20,
            partition_max_bytes: 4 << 20,
            prefetch_bytes: 64 << 20,
            max_poll_records: 2000,
            check_crcs: true,
        }
    }
}
