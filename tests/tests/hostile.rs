//! Clients that mean harm, or do not know better: their connections end with a reason that is
//! logged, and everybody else goes on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use milena_tests::admin::{fetch_request, produce_request};
use milena_tests::process::{Node, Spec};
use milena_tests::random::{Random, seed};
use milena_tests::raw::{Connection, plain, version};
use milena_tests::{skip, wait};
use protocol::api::produce::ProduceRequest;
use protocol::records::CRC;
use protocol::{ApiKey, ErrorCode, RequestHeader, Writer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const TOPIC: &str = "quiet";
const MIB: u64 = 1 << 20;

fn node_with_topic(folder: &tempfile::TempDir) -> Node {
    let node = Spec::new(folder.path()).start();
    node.connect().make_topic(TOPIC, 1, &[]);
    node
}

/// A frame of a request with this header and body.
fn frame(api_key: i16, api_version: i16, body: &[u8]) -> Vec<u8> {
    let header = RequestHeader {
        api_key,
        api_version,
        correlation_id: 7,
        client_id: None,
    };
    let mut writer = Writer::with_capacity(64);
    header.encode(&mut writer);
    writer.raw(body);
    let request = writer.into_bytes();
    let mut frame = (request.len() as i32).to_be_bytes().to_vec();
    frame.extend(&request);
    frame
}

#[test]
fn a_hostile_frame_ends_its_connection_with_a_reason_and_touches_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let mut good = node.connect();
    let metadata = *ApiKey::Metadata.versions().end();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        (
            "a huge length",
            i32::MAX.to_be_bytes().to_vec(),
            "socket.request.max.bytes",
        ),
        (
            "a negative length",
            (-1_i32).to_be_bytes().to_vec(),
            "cannot be one",
        ),
        (
            "a length that holds no header",
            3_i32.to_be_bytes().to_vec(),
            "cannot be one",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(),
            "HTTP",
        ),
        ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "TLS"),
        ("an unknown API", frame(9999, 0, &[]), "API 9999"),
        ("an unknown version", frame(0, 99, &[]), "version 99"),
        ("a negative version", frame(3, -1, &[]), "version -1"),
        (
            "an array of two billion",
            frame(3, metadata, &[0xff, 0xff, 0xff, 0xff, 0x07]),
            "Metadata version 13 does not decode",
        ),
        (
            "a string past its end",
            frame(
                3,
                metadata,
                &[
                    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x7f,
                ],
            ),
            "Metadata version 13 does not decode",
        ),
        (
            "a request without a body",
            frame(0, 3, &[]),
            "Produce version 3 does not decode",
        ),
    ];
    for (count, (what, bytes, reason)) in (0..).zip(cases) {
        let logged = node.spec().logged().len();
        let mut hostile = node.connect();
        hostile.socket().write_all(bytes).unwrap();
        assert!(hostile.is_closed_by_peer(), "{what}: the connection stays");
        let told = wait::until(&format!("a logged reason for {what}"), || {
            let text = node.spec().logged()[logged..].to_owned();
            text.contains("closing").then_some(text)
        });
        assert!(told.contains(reason), "{what}: {told}");
        assert_eq!(
            good.must_produce(TOPIC, 0, plain(&["fine"])),
            count,
            "{what}"
        );
    }
    let (_, metrics) = node.http("/metrics").unwrap();
    let counted = format!("milena_connections_hostile_total {}", cases.len());
    assert!(metrics.contains(&counted), "{metrics}");
}

#[test]
fn frames_that_break_off_and_random_ones_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = node_with_topic(&folder);
    let mut random = Random::new(seed());
    let before = node.resident();
    let whole = frame(3, 1, &[0, 0, 0, 0]);
    for end in 1..whole.len() {
        let mut torn = node.connect();
        torn.socket().write_all(&whole[..end]).unwrap();
        torn.socket().shutdown(Shutdown::Write).unwrap();
        assert!(torn.is_closed_by_peer(), "{end} bytes of a request");
    }
    for _ in 0..400 {
        let key = ApiKey::ALL[random.within(0..ApiKey::ALL.len() as u64) as usize];
        let versions = key.versions();
        let count = u64::try_from(*versions.end() - *versions.start() + 1).unwrap();
        let version = *versions.start() + random.within(0..count) as i16;
        let body: Vec<u8> = (0..random.within(0..200))
            // Small numbers pass for lengths more often.
            .map(|_| (random.any() >> random.within(0..8)) as u8)
            .collect();
        let mut hostile = node.connect();
        let sent = hostile
            .socket()
            .write_all(&frame(key as i16, version, &body));
        // It may be closed already, which is as well.
        let _ = sent.and_then(|()| hostile.socket().shutdown(Shutdown::Write));
    }
    assert!(node.is_running());
    node.connect().must_produce(TOPIC, 0, plain(&["fine"]));
    let grown = node.resident().saturating_sub(before);
    assert!(grown < 100 * MIB, "the node grew by {grown} bytes");
}

#[test]
fn a_batch_that_lies_is_refused_and_its_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let mut client = node.connect();
    let good = plain(&["one", "two"]);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let cases = [
        (
            "a wrong CRC",
            with(CRC, &[1, 2, 3, 4]),
            ErrorCode::CorruptMessage,
        ),
        ("an old magic", with(16, &[1]), ErrorCode::InvalidRecord),
        (
            "a length past the end",
            with(8, &1000_i32.to_be_bytes()),
            ErrorCode::CorruptMessage,
        ),
        (
            "a length that is negative",
            with(8, &(-5_i32).to_be_bytes()),
            // Kafka calls it corrupt, which has a producer send the same again.
            ErrorCode::InvalidRecord,
        ),
        (
            "half a header",
            good[..30].to_vec(),
            ErrorCode::CorruptMessage,
        ),
        ("no batch at all", Vec::new(), ErrorCode::CorruptMessage),
        (
            "two batches",
            [&good[..], &good[..]].concat(),
            ErrorCode::InvalidRecord,
        ),
    ];
    for (what, records, expected) in cases {
        let answer = client.produce(TOPIC, 0, -1, records.into()).unwrap();
        let code = ErrorCode::from(answer.error_code);
        assert_eq!(code, expected, "{what}");
    }
    let large = plain(&[vec![b'x'; 2 << 20]]);
    let answer = client.produce(TOPIC, 0, -1, large).unwrap();
    assert_eq!(
        ErrorCode::from(answer.error_code),
        ErrorCode::MessageTooLarge
    );
    assert_eq!(
        client.must_produce(TOPIC, 0, good),
        0,
        "nothing was appended"
    );
}

#[test]
fn clients_that_announce_much_and_send_little_starve_nobody() {
    const CLIENTS: usize = 64;
    const ANNOUNCED: i32 = 100_000_000;
    const SENT: usize = 6 << 20;
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let mut good = node.connect();
    let payload = vec![b'x'; SENT];
    let mut half_open = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = node.connect();
        let head = &frame(0, 3, &[])[4..];
        client.socket().write_all(&ANNOUNCED.to_be_bytes()).unwrap();
        client.socket().write_all(head).unwrap();
        half_open.push(client);
    }
    good.must_produce(TOPIC, 0, plain(&["announced"]));
    let large = vec![b'y'; 900 << 10];
    for client in &mut half_open {
        // Whoever is cut off to make room may not get to the end of this.
        let _ = client.socket().write_all(&payload);
        good.must_produce(TOPIC, 0, plain(&[&large]));
        good.must_produce(TOPIC, 0, plain(&["small"]));
    }
    let resident = node.resident();
    // queued.max.request.bytes is 256 MiB.
    assert!(resident < 420 * MIB, "{resident} bytes are resident");
    assert!(node.spec().logged().contains("queued.max.request.bytes"));
}

#[test]
fn whole_requests_that_wait_behind_a_long_poll_are_held_within_the_budget() {
    const CLIENTS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    // Metadata waits until the poll before it is answered, with all of its bytes.
    let waits = frame(3, 1, &vec![0; 20 << 20]);
    let mut crowd: Vec<Connection> = (0..CLIENTS).map(|_| node.connect()).collect();
    for client in &mut crowd {
        client.send(&fetch_request(TOPIC, 0, 0, 600_000)).unwrap();
        // Whoever is cut off to make room may not get to the end of this.
        let _ = client.socket().write_all(&waits);
    }
    let mut good = node.connect();
    wait::until("the first of them is cut off", || {
        let logged = node.spec().logged();
        logged.contains("queued.max.request.bytes").then_some(())
    });
    let resident = node.resident();
    assert!(resident < 420 * MIB, "{resident} bytes are resident");
    good.must_produce(TOPIC, 0, plain(&["served"]));
}

#[test]
fn what_was_produced_before_a_hostile_frame_is_still_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    for _ in 0..20 {
        let mut client = node.connect();
        let produce = produce_request(TOPIC, 0, -1, plain(&["kept"]));
        let sent = client.send(&produce).unwrap();
        let unknown = frame(999, 0, &[]);
        client.socket().write_all(&unknown).unwrap();
        let (id, answer) = client.receive::<ProduceRequest>().unwrap();
        assert_eq!(id, sent);
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, 0);
        assert!(client.is_closed_by_peer());
    }
}

#[test]
fn a_client_that_reads_no_answers_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let mut good = node.connect();
    let value = vec![b'x'; 900 << 10];
    for _ in 0..16 {
        good.must_produce(TOPIC, 0, plain(&[&value]));
    }
    let before = node.resident();
    let mut deaf: Vec<Connection> = (0..8).map(|_| node.connect()).collect();
    let fetch = fetch_request(TOPIC, 0, 0, 0);
    for client in &mut deaf {
        let socket = client.socket();
        socket
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        for _ in 0..500 {
            // Its requests back up, too, once the node has enough of them.
            if client.send(&fetch).is_err() {
                break;
            }
        }
    }
    let mut deaf_producer = node.connect();
    for _ in 0..200 {
        let request = produce_request(TOPIC, 0, -1, plain(&["unread"]));
        deaf_producer.send(&request).unwrap();
    }
    let began = Instant::now();
    for _ in 0..20 {
        good.must_produce(TOPIC, 0, plain(&["heard"]));
        let end = good.offset(TOPIC, 0, -1).unwrap();
        let last = good.fetch(TOPIC, 0, end - 1, 0).unwrap();
        assert_eq!(last.error_code, 0);
    }
    let took = began.elapsed();
    assert!(took < wait::PATIENCE, "others waited {took:?}");
    let grown = node.resident().saturating_sub(before);
    assert!(grown < 64 * MIB, "the node grew by {grown} bytes");
    // What was produced is there, heard or not.
    good.wait_for_offset(TOPIC, 0, 16 + 200 + 20);
}

/// Whether this process may have so many files open, its limit raised as far as it goes.
fn may_open(files: usize) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).is_ok()
        && limit.maximum.is_none_or(|most| most >= files as u64)
}

#[test]
fn two_thousand_idle_connections_cost_little() {
    const IDLE: usize = 2000;
    if !may_open(IDLE + 500) {
        return skip("this process may not open so many sockets (ulimit -Hn)");
    }
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let before = node.resident();
    let mut idle: Vec<_> = (0..IDLE).map(|_| node.connect()).collect();
    node.connect().must_produce(TOPIC, 0, plain(&["fine"]));
    for client in &mut idle {
        client.offset(TOPIC, 0, -1).unwrap();
    }
    let each = node.resident().saturating_sub(before) / IDLE as u64;
    assert!(each < 32 << 10, "{each} bytes for each idle connection");
}

#[test]
fn a_limit_on_connections_refuses_the_next_one_and_holds_for_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = Spec::new(folder.path());
    spec.args = ["--set", "max.connections=3"].map(str::to_owned).to_vec();
    let node = spec.start();
    let mut held: Vec<_> = (0..3).map(|_| node.connect()).collect();
    for client in &mut held {
        client.topic("x").unwrap();
    }
    assert!(node.connect().is_closed_by_peer());
    assert!(spec.logged().contains("max.connections is reached"));
    held.pop();
    wait::until("a place for another connection", || {
        node.connect().topic("x").ok()
    });
}

#[test]
fn an_unknown_version_of_api_versions_gets_kafkas_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_with_topic(&folder);
    let mut client = node.connect();
    client
        .socket()
        .write_all(&frame(ApiKey::ApiVersions as i16, 99, b"whatever"))
        .unwrap();
    let mut length = [0; 4];
    client.socket().read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    client.socket().read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7_i32.to_be_bytes(), "the correlation id");
    assert_eq!(
        answer[4..6],
        ErrorCode::UnsupportedVersion.code().to_be_bytes()
    );
    // In version 0: an array of the supported versions, by which the client tries again.
    assert!(answer.len() > 10);
    assert!(version(ApiKey::ApiVersions) < 99);
    client.topic(TOPIC).unwrap();
}
