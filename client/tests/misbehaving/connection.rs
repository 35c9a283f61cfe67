//! A connection against a broker that misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fake::{Reply, start};
use bytes::Bytes;
use client::{Connection, ConnectionError, ConnectionOptions};
use protocol::ErrorCode;
use protocol::api::api_versions::ApiVersion;
use protocol::api::metadata::MetadataRequestTopic;
use protocol::api::produce::{PartitionProduceData, TopicProduceData};
use protocol::api::{
    AnyRequest, ApiVersionsResponse, HeartbeatRequest, MetadataRequest, ProduceRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn connection(port: u16) -> Connection {
    Connection::new(
        format!("127.0.0.1:{port}"),
        ConnectionOptions {
            request_timeout: Duration::from_millis(500),
            max_frame: 100_000,
            ..ConnectionOptions::default()
        },
    )
}

#[tokio::test]
async fn an_old_broker_is_spoken_to_in_its_own_versions() {
    let port = start(|port, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) if arrived.header.api_version > 0 => {
            let refusal = ApiVersionsResponse {
                error_code: ErrorCode::UnsupportedVersion.code(),
                ..ApiVersionsResponse::default()
            };
            arrived.answer_in(0, &refusal)
        }
        AnyRequest::ApiVersions(_) => arrived.answer(&ApiVersionsResponse {
            api_keys: [(18, 0, 0), (3, 0, 5)]
                .map(|(api_key, min_version, max_version)| ApiVersion {
                    api_key,
                    min_version,
                    max_version,
                })
                .into(),
            ..ApiVersionsResponse::default()
        }),
        AnyRequest::Metadata(request) => {
            assert_eq!(arrived.header.api_version, 5);
            arrived.metadata(port, request)
        }
        _ => Reply::Close,
    })
    .await;
    let connection = connection(port);
    let answer = connection.send(&MetadataRequest::default()).await;
    assert_eq!(answer.expect("an answer").brokers.len(), 1);
    let error = connection.send(&HeartbeatRequest::default()).await;
    let error = error.expect_err("not served");
    assert!(!error.was_sent() && !error.retriable());
    let told = format!(
        "127.0.0.1:{port}: the broker serves no Heartbeat, this client needs Heartbeat 0-4"
    );
    assert_eq!(error.to_string(), told);
}

#[tokio::test]
async fn requests_are_pipelined_and_each_gets_its_own_answer() {
    let mut held = Vec::new();
    let port = start(move |port, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) => arrived.all_versions(),
        AnyRequest::Metadata(request) => {
            // Nothing is answered before the third has come.
            let Reply::Frame(frame) = arrived.metadata(port, request) else {
                unreachable!()
            };
            held.push(frame);
            match held.len() {
                3 => Reply::Frame(held.concat().into()),
                _ => Reply::Nothing,
            }
        }
        _ => Reply::Close,
    })
    .await;
    let connection = connection(port);
    let mut answers = Vec::new();
    for count in 0..3 {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic::default(); count]),
            ..MetadataRequest::default()
        };
        answers.push(connection.submit(&request).await.expect("sent"));
    }
    for (count, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.expect("an answer").topics.len(), count);
    }
}

#[tokio::test]
async fn silence_ends_the_connection_and_the_next_request_opens_another() {
    let port = start(|port, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) => arrived.all_versions(),
        AnyRequest::Metadata(request) if arrived.connection > 0 => arrived.metadata(port, request),
        _ => Reply::Nothing,
    })
    .await;
    let connection = connection(port);
    let request = MetadataRequest::default();
    let (first, second) = tokio::join!(connection.send(&request), connection.send(&request));
    for error in [first.expect_err("silence"), second.expect_err("silence")] {
        assert!(error.was_sent() && error.retriable(), "{error}");
    }
    let answer = connection.send(&MetadataRequest::default()).await;
    assert_eq!(answer.expect("an answer").brokers.len(), 1);
}

#[tokio::test]
async fn answers_that_cannot_be_break_the_connection() {
    let long = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
    let negative = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let stranger = Bytes::from_static(&[0, 0, 0, 5, 0, 0, 0, 99, 0]);
    for (frame, expected) in [
        (long, "an answer of 2147483647 bytes; the limit is 100000"),
        (negative, "an answer of -1 bytes; the limit is 100000"),
        (stranger, "answers out of order"),
    ] {
        let port = start(move |_, arrived| match &arrived.request {
            AnyRequest::ApiVersions(_) => arrived.all_versions(),
            _ => Reply::Frame(frame.clone()),
        })
        .await;
        let error = connection(port).send(&MetadataRequest::default()).await;
        let error = error.expect_err("broken").to_string();
        assert_eq!(
            error,
            format!("127.0.0.1:{port}: the connection broke: {expected}")
        );
    }
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let port = start(move |_, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) => arrived.all_versions(),
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            Reply::Nothing
        }
    })
    .await;
    let options = ConnectionOptions {
        max_in_flight: 2,
        ..ConnectionOptions::default()
    };
    let connection = Connection::new(format!("127.0.0.1:{port}"), options);
    let request = MetadataRequest::default();
    let _first = connection.submit(&request).await.expect("sent");
    let _second = connection.submit(&request).await.expect("sent");
    let third = connection.submit(&request);
    let waited = tokio::time::timeout(Duration::from_millis(50), third).await;
    assert!(waited.is_err(), "the third waits");
    crate::fake::until("both arrive", || seen.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn what_was_given_up_is_still_timed_and_frees_its_place() {
    let port = start(|port, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) => arrived.all_versions(),
        AnyRequest::Metadata(request) if arrived.connection > 0 => arrived.metadata(port, request),
        _ => Reply::Nothing,
    })
    .await;
    let options = ConnectionOptions {
        max_in_flight: 1,
        request_timeout: Duration::from_millis(200),
        ..ConnectionOptions::default()
    };
    let connection = Connection::new(format!("127.0.0.1:{port}"), options);
    let request = MetadataRequest::default();
    drop(connection.submit(&request).await.expect("sent"));
    let answered = async {
        // Those that wait for the place are timed, too, and may be the first to know.
        while connection.send(&request).await.is_err() {}
    };
    let answered = tokio::time::timeout(Duration::from_secs(10), answered).await;
    answered.expect("the place was freed");
}

#[tokio::test]
async fn a_broker_that_reads_no_more_is_given_up_also_by_who_wants_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let negotiating = start(|_, arrived| match &arrived.request {
        AnyRequest::ApiVersions(_) => arrived.all_versions(),
        _ => Reply::Close,
    })
    .await;
    tokio::spawn(async move {
        // All versions, and then not a byte is read.
        let (mut near, _) = listener.accept().await.expect("one");
        let far = tokio::net::TcpStream::connect(("127.0.0.1", negotiating)).await;
        let mut far = far.expect("it listens");
        let mut bytes = [0; 4096];
        let asked = near.read(&mut bytes).await.expect("a request");
        far.write_all(&bytes[..asked]).await.expect("asked");
        let answered = far.read(&mut bytes).await.expect("an answer");
        near.write_all(&bytes[..answered]).await.expect("answered");
        std::future::pending::<()>().await;
    });
    let request = ProduceRequest {
        topic_data: vec![TopicProduceData {
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(vec![0; 1 << 20].into()),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let connection = connection(port);
    let filled = async {
        loop {
            if let Err(error) = connection.submit_unanswered(&request).await {
                return error;
            }
        }
    };
    let filled = tokio::time::timeout(Duration::from_secs(20), filled).await;
    let error = filled.expect("not for ever");
    assert!(matches!(error, ConnectionError::RequestTimeout { .. }));
}

#[tokio::test]
async fn nobody_there_is_said_in_a_sentence() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let connection = connection(port);
    for _ in 0..2 {
        // The second fails at once, within the wait after the first, and says the same.
        let error = connection
            .send(&MetadataRequest::default())
            .await
            .expect_err("refused");
        assert!(matches!(error, ConnectionError::Unreachable { .. }));
        let told = format!("127.0.0.1:{port}: connection refused; is a broker running there?");
        assert_eq!(error.to_string(), told);
    }
}
