//! A consumer against a broker whose log lost its head, and whose answers go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{ConsumeError, Consumer, ConsumerConfig, Reset, TopicPartition};
use protocol::api::fetch::{FetchableTopicResponse, PartitionData};
use protocol::api::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::api::{
    AnyRequest, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use protocol::records::{BatchBuilder, BatchIdentity, Compression};
use protocol::{ErrorCode, Records};

use crate::fake::{Arrived, Reply, start};

/// The log holds offsets 10 to 19, in batches of two.
const START: i64 = 10;
const END: i64 = 20;

fn batch(base_offset: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    for offset in base_offset..base_offset + 2 {
        builder.push(offset, None, Some(offset.to_string().as_bytes()), &[]);
    }
    let identity = BatchIdentity {
        base_offset,
        ..BatchIdentity::default()
    };
    builder.build(&identity).to_vec()
}

pub(crate) fn fetched(arrived: &Arrived, request: &FetchRequest, damage: Option<i64>) -> Reply {
    let topic = &request.topics[0];
    let offset = topic.partitions[0].fetch_offset;
    let mut data = PartitionData {
        high_watermark: END,
        ..PartitionData::default()
    };
    if (START..END).contains(&offset) {
        let first = offset - offset % 2;
        let mut bytes = batch(first);
        if damage == Some(first) {
            *bytes.last_mut().expect("not empty") ^= 1;
        }
        // The next one is cut off, as answers may be.
        bytes.extend(&batch(first + 2)[..40]);
        data.records = Some(Records::Bytes(bytes.into()));
    } else if offset != END {
        data.error_code = ErrorCode::OffsetOutOfRange.code();
    }
    arrived.answer(&FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: topic.topic.clone(),
            partitions: vec![data],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    })
}

pub(crate) fn found(arrived: &Arrived, request: &ListOffsetsRequest) -> Reply {
    let asked = request.topics[0].partitions[0].timestamp;
    arrived.answer(&ListOffsetsResponse {
        topics: vec![ListOffsetsTopicResponse {
            name: request.topics[0].name.clone(),
            partitions: vec![ListOffsetsPartitionResponse {
                offset: match asked {
                    -2 => START,
                    -1 => END,
                    // Timestamps are as offsets here.
                    at if at < END => at.max(START),
                    _ => -1,
                },
                ..ListOffsetsPartitionResponse::default()
            }],
        }],
        ..ListOffsetsResponse::default()
    })
}

/// A broker with that log. Every fifth fetch is not answered, and every fifth refused.
async fn broker(damage: Option<i64>) -> u16 {
    let mut fetches = 0;
    start(move |port, arrived| {
        if let Some(reply) = arrived.usual(port) {
            return reply;
        }
        match &arrived.request {
            AnyRequest::Fetch(request) => {
                fetches += 1;
                match fetches % 5 {
                    2 => Reply::Close,
                    4 => arrived.answer(&FetchResponse {
                        responses: vec![FetchableTopicResponse {
                            topic: request.topics[0].topic.clone(),
                            partitions: vec![PartitionData {
                                error_code: ErrorCode::NotLeaderOrFollower.code(),
                                ..PartitionData::default()
                            }],
                            ..FetchableTopicResponse::default()
                        }],
                        ..FetchResponse::default()
                    }),
                    _ => fetched(&arrived, request, damage),
                }
            }
            AnyRequest::ListOffsets(request) => found(&arrived, request),
            _ => Reply::Close,
        }
    })
    .await
}

async fn consumer(port: u16, reset: Reset) -> (Consumer, TopicPartition) {
    let mut consumer = Consumer::new(ConsumerConfig {
        reset,
        ..ConsumerConfig::new(format!("127.0.0.1:{port}"))
    })
    .expect("a consumer");
    let partition = TopicPartition::new("t", 0);
    consumer
        .assign([partition.clone()])
        .await
        .expect("assigned");
    (consumer, partition)
}

async fn read(consumer: &mut Consumer, count: usize) -> Vec<i64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await;
        let record = next.expect("in time").expect("a record");
        assert_eq!(record.value.expect("a value"), record.offset.to_string());
        offsets.push(record.offset);
    }
    offsets
}

#[tokio::test]
async fn all_that_is_there_is_read_once_whatever_is_lost() {
    let (mut consumer, partition) = consumer(broker(None).await, Reset::Earliest).await;
    let asked = [partition.clone()];
    let ends = consumer.end_offsets(&asked).await.expect("ends");
    assert_eq!(ends, BTreeMap::from([(partition.clone(), END)]));
    assert_eq!(
        read(&mut consumer, 10).await,
        (START..END).collect::<Vec<_>>()
    );
    assert_eq!(consumer.positions(), ends);
    assert_eq!(consumer.high_watermark(&partition), Some(END));
}

#[tokio::test]
async fn seeking_goes_into_a_batch_before_the_log_and_to_a_time() {
    let (mut consumer, partition) = consumer(broker(None).await, Reset::Earliest).await;
    consumer.seek(&partition, 15).expect("assigned");
    assert_eq!(read(&mut consumer, 2).await, [15, 16]);
    assert_eq!(consumer.position(&partition), Some(17));
    consumer.seek(&partition, 3).expect("assigned");
    assert_eq!(
        read(&mut consumer, 1).await,
        [START],
        "where the reset says"
    );
    consumer.seek_to_time(13).await.expect("looked up");
    assert_eq!(read(&mut consumer, 1).await, [13]);
    consumer.seek_to_time(99).await.expect("looked up");
    assert_eq!(consumer.position(&partition), Some(END));
    let other = TopicPartition::new("t", 1);
    let error = consumer.seek(&other, 0).expect_err("not assigned");
    assert_eq!(error.to_string(), "t-1 is not assigned to this consumer");
}

#[tokio::test]
async fn without_a_reset_an_offset_that_is_gone_is_an_error() {
    let (mut consumer, partition) = consumer(broker(None).await, Reset::None).await;
    let wait = Duration::from_secs(20);
    assert!(matches!(
        consumer.poll(wait).await,
        Err(ConsumeError::NoOffset(_))
    ));
    consumer.seek(&partition, 3).expect("assigned");
    assert!(matches!(
        consumer.poll(wait).await,
        Err(ConsumeError::NoOffset(_))
    ));
    consumer.seek(&partition, 18).expect("assigned");
    assert_eq!(read(&mut consumer, 2).await, [18, 19]);
}

#[tokio::test]
async fn a_flipped_bit_is_told_and_not_handed_out() {
    let (mut consumer, partition) = consumer(broker(Some(14)).await, Reset::Earliest).await;
    assert_eq!(read(&mut consumer, 4).await, [10, 11, 12, 13]);
    let error = consumer
        .poll(Duration::from_secs(20))
        .await
        .expect_err("damage");
    assert!(
        matches!(error, ConsumeError::Corrupt { offset: 14, .. }),
        "{error}"
    );
    consumer.seek(&partition, 16).expect("assigned");
    assert_eq!(read(&mut consumer, 4).await, [16, 17, 18, 19]);
}

#[tokio::test]
async fn a_paused_partition_keeps_its_place() {
    let (mut consumer, partition) = consumer(broker(None).await, Reset::Earliest).await;
    assert_eq!(read(&mut consumer, 1).await, [10], "and 11 waits");
    let partitions = [partition];
    consumer.pause(&partitions).expect("assigned");
    assert_eq!(
        consumer
            .poll(Duration::from_millis(50))
            .await
            .expect("nothing"),
        []
    );
    consumer.resume(&partitions).expect("assigned");
    assert_eq!(read(&mut consumer, 2).await, [11, 12]);
}

#[tokio::test]
async fn a_leader_that_no_broker_list_names_is_looked_for_soon() {
    let mut asked = 0;
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            asked += 1;
            let brokers: &[i32] = if asked < 4 { &[1] } else { &[1, 2] };
            arrived.cluster(port, request, brokers, 2)
        }
        AnyRequest::Fetch(request) => fetched(&arrived, request, None),
        _ => arrived.usual(port).unwrap_or(Reply::Close),
    })
    .await;
    let (mut consumer, partition) = consumer(port, Reset::Earliest).await;
    consumer.seek(&partition, 12).expect("assigned");
    assert_eq!(read(&mut consumer, 1).await, [12]);
}
