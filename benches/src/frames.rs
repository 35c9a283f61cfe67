//! The frames that the raw clients send, built before the clock starts, and what they look at in the answers.

use crate::peek::Peek;
use crate::wire;
use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use protocol::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::error::ErrorCode;
use protocol::records::{BatchBuilder, BatchIdentity, Compression};
use protocol::wire::Str;
use std::time::{SystemTime, UNIX_EPOCH};

/// Produce by topic name, flexible: every broker in the field takes it, and so does the floor.
pub const PRODUCE_VERSION: i16 = 9;
/// Fetch by topic name.
pub const FETCH_VERSION: i16 = 12;
/// Length, API, version and correlation id: what differs between two sends of one template.
pub const HEAD_LEN: usize = 12;
const CORRELATION_AT: usize = 8;

/// A Produce request that is sent again and again under new correlation ids.
#[derive(Debug)]
pub struct Template {
    frame: Bytes,
}

impl Template {
    /// A request that carries this batch to this partition.
    pub fn produce(topic: &str, partition: i32, acks: i16, batch: &Bytes) -> Result<Self> {
        ensure!(
            topic.len() < 127,
            "a topic name of at most 126 bytes keeps the answers' layout simple"
        );
        let data = PartitionProduceData {
            index: partition,
            records: Some(batch.clone()),
        };
        let topic = TopicProduceData {
            name: Str::from(topic.to_owned()),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        };
        Ok(Self {
            frame: wire::encode(&request, PRODUCE_VERSION, 0),
        })
    }

    /// The first bytes of the frame, with this correlation id.
    pub fn head(&self, correlation: i32) -> [u8; HEAD_LEN] {
        let mut head: [u8; HEAD_LEN] = self.frame[..HEAD_LEN]
            .try_into()
            .expect("a frame is longer than its head");
        head[CORRELATION_AT..].copy_from_slice(&correlation.to_be_bytes());
        head
    }

    /// What follows the head, the same in every send.
    pub fn rest(&self) -> &[u8] {
        &self.frame[HEAD_LEN..]
    }
}

/// Where the error code of a one-partition Produce response lies, which depends on nothing but the topic's name.
#[derive(Debug)]
pub struct AckLayout {
    error_at: usize,
}

impl AckLayout {
    /// For requests to this topic.
    pub fn new(topic: &str) -> Self {
        // Correlation id, header tags, one topic, its name, one partition, its index.
        Self {
            error_at: 4 + 1 + 1 + 1 + topic.len() + 1 + 4,
        }
    }

    /// Checks one answer, without its length: that it is to this request, for one partition, without an error and with an offset.
    pub fn check(&self, frame: &[u8], correlation: i32) -> Result<()> {
        ensure!(
            frame.len() > self.error_at + 10,
            "an answer of {} bytes",
            frame.len()
        );
        ensure!(
            Peek::new(frame).i32()? == correlation,
            "an answer to another request than the oldest"
        );
        ensure!(
            frame[5] == 2 && frame[self.error_at - 5] == 2,
            "an answer that is not for one partition of one topic"
        );
        let mut peek = Peek::new(&frame[self.error_at..]);
        no_error(peek.i16()?, "Produce")?;
        let offset = peek.i64()?;
        ensure!(offset >= 0, "an ack with offset {offset}");
        Ok(())
    }
}

/// One batch of `records` records, each with a value of `record_size` bytes, no keys, stamped now, uncompressed.
pub fn batch(records: u32, record_size: usize) -> Bytes {
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock stands after 1970")
        .as_millis() as i64;
    let mut builder =
        BatchBuilder::with_capacity(Compression::None, records as usize * (record_size + 16));
    // Not all zeros, so that nothing on the way can make it cheap.
    let value: Vec<u8> = (0..record_size).map(|at| (at * 31 % 251) as u8).collect();
    for _ in 0..records {
        builder.push(now_ms, None, Some(&value), &[]);
    }
    builder.build(&BatchIdentity::default())
}

/// As many records of this size as fit into a batch of about `batch_bytes`, at least one.
pub fn records_in(batch_bytes: usize, record_size: usize) -> u32 {
    // A record's own fields take 7 bytes or so, the batch's header 61.
    (batch_bytes.saturating_sub(61) / (record_size + 8)).max(1) as u32
}

/// A Fetch request for one partition.
pub fn fetch(correlation: i32, topic: &str, partition: i32, offset: i64, max_bytes: i32) -> Bytes {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: max_bytes,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: Str::from(topic.to_owned()),
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    wire::encode(&request, FETCH_VERSION, correlation)
}

/// Fails with the error's name unless the code is 0.
pub fn no_error(code: i16, what: &str) -> Result<()> {
    if code != 0 {
        bail!("{what} answered {code}: {}", ErrorCode::from(code).name());
    }
    Ok(())
}
