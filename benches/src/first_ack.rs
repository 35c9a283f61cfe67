//! How soon after its start a broker takes a record: tried again and again from before it listens. And a first record to many partitions.

use crate::frames;
use crate::topics;
use crate::wire::{self, Connection};
use anyhow::{Context, Result, ensure};
use protocol::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use protocol::wire::Str;
use std::time::{Duration, Instant};

/// Waits until one record to partition 0 of `topic` is acked by all, and says how long that took from `started`.
/// With `create`, the topic is made first.
pub fn wait(
    broker: &str,
    topic: &str,
    create: bool,
    started: Instant,
    limit: Duration,
) -> Result<Duration> {
    let mut made = !create;
    loop {
        let error = match attempt(broker, topic, &mut made) {
            Ok(()) => return Ok(started.elapsed()),
            Err(error) => error,
        };
        if started.elapsed() > limit {
            return Err(error).with_context(|| format!("no record was acked within {limit:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn attempt(broker: &str, topic: &str, made: &mut bool) -> Result<()> {
    let mut connection = wire::connect(broker)?;
    if !*made {
        topics::create(&mut connection, &[topic.to_owned()], 1, &[])?;
        *made = true;
    }
    write_each(&mut connection, topic, 1)
}

/// Writes one record to each of the first `partitions` of a topic by one request, and checks every ack.
pub fn write_each(connection: &mut Connection, topic: &str, partitions: u32) -> Result<()> {
    let batch = frames::batch(1, 100);
    let partition_data = (0..partitions as i32)
        .map(|index| PartitionProduceData {
            index,
            records: Some(batch.clone()),
        })
        .collect();
    let topic = TopicProduceData {
        name: Str::from(topic.to_owned()),
        partition_data,
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    let response = connection.call_at(&request, frames::PRODUCE_VERSION)?;
    let acks: Vec<_> = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .collect();
    ensure!(
        acks.len() == partitions as usize,
        "{} acks for {partitions} partitions",
        acks.len()
    );
    acks.iter()
        .try_for_each(|ack| frames::no_error(ack.error_code, "Produce"))
}
