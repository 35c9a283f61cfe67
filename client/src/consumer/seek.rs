//! Where to read: seeking, positions, and which offset lies where.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::fetcher::Shared;
use super::{ConsumeError, Consumer};
use crate::TopicPartition;
use crate::offsets::{self, FoundOffset, OffsetSpec};

impl Consumer {
    /// Goes on at `offset`, which need not be there: then `reset` says where.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ConsumeError> {
        self.forget_polled(partition);
        self.change_assigned(partition, |shared| {
            shared.positions.lock().seek(partition, offset)
        })
    }

    /// Goes on, in all assigned partitions, at the first record of this time (in milliseconds
    /// since 1970) or later; at the end where there is none.
    pub async fn seek_to_time(&mut self, timestamp_ms: i64) -> Result<(), ConsumeError> {
        let partitions = self.assignment();
        let found = self.offsets_for_time(&partitions, timestamp_ms).await?;
        let later: Vec<_> = partitions
            .iter()
            .filter(|partition| !matches!(found.get(partition), Some(Some(_))))
            .cloned()
            .collect();
        let ends = self.end_offsets(&later).await?;
        for partition in &partitions {
            let found = found.get(partition).copied().flatten();
            let at = found.map(|at| at.offset).or(ends.get(partition).copied());
            if let Some(offset) = at {
                self.seek(partition, offset)?;
            }
        }
        Ok(())
    }

    /// The offset of the next record that will be handed out, once it is known.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let waiting = self.polled.iter().find(|record| {
            record.partition == partition.partition && record.topic == partition.topic
        });
        match waiting {
            Some(record) => Some(record.offset),
            None => self.shared.positions.lock().position(partition),
        }
    }

    /// The positions of all assigned partitions, where they are known.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        let mut positions = self.shared.positions.lock().all();
        // Backwards, so that the first record of each partition stays.
        for record in self.polled.iter().rev() {
            positions.insert(record.topic_partition(), record.offset);
        }
        positions
    }

    /// The partition's end as of the last fetch: what is between it and the position is its lag.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.shared.positions.lock().high_watermark(partition)
    }

    /// The assigned partitions whose leaders have answered no fetch `within` this time, which should be
    /// longer than [`fetch_max_wait`](super::ConsumerConfig::fetch_max_wait). That they have no records
    /// is not known.
    pub fn unheard(&self, within: Duration) -> Vec<TopicPartition> {
        let now = Instant::now();
        self.shared.positions.lock().unheard(now, within)
    }

    pub(super) fn change_assigned(
        &self,
        partition: &TopicPartition,
        change: impl FnOnce(&Shared) -> bool,
    ) -> Result<(), ConsumeError> {
        if !change(&self.shared) {
            return Err(ConsumeError::NotAssigned(partition.clone()));
        }
        self.shared.wake();
        Ok(())
    }

    /// Whether there was something to forget.
    pub(super) fn forget_polled(&mut self, partition: &TopicPartition) -> bool {
        let before = self.polled.len();
        self.polled.retain(|record| {
            record.partition != partition.partition || record.topic != partition.topic
        });
        self.polled.len() < before
    }

    /// The offset behind the last record of each partition. Reading until the position is there
    /// reads all that is there now.
    pub async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let found = self.look_up(partitions, OffsetSpec::Latest).await?;
        Ok(found
            .into_iter()
            .filter_map(|(p, at)| Some((p, at?.offset)))
            .collect())
    }

    /// The offset of the first record of each partition.
    pub async fn beginning_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let found = self.look_up(partitions, OffsetSpec::Earliest).await?;
        Ok(found
            .into_iter()
            .filter_map(|(p, at)| Some((p, at?.offset)))
            .collect())
    }

    /// The first record of each partition with this timestamp (in milliseconds since 1970) or a
    /// later one; `None` where there is none.
    pub async fn offsets_for_time(
        &self,
        partitions: &[TopicPartition],
        timestamp_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ConsumeError> {
        self.look_up(partitions, OffsetSpec::At(timestamp_ms)).await
    }

    async fn look_up(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ConsumeError> {
        let wanted = partitions
            .iter()
            .map(|partition| (partition.clone(), spec))
            .collect();
        Ok(offsets::list(&self.shared.client, &wanted).await?)
    }

    /// The partitions of a topic.
    pub async fn partitions_of(&self, topic: &str) -> Result<Vec<TopicPartition>, ConsumeError> {
        let name: Arc<str> = topic.into();
        let topic = self.shared.client.topic(topic).await?;
        let partitions = topic.partitions.iter();
        Ok(partitions
            .map(|p| TopicPartition::new(name.clone(), p.index))
            .collect())
    }
}
