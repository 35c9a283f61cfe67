//! A whole node in this process, on free ports and in a folder of its own: start, readiness,
//! metrics, stop, start again, and what keeps a node from starting.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use client::{Consumer, ConsumerConfig, Producer, ProducerConfig, ProducerRecord, Reset};
use expect_test::{Expect, expect};
use milena_node::{Config, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Nothing here takes long; this only keeps a fault from hanging the tests.
const DEADLINE: Duration = Duration::from_secs(30);

fn config(data: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        http_listen: "127.0.0.1:0".to_owned(),
        data: data.to_owned(),
        ..Config::default()
    }
}

async fn start(data: &Path) -> Node {
    let started = tokio::time::timeout(DEADLINE, Node::start(config(data)));
    started.await.expect("a start is quick").expect("a start")
}

/// Asks by HTTP, and gives status and body.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: milena\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a status"), body.to_owned())
}

/// Sends bytes, and gives all that comes back until the connection ends.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let exchanged = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // Who is cut off in the middle of a request may see a reset, before or after the answer.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    };
    tokio::time::timeout(DEADLINE, exchanged)
        .await
        .expect("an answer in time")
}

async fn produce(address: SocketAddr, topic: &str) -> i64 {
    let config = ProducerConfig::new(address.to_string());
    let producer = Producer::new(config).expect("a producer");
    let record = ProducerRecord::new(topic).value("v");
    let sent = producer.send(record).await.expect("room in the producer");
    let delivered = sent.await.expect("an acknowledged record");
    producer.close().await.expect("nothing is left unsent");
    delivered.offset
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_takes_records_and_does_so_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..2 {
        let node = start(dir.path()).await;
        let http = node.http_address();
        assert_eq!(get(http, "/healthz").await.0, 200);
        assert_eq!(get(http, "/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(produce(node.address(), "t").await, run);
        node.stop().await;
        let marker = dir.path().join("logs/.kafka_cleanshutdown");
        assert!(marker.exists(), "the folder is marked clean");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_logs_requests_and_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    produce(node.address(), "t").await;
    let (status, text) = get(node.http_address(), "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "milena_records_received_total 1",
        "milena_log_end_offset{topic=\"t\",partition=\"0\"} 1",
        "milena_log_high_watermark{topic=\"t\",partition=\"0\"} 1",
        "milena_log_online{topic=\"t\",partition=\"0\"} 1",
        "milena_request_duration_seconds_count{api=\"Produce\"} 1",
        "milena_topics 1",
        "milena_storage_failed 0",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line:?} in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_how_far_a_group_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config
        .set("kafka.group.initial.rebalance.delay.ms", "0")
        .unwrap();
    let node = Node::start(config).await.unwrap();
    produce(node.address(), "t").await;
    let mut consumer = Consumer::new(ConsumerConfig {
        reset: Reset::Earliest,
        ..ConsumerConfig::in_group(node.address().to_string(), "g")
    })
    .unwrap();
    consumer.subscribe(["t"]).unwrap();
    let read = tokio::time::timeout(DEADLINE, consumer.next());
    read.await.expect("in time").expect("a record");
    consumer.commit().await.unwrap();
    produce(node.address(), "t").await;
    let (_, text) = get(node.http_address(), "/metrics").await;
    for line in [
        "milena_group_lag{group=\"g\",topic=\"t\",partition=\"0\"} 1",
        "milena_group_members{group=\"g\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line:?} in:\n{text}");
    }
    consumer.close().await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_http_is_answered_and_nobody_can_hold_the_port() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let http = node.http_address();
    assert_eq!(get(http, "/nowhere").await.0, 404);
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let refused = exchange(http, long.as_bytes()).await;
    // The answer is lost where the system resets a connection with bytes unread.
    assert!(
        refused.is_empty() || refused.starts_with("HTTP/1.1 431"),
        "{refused}"
    );
    assert!(
        exchange(http, b"\x16\x03\x01\x00\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    // More silent connections than there are places give way to one that asks.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(http).await.unwrap());
    }
    assert_eq!(get(http, "/healthz").await.0, 200);
    node.stop().await;
}

async fn refused(config: Config, strip: &[&str], expected: Expect) {
    let started = tokio::time::timeout(DEADLINE, Node::start(config));
    let mut sentence = match started.await.expect("a refusal is quick") {
        Ok(_) => "it started".to_owned(),
        Err(error) => error.to_string(),
    };
    for (n, varying) in strip.iter().enumerate() {
        sentence = sentence.replace(varying, &format!("<{n}>"));
    }
    expected.assert_eq(&sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_a_sentence_and_the_folder_is_free_again() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    refused(
        Config {
            listen: address.clone(),
            ..config(dir.path())
        },
        &[&address],
        expect!["cannot listen on <0>: Address already in use (os error 98); another process may have the port (choose another with --listen)"],
    )
    .await;
    refused(
        Config {
            http_listen: address.clone(),
            ..config(dir.path())
        },
        &[&address],
        expect!["cannot serve HTTP on <0>: Address already in use (os error 98); another process may have the port (choose another with --http-listen)"],
    )
    .await;
    start(dir.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let name = "no-such-host.invalid:9092";
    for (setting, what) in [("listen", "listener"), ("http-listen", "HTTP")] {
        let mut one = config(dir.path());
        one.set(setting, name).unwrap();
        let started = Node::start(one).await;
        let sentence = started.err().expect("a refusal").to_string();
        // The middle is the resolver's own words.
        assert!(
            sentence.starts_with(&format!("cannot resolve the {what} address {name}: ")),
            "{sentence}"
        );
        assert!(
            sentence.contains("use an address of this machine"),
            "{sentence}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_one_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    std::fs::write(path.join("file"), "no folder").unwrap();
    refused(
        config(&path.join("file/data")),
        &[&path.to_string_lossy()],
        expect!["cannot use the data folder <0>/file/data: Not a directory (os error 20); choose another with --data, or mend its permissions"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_nobody_can_connect_to_is_not_advertised() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = config(dir.path());
    one.set("advertise", "0.0.0.0:9092").unwrap();
    refused(
        one,
        &[],
        expect!["the advertised address 0.0.0.0 is none that a client could connect to; advertise a name or address of this machine"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let path = dir.path().canonicalize().unwrap();
    refused(
        config(dir.path()),
        &[&path.to_string_lossy()],
        expect![
            "<0>/coord is in use by another process; stop that one, or choose another folder with --data"
        ],
    )
    .await;
    assert_eq!(get(node.http_address(), "/readyz").await.0, 200);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await;
    let meta = dir.path().join("logs/meta.properties");
    let good = std::fs::read_to_string(&meta).unwrap();
    let newer = good.replace("milena.format=1", "milena.format=7");
    std::fs::write(&meta, &newer).unwrap();
    let path = dir.path().canonicalize().unwrap();
    refused(
        config(dir.path()),
        &[&path.to_string_lossy()],
        expect!["<0>/logs/meta.properties has format 7, and this version knows up to 1; run the newer version that wrote it"],
    )
    .await;
    assert_eq!(std::fs::read_to_string(&meta).unwrap(), newer);
    std::fs::write(&meta, good).unwrap();
    start(dir.path()).await.stop().await;
}
