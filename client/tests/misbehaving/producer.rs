//! A producer against a broker that loses requests, loses answers, and checks sequences.

use std::sync::Arc;
use std::time::Duration;

use crate::fake::{Arrived, Reply, start, until};
use bytes::Bytes;
use client::{Acks, Compression, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::api::produce::{PartitionProduceResponse, TopicProduceResponse};
use protocol::api::{AnyRequest, MetadataResponse, ProduceRequest, ProduceResponse};
use protocol::records::{BatchView, records};

/// The partition's log: values in order, and the sequence that it waits for.
#[derive(Default)]
struct Log {
    values: Vec<String>,
    next_sequence: i32,
    requests: usize,
}

impl Log {
    fn append(&mut self, request: &ProduceRequest) -> (ErrorCode, i64) {
        let batch = batch_of(request);
        let view = BatchView::parse(&batch).expect("a batch");
        assert!(view.crc_ok());
        if view.base_sequence() < self.next_sequence {
            return (ErrorCode::None, i64::from(view.base_sequence()));
        }
        if view.base_sequence() > self.next_sequence {
            return (ErrorCode::OutOfOrderSequenceNumber, -1);
        }
        let base = self.values.len() as i64;
        for record in records(batch.clone(), 1 << 20).expect("records") {
            let value = record.expect("a record").value.expect("a value");
            self.values
                .push(String::from_utf8(value.to_vec()).expect("text"));
        }
        self.next_sequence += view.record_count();
        (ErrorCode::None, base)
    }
}

fn batch_of(request: &ProduceRequest) -> Bytes {
    let partition = &request.topic_data[0].partition_data[0];
    partition.records.clone().expect("a batch")
}

fn produced(arrived: &Arrived, request: &ProduceRequest, code: ErrorCode, base: i64) -> Reply {
    arrived.answer(&ProduceResponse {
        responses: vec![TopicProduceResponse {
            name: request.topic_data[0].name.clone(),
            partition_responses: vec![PartitionProduceResponse {
                error_code: code.code(),
                base_offset: base,
                ..PartitionProduceResponse::default()
            }],
            ..TopicProduceResponse::default()
        }],
        ..ProduceResponse::default()
    })
}

fn config(port: u16) -> ProducerConfig {
    ProducerConfig {
        batch_bytes: 100,
        linger: Duration::from_millis(1),
        compression: Compression::Lz4,
        ..ProducerConfig::new(format!("127.0.0.1:{port}"))
    }
}

#[tokio::test]
async fn records_are_delivered_once_and_in_order_whatever_is_lost() {
    let log = Arc::new(Mutex::new(Log::default()));
    let broker = Arc::clone(&log);
    let port = start(move |port, arrived| {
        if let Some(reply) = arrived.usual(port) {
            return reply;
        }
        let AnyRequest::Produce(request) = &arrived.request else {
            return Reply::Close;
        };
        let mut log = broker.lock();
        log.requests += 1;
        match log.requests % 7 {
            2 => Reply::Close,
            4 => {
                log.append(request);
                Reply::Close
            }
            6 => produced(&arrived, request, ErrorCode::NotLeaderOrFollower, -1),
            _ => {
                let (code, base) = log.append(request);
                produced(&arrived, request, code, base)
            }
        }
    })
    .await;
    let producer = Producer::new(config(port)).expect("a producer");
    let mut sent: Vec<(String, Delivery)> = Vec::new();
    for i in 0..60 {
        let value = format!("value {i:03}, long enough for a batch of two or three");
        let record = ProducerRecord::new("t").value(value.clone());
        sent.push((value, producer.send(record).await.expect("taken")));
    }
    producer.flush().await.expect("all delivered");
    let values = log.lock().values.clone();
    assert_eq!(
        values,
        sent.iter()
            .map(|(value, _)| value.clone())
            .collect::<Vec<_>>()
    );
    for (i, (_, delivery)) in sent.into_iter().enumerate() {
        let delivered = delivery.await.expect("delivered");
        assert_eq!(delivered.offset, i as i64);
    }
}

#[tokio::test]
async fn a_full_producer_makes_senders_wait_until_something_is_acked() {
    let open = Arc::new(Mutex::new(false));
    let log = Arc::new(Mutex::new(Log::default()));
    let (gate, broker) = (Arc::clone(&open), Arc::clone(&log));
    let port = start(move |port, arrived| {
        if let Some(reply) = arrived.usual(port) {
            return reply;
        }
        let AnyRequest::Produce(request) = &arrived.request else {
            return Reply::Close;
        };
        if !*gate.lock() {
            return produced(&arrived, request, ErrorCode::NotEnoughReplicas, -1);
        }
        let (code, base) = broker.lock().append(request);
        produced(&arrived, request, code, base)
    })
    .await;
    let producer = Producer::new(ProducerConfig {
        memory_bytes: 1000,
        ..config(port)
    })
    .expect("a producer");
    let record = || ProducerRecord::new("t").value(vec![b'x'; 376]);
    producer.send(record()).await.expect("taken");
    producer.send(record()).await.expect("taken");
    let third = producer.send(record());
    let waited = tokio::time::timeout(Duration::from_millis(100), third).await;
    assert!(waited.is_err(), "800 of 1000 bytes are taken");
    *open.lock() = true;
    let third = producer.send(record()).await.expect("taken");
    assert_eq!(third.await.expect("delivered").offset, 2);
}

#[tokio::test]
async fn an_error_for_good_is_told_to_the_record_and_to_the_flush_once() {
    let port = start(
        |port, arrived| match (arrived.usual(port), &arrived.request) {
            (Some(reply), _) => reply,
            (None, AnyRequest::Produce(request)) => {
                produced(&arrived, request, ErrorCode::TopicAuthorizationFailed, -1)
            }
            _ => Reply::Close,
        },
    )
    .await;
    let producer = Producer::new(config(port)).expect("a producer");
    let delivery = producer
        .send(ProducerRecord::new("t").value("x"))
        .await
        .expect("taken");
    let error = producer.flush().await.expect_err("refused");
    assert!(matches!(
        &error,
        ProduceError::Refused {
            code: ErrorCode::TopicAuthorizationFailed,
            ..
        }
    ));
    assert_eq!(
        delivery.await.expect_err("refused").to_string(),
        error.to_string()
    );
    producer.flush().await.expect("told already");
    let far = producer
        .send(ProducerRecord::new("t").partition(9).value("x"))
        .await;
    let told = far.expect_err("no such partition").to_string();
    assert_eq!(told, "topic t has 1 partitions, none with index 9");
}

#[tokio::test]
async fn what_is_not_acked_in_time_expires_with_the_reason() {
    let port = start(
        |port, arrived| match (arrived.usual(port), &arrived.request) {
            (Some(reply), _) => reply,
            (None, AnyRequest::Produce(request)) => {
                produced(&arrived, request, ErrorCode::NotEnoughReplicas, -1)
            }
            _ => Reply::Close,
        },
    )
    .await;
    let producer = Producer::new(ProducerConfig {
        delivery_timeout: Duration::from_millis(300),
        ..config(port)
    })
    .expect("a producer");
    let delivery = producer
        .send(ProducerRecord::new("t").value("x"))
        .await
        .expect("taken");
    let error = delivery.await.expect_err("expired").to_string();
    let start = "t-0: not acknowledged within 300 ms; the last try: ";
    assert!(error.starts_with(start), "{error}");
}

#[tokio::test]
async fn without_acks_records_are_delivered_when_they_are_sent() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let broker = Arc::clone(&log);
    let port = start(move |port, arrived| {
        if let Some(reply) = arrived.usual(port) {
            return reply;
        }
        if let AnyRequest::Produce(request) = &arrived.request {
            broker.lock().push(batch_of(request));
        }
        Reply::Nothing
    })
    .await;
    let wrong = Producer::new(ProducerConfig {
        acks: Acks::None,
        ..config(port)
    });
    assert!(wrong.is_err(), "idempotence needs all acks");
    let producer = Producer::new(ProducerConfig {
        acks: Acks::None,
        idempotence: false,
        ..config(port)
    })
    .expect("a producer");
    let delivery = producer
        .send(ProducerRecord::new("t").value("x"))
        .await
        .expect("taken");
    assert_eq!(delivery.await.expect("sent").offset, -1);
    until("the batch arrives", || log.lock().len() == 1).await;
    producer.close().await.expect("nothing failed");
}

#[tokio::test]
async fn a_leader_that_no_broker_list_names_is_waited_for() {
    let mut asked = 0;
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            asked += 1;
            let brokers: &[i32] = if asked < 4 { &[1] } else { &[1, 2] };
            arrived.cluster(port, request, brokers, 2)
        }
        AnyRequest::Produce(request) => produced(&arrived, request, ErrorCode::None, 5),
        _ => arrived.usual(port).unwrap_or(Reply::Close),
    })
    .await;
    let producer = Producer::new(config(port)).expect("a producer");
    let delivery = producer
        .send(ProducerRecord::new("t").value("x"))
        .await
        .expect("taken");
    assert_eq!(delivery.await.expect("delivered").offset, 5);
}

#[tokio::test]
async fn a_send_that_outlasts_the_close_is_refused() {
    // How often the topic was asked for, and whether it is there.
    let topic = Arc::new(Mutex::new((0, false)));
    let asked = Arc::clone(&topic);
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::Metadata(request) => {
            let mut topic = asked.lock();
            topic.0 += 1;
            if topic.1 {
                arrived.metadata(port, request)
            } else {
                arrived.answer(&MetadataResponse::default())
            }
        }
        _ => arrived.usual(port).unwrap_or(Reply::Close),
    })
    .await;
    let producer = Producer::new(config(port)).expect("a producer");
    let other = producer.clone();
    let sending =
        tokio::spawn(async move { other.send(ProducerRecord::new("t").value("x")).await });
    until("it waits for the topic", || topic.lock().0 > 0).await;
    producer.close().await.expect("nothing was taken");
    topic.lock().1 = true;
    let sent = tokio::time::timeout(Duration::from_secs(10), sending).await;
    let sent = sent.expect("in time").expect("no panic");
    assert!(matches!(sent, Err(ProduceError::Closed)));
}

/// How long a record takes to expire against a broker that hangs as `hangs` says.
async fn expires_in_time(hangs: fn(&AnyRequest) -> bool) {
    let port = start(move |port, arrived| {
        if hangs(&arrived.request) {
            return Reply::Nothing;
        }
        match (arrived.usual(port), &arrived.request) {
            (Some(reply), _) => reply,
            (None, AnyRequest::Produce(request)) => {
                produced(&arrived, request, ErrorCode::NotLeaderOrFollower, -1)
            }
            _ => Reply::Close,
        }
    })
    .await;
    let producer = Producer::new(ProducerConfig {
        delivery_timeout: Duration::from_millis(300),
        ..config(port)
    })
    .expect("a producer");
    let delivery = producer
        .send(ProducerRecord::new("t").value("x"))
        .await
        .expect("taken");
    // Long before the connection's own time-out, which is 30 s.
    let expired = tokio::time::timeout(Duration::from_secs(15), delivery).await;
    let error = expired.expect("in time").expect_err("not acked");
    assert!(matches!(error, ProduceError::Expired { .. }), "{error}");
}

#[tokio::test]
async fn a_record_expires_in_time_though_its_request_hangs() {
    expires_in_time(|request| matches!(request, AnyRequest::Produce(_))).await;
}

#[tokio::test]
async fn a_record_expires_in_time_though_the_producer_id_does_not_come() {
    expires_in_time(|request| matches!(request, AnyRequest::InitProducerId(_))).await;
}
