//! `__consumer_offsets` as the group coordinator sees it: batches appended to its
//! partitions and awaited, and read back whole when a partition is taken over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::records::{self, BatchBuilder, BatchIdentity, Compression};
use uuid::Uuid;

use crate::config::BrokerConfig;
use crate::group::OffsetsLog;
use crate::metadata::{Metadata, OFFSETS_TOPIC};
use crate::partition::{self, Acks, Partition, Waiter};

/// How long an append may wait for its sync (Kafka's `offsets.commit.timeout.ms`).
const COMMIT_MAX: Duration = Duration::from_secs(5);
/// How much of the log is read at a time.
const READ_BYTES: u32 = 1024 * 1024;
/// The most that one stored batch may hold; the coordinator's own batches are far smaller.
const DECOMPRESSED_MAX: usize = 256 * 1024 * 1024;

/// The topic, by way of the metadata.
pub(crate) struct OffsetsTopic {
    metadata: Arc<Metadata>,
    configured_partitions: i32,
}

impl OffsetsTopic {
    pub(crate) fn new(metadata: Arc<Metadata>, config: &BrokerConfig) -> Self {
        Self {
            metadata,
            configured_partitions: config.number("offsets.topic.num.partitions") as i32,
        }
    }

    fn partition(&self, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let view = self.metadata.view();
        view.topic(OFFSETS_TOPIC)
            .and_then(|topic| topic.partition(index))
            .and_then(|partition| partition.local.clone())
            .ok_or(ErrorCode::NotLeaderOrFollower)
    }
}

impl OffsetsLog for OffsetsTopic {
    async fn append(
        &self,
        index: i32,
        batch: Vec<(Bytes, Option<Bytes>)>,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let partition = self.partition(index)?;
        let mut builder = BatchBuilder::new(Compression::None);
        for (key, value) in &batch {
            builder.push(now_ms, Some(key), value.as_deref(), &[]);
        }
        let bytes = builder.build(&BatchIdentity::default());
        let acks = Arc::new(Acks::default());
        let appended =
            partition::check(&bytes, i16::MAX, &partition.config(), now_ms).and_then(|checked| {
                let waiter = Waiter {
                    acks: &acks,
                    place: 0,
                };
                partition.append(&checked, -1, Some(waiter), now_ms)
            });
        appended.map_err(|refusal| refusal.code)?;
        let failed = match tokio::time::timeout(COMMIT_MAX, acks.done()).await {
            Ok(failed) => failed,
            Err(_) => acks.give_up(),
        };
        match failed.first() {
            Some((_, code)) => Err(*code),
            None => Ok(()),
        }
    }

    fn batch_bytes_max(&self, index: i32) -> usize {
        // Where there is no partition, no append succeeds anyway.
        self.partition(index)
            .map_or(usize::MAX, |partition| partition.config().max_message_bytes)
    }

    async fn read_all(
        &self,
        index: i32,
        each: &mut (dyn FnMut(Bytes, Option<Bytes>) + Send),
    ) -> Result<(), ErrorCode> {
        let partition = self.partition(index)?;
        let mut offset = partition.with_log(|log| log.log_start())?;
        loop {
            let found = partition.read(offset, READ_BYTES, true)?;
            let Some(slice) = found.slice else {
                return Ok(());
            };
            let bytes: Bytes = tokio::task::spawn_blocking(move || slice.read())
                .await
                .map_err(|_| ErrorCode::KafkaStorageError)?
                .map_err(|_| ErrorCode::KafkaStorageError)?
                .into();
            let before = offset;
            for batch in records::batches(&bytes) {
                // The last batch may be cut; the next read begins with it.
                let Ok(batch) = batch else { break };
                let next = batch.last_offset() + 1;
                let iterated = records::records(bytes.slice_ref(batch.bytes()), DECOMPRESSED_MAX)
                    .map_err(|error| error.code())?;
                for record in iterated {
                    let record = record.map_err(|error| error.code())?;
                    if let (Some(key), true) = (record.key, record.offset >= offset) {
                        each(key, record.value);
                    }
                }
                offset = next;
            }
            if offset == before {
                return Err(ErrorCode::CorruptMessage);
            }
        }
    }

    fn partition_count(&self) -> i32 {
        let view = self.metadata.view();
        view.topic(OFFSETS_TOPIC)
            .map_or(self.configured_partitions, |topic| {
                topic.partitions.len() as i32
            })
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        let view = self.metadata.view();
        view.topic(topic)
            .is_some_and(|topic| topic.partition(partition).is_some())
    }

    fn has_topic(&self, name: &str) -> bool {
        self.metadata.view().is_taken(name)
    }

    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.metadata.view().topic(name).map(|topic| topic.id)
    }

    fn topic_name(&self, id: Uuid) -> Option<String> {
        let view = self.metadata.view();
        view.topic_by_id(id).map(|topic| topic.name.to_string())
    }
}
