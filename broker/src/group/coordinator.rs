//! Which groups this broker coordinates, and the way of a request to them. The APIs themselves are
//! in `membership`, `offsets`, `fetch` and `describe`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use protocol::error::ErrorCode;
use tokio::sync::oneshot;

use super::OffsetsLog;
use super::core::{Config, Event, Group, Reply, ReplyTo};
use super::partition::{Clock, Partition};

/// The group coordinator of a broker: all groups whose partition of `__consumer_offsets` it leads.
/// Cheap to clone.
pub(crate) struct GroupCoordinator<L> {
    pub(super) log: Arc<L>,
    config: Arc<Config>,
    clock: Clock,
    partitions: Arc<RwLock<BTreeMap<i32, Arc<Partition<L>>>>>,
}

impl<L> Clone for GroupCoordinator<L> {
    fn clone(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            config: Arc::clone(&self.config),
            clock: self.clock,
            partitions: Arc::clone(&self.partitions),
        }
    }
}

impl<L: OffsetsLog> GroupCoordinator<L> {
    /// A coordinator that leads nothing yet. Its methods must be called within a tokio runtime.
    pub(crate) fn new(log: Arc<L>, config: Config) -> Self {
        Self {
            log,
            config: Arc::new(config),
            clock: Clock::new(),
            partitions: Arc::default(),
        }
    }

    /// The partition of `__consumer_offsets` that holds a group.
    pub(crate) fn partition_for(&self, group: &str) -> i32 {
        partition_of(group, self.log.partition_count())
    }

    /// This broker leads the partition from now on: reads its log, during which requests are told
    /// to wait. On an error the partition is not coordinated here; the caller may try again.
    pub(crate) async fn load(&self, partition: i32) -> Result<(), ErrorCode> {
        let config = (*self.config).clone();
        let loading = Partition::new(partition, Arc::clone(&self.log), self.clock, config.clone());
        if let Some(earlier) = self
            .partitions
            .write()
            .insert(partition, Arc::clone(&loading))
        {
            earlier.close();
        }
        let loaded = loading.load(config).await;
        if loaded.is_err() {
            let mut partitions = self.partitions.write();
            if partitions
                .get(&partition)
                .is_some_and(|held| Arc::ptr_eq(held, &loading))
            {
                partitions.remove(&partition);
            }
            drop(partitions);
            loading.close();
        }
        loaded
    }

    /// This broker no longer leads the partition: its groups are forgotten, and waiting members
    /// sent to the next coordinator.
    #[cfg(test)]
    pub(crate) fn unload(&self, partition: i32) {
        let unloaded = self.partitions.write().remove(&partition);
        if let Some(unloaded) = unloaded {
            unloaded.close();
        }
    }

    /// Forgets the offsets committed in a topic that is no more.
    pub(crate) fn topic_deleted(&self, topic: &str) {
        for partition in self.loaded() {
            partition.topic_deleted(topic);
        }
    }

    /// Shows each group that is coordinated here, with its committed offsets, for metrics. Under a
    /// lock: be quick.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&str, &Group)) {
        for partition in self.loaded() {
            // What is still loading is not shown, as little as what has just gone.
            let _ = partition.look(|shard| shard.groups().for_each(|(id, group)| visit(id, group)));
        }
    }

    pub(super) fn loaded(&self) -> Vec<Arc<Partition<L>>> {
        self.partitions.read().values().cloned().collect()
    }

    /// The partition of a group, if it is coordinated here.
    pub(super) fn of(&self, group: &str) -> Result<Arc<Partition<L>>, ErrorCode> {
        let partitions = self.partitions.read();
        partitions
            .get(&self.partition_for(group))
            .cloned()
            .ok_or(ErrorCode::NotCoordinator)
    }

    /// Brings an event to its group; the answer is awaited by `answer`.
    pub(super) fn send(
        &self,
        group: &str,
        event: impl FnOnce(ReplyTo) -> Event,
    ) -> Result<oneshot::Receiver<Reply>, ErrorCode> {
        self.of(group)?.ask(event)
    }

    /// Brings an event to its group and waits for the answer.
    pub(super) async fn ask(
        &self,
        group: &str,
        event: impl FnOnce(ReplyTo) -> Event,
    ) -> Result<Reply, ErrorCode> {
        answer(self.send(group, event)).await
    }
}

/// Awaits an answer.
pub(super) async fn answer(
    sent: Result<oneshot::Receiver<Reply>, ErrorCode>,
) -> Result<Reply, ErrorCode> {
    sent?.await.map_err(|_| ErrorCode::NotCoordinator)
}

/// The partition of a group among `count`: Java's hash of its name, so that Kafka's tools agree
/// with us.
pub(crate) fn partition_of(group: &str, count: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Kafka's absolute value, not the usual one without the sign bit; of i32::MIN it is 0.
    hash.checked_abs().unwrap_or(0) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn groups_lie_where_kafka_looks_for_them() {
        // Java's hashes of these are 0, 101574, -1906497762 and i32::MIN; a crab is its two
        // surrogates.
        for (group, partition) in [
            ("", 0),
            ("foo", 24),
            ("my-group", 12),
            ("polygenelubricants", 0),
            ("\u{1F980}", 2),
        ] {
            assert_eq!(partition_of(group, 50), partition, "{group}");
        }
    }
}
