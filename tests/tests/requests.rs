//! Requests that cannot be granted, and topics that go away under their readers.

use std::io::Read;
use std::time::{Duration, Instant};

use milena_tests::admin::fetch_request;
use milena_tests::process::Spec;
use milena_tests::raw::{plain, records_from};
use milena_tests::wait;
use protocol::ErrorCode;
use protocol::api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use protocol::api::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

#[test]
fn a_topic_that_cannot_be_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let node = Spec::new(folder.path()).start();
    let mut client = node.connect();
    let long = "x".repeat(250);
    type Configs<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, i32, Configs, ErrorCode, &str)] = &[
        ("", 1, &[], ErrorCode::InvalidTopicException, "empty"),
        (".", 1, &[], ErrorCode::InvalidTopicException, "."),
        ("..", 1, &[], ErrorCode::InvalidTopicException, ".."),
        ("a/b", 1, &[], ErrorCode::InvalidTopicException, "a/b"),
        ("../../etc", 1, &[], ErrorCode::InvalidTopicException, "etc"),
        ("räume", 1, &[], ErrorCode::InvalidTopicException, "räume"),
        (&long, 1, &[], ErrorCode::InvalidTopicException, "249"),
        ("t", 0, &[], ErrorCode::InvalidPartitions, "partitions"),
        ("t", -7, &[], ErrorCode::InvalidPartitions, "partitions"),
        (
            "t",
            i32::MAX,
            &[],
            ErrorCode::InvalidPartitions,
            "partitions",
        ),
        (
            "t",
            1,
            &[("no.such.config", "1")],
            ErrorCode::InvalidConfig,
            "no.such.config",
        ),
        (
            "t",
            1,
            &[("retention.ms", "soon")],
            ErrorCode::InvalidConfig,
            "retention.ms",
        ),
        (
            "t",
            1,
            &[("segment.bytes", "-1")],
            ErrorCode::InvalidConfig,
            "segment.bytes",
        ),
        (
            "t",
            1,
            &[("cleanup.policy", "burn")],
            ErrorCode::InvalidConfig,
            "cleanup.policy",
        ),
    ];
    for (name, partitions, configs, expected, part) in cases {
        let (code, message) = client.create_topic(name, *partitions, configs).unwrap();
        assert_eq!(
            code, *expected,
            "{name} {partitions} {configs:?}: {message}"
        );
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    client.make_topic("t", 2, &[]);
    let (code, message) = client.create_topic("t", 1, &[]).unwrap();
    assert_eq!(code, ErrorCode::TopicAlreadyExists);
    assert!(message.contains("'t'"), "{message}");
    for (count, expected) in [
        (1, ErrorCode::InvalidPartitions),
        (2, ErrorCode::InvalidPartitions),
        (i32::MAX, ErrorCode::InvalidPartitions),
        (3, ErrorCode::None),
    ] {
        let answer = client
            .call(&CreatePartitionsRequest {
                topics: vec![CreatePartitionsTopic {
                    name: "t".into(),
                    count,
                    assignments: None,
                }],
                timeout_ms: 10_000,
                ..Default::default()
            })
            .unwrap();
        let code = ErrorCode::from(answer.results[0].error_code);
        assert_eq!(
            code, expected,
            "{count}: {:?}",
            answer.results[0].error_message
        );
    }
    let answer = client
        .call(&IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: 2,
                resource_name: "t".into(),
                configs: vec![AlterableConfig {
                    name: "no.such.config".into(),
                    config_operation: 0,
                    value: Some("1".into()),
                }],
            }],
            ..Default::default()
        })
        .unwrap();
    let answer = &answer.responses[0];
    assert_eq!(ErrorCode::from(answer.error_code), ErrorCode::InvalidConfig);
    let message = answer.error_message.as_ref().unwrap();
    assert!(message.contains("no.such.config"), "{message}");
}

#[test]
fn what_is_not_there_gets_kafkas_error() {
    let folder = tempfile::tempdir().unwrap();
    let node = Spec::new(folder.path()).start();
    let mut client = node.connect();
    client.make_topic("t", 1, &[]);
    let code = |code: i16| ErrorCode::from(code);
    for (topic, partition) in [("missing", 0), ("t", 1), ("t", -1)] {
        let answer = client.produce(topic, partition, -1, plain(&["x"])).unwrap();
        assert_eq!(code(answer.error_code), ErrorCode::UnknownTopicOrPartition);
        let answer = client.fetch(topic, partition, 0, 0).unwrap();
        assert_eq!(code(answer.error_code), ErrorCode::UnknownTopicOrPartition);
    }
    let answer = client.produce("t", 0, 5, plain(&["x"])).unwrap();
    assert_eq!(code(answer.error_code), ErrorCode::InvalidRequiredAcks);
    for offset in [-5, 1, i64::MAX] {
        let answer = client.fetch("t", 0, offset, 0).unwrap();
        assert_eq!(code(answer.error_code), ErrorCode::OffsetOutOfRange);
    }
    let gone = client.delete_topic("missing").unwrap();
    assert_eq!(gone, ErrorCode::UnknownTopicOrPartition);
    // With acks=0 nobody reads an answer: the connection ends instead.
    let mut careless = node.connect();
    let request = milena_tests::admin::produce_request("missing", 0, 0, plain(&["x"]));
    careless.send(&request).unwrap();
    assert!(careless.is_closed_by_peer());
}

#[test]
fn a_topic_deleted_under_a_poll_ends_the_poll() {
    let folder = tempfile::tempdir().unwrap();
    let node = Spec::new(folder.path()).start();
    let mut client = node.connect();
    client.make_topic("t", 1, &[]);
    client.must_produce("t", 0, plain(&["x"]));
    let mut poller = node.connect();
    let began = Instant::now();
    poller.send(&fetch_request("t", 0, 1, 25_000)).unwrap();
    // Nothing outside shows that the poll waits; it is there well within this poll's 50 ms.
    let mut other = node.connect();
    assert_eq!(other.fetch("t", 0, 1, 50).unwrap().error_code, 0);
    assert_eq!(client.delete_topic("t").unwrap(), ErrorCode::None);
    let (_, answer) = poller
        .receive::<protocol::api::fetch::FetchRequest>()
        .unwrap();
    let code = ErrorCode::from(answer.responses[0].partitions[0].error_code);
    assert!(
        matches!(
            code,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::NotLeaderOrFollower
        ),
        "{}",
        code.name()
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    // The same name begins anew, with another id.
    client.make_topic("t", 1, &[]);
    assert_eq!(client.must_produce("t", 0, plain(&["new"])), 0);
    let data = client.fetch("t", 0, 0, 0).unwrap();
    let records = records_from(data.records, 0).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value.as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_topic_deleted_while_an_answer_is_on_its_way_is_read_to_the_answers_end() {
    const VALUE: usize = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let node = Spec::new(folder.path()).start();
    let mut client = node.connect();
    client.make_topic("t", 1, &[("file.delete.delay.ms", "0")]);
    for number in 0..8 {
        client.must_produce("t", 0, plain(&[vec![number; VALUE]]));
    }
    let mut reader = node.connect();
    let mut request = fetch_request("t", 0, 0, 0);
    request.topics[0].partitions[0].partition_max_bytes = 16 << 20;
    reader.send(&request).unwrap();
    let mut length = [0; 4];
    reader.socket().read_exact(&mut length).unwrap();
    assert_eq!(client.delete_topic("t").unwrap(), ErrorCode::None);
    let folder = node.spec().data.join("logs/t-0");
    wait::until("the folder's other name", || {
        (!folder.exists()).then_some(())
    });
    client.make_topic("t", 1, &[]);
    client.must_produce("t", 0, plain(&[vec![99; VALUE]]));
    let mut frame = vec![0; i32::from_be_bytes(length) as usize];
    reader.socket().read_exact(&mut frame).unwrap();
    for number in 0..8 {
        let run = vec![number; VALUE];
        assert!(
            frame
                .windows(VALUE)
                .any(|window| window[0] == number && window == run),
            "record {number} is not whole"
        );
    }
}
