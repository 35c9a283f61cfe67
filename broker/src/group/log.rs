//! What the coordinator needs of the rest of the broker.

use std::future::Future;

use bytes::Bytes;
use protocol::error::ErrorCode;
use uuid::Uuid;

/// The topic `__consumer_offsets`, and what is known of other topics.
pub(crate) trait OffsetsLog: Send + Sync + 'static {
    /// Appends keys and values (`None` is a tombstone) to a partition; complete when they are acked
    /// as by acks=all. There is at most one append to a partition under way.
    fn append(
        &self,
        partition: i32,
        records: Vec<(Bytes, Option<Bytes>)>,
        now_ms: i64,
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send;

    /// The largest batch that a partition takes, in bytes.
    fn batch_bytes_max(&self, partition: i32) -> usize;

    /// Reads a partition from its log start to its end, giving key and value of each record in
    /// order.
    fn read_all(
        &self,
        partition: i32,
        each: &mut (dyn FnMut(Bytes, Option<Bytes>) + Send),
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send;

    /// How many partitions the topic has (or will have, before it is created): at least 1, and it
    /// never changes.
    fn partition_count(&self) -> i32;

    /// Whether a topic has this partition.
    fn has_partition(&self, topic: &str, partition: i32) -> bool;

    /// Whether there is a topic of that name, even if it is not served for now.
    fn has_topic(&self, name: &str) -> bool;

    /// A topic's id.
    fn topic_id(&self, name: &str) -> Option<Uuid>;

    /// The topic of an id.
    fn topic_name(&self, id: Uuid) -> Option<String>;
}
