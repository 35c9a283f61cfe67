//! Silence and ignorance told apart: a partition without records has none only while its leader says so.

use std::time::Duration;

use tokio::time::Instant;

use super::{Positions, Wanted};
use crate::TopicPartition;

impl Positions {
    /// The fetch of `wanted` was answered, be it with nothing.
    pub(in super::super) fn heard(&mut self, wanted: &Wanted, now: Instant) {
        if let Some(assigned) = self.current_epoch(&wanted.partition, wanted.epoch) {
            assigned.heard = Some(now);
        }
    }

    /// The partitions of which no fetch was answered `within` this time.
    pub(in super::super) fn unheard(&self, now: Instant, within: Duration) -> Vec<TopicPartition> {
        let heard = |at: Instant| now.saturating_duration_since(at) <= within;
        let all = self.partitions.iter();
        all.filter(|(_, assigned)| !assigned.heard.is_some_and(heard))
            .map(|(partition, _)| partition.clone())
            .collect()
    }
}
