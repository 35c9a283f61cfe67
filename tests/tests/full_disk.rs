//! A full disk refuses records with Kafka's error; reads go on, nothing acknowledged is lost, and
//! records are taken again once there is room.

use std::fs;
use std::path::Path;

use milena_tests::image::{Mount, cannot_mount, make_ext4};
use milena_tests::process::{Node, Spec, left_cleanly};
use milena_tests::raw::{Connection, batch};
use milena_tests::wait;
use protocol::ErrorCode;
use protocol::records::BatchIdentity;

const TOPIC: &str = "full";
const PARTITIONS: i32 = 2;
const DISK_BYTES: u64 = 40 << 20;
const BALLAST_BYTES: usize = 6 << 20;
/// Enough to fill what the coordination service has reserved.
const TOPICS_MAX: u32 = 3000;
/// Files that are removed one after the other to make room.
const BALLAST: [&str; 2] = ["ballast-1", "ballast-2"];

/// The number of records acknowledged in each partition, which are numbered from 0.
type Acked = [i64; PARTITIONS as usize];

fn numbered(number: i64, len: usize) -> bytes::Bytes {
    let mut value = format!("record {number} ").into_bytes();
    value.resize(len, b'x');
    batch(&[value], &BatchIdentity::default())
}

/// Produces to both partitions in turn until one refuses.
fn fill(connection: &mut Connection, acked: &mut Acked, len: usize) {
    loop {
        for (partition, acked) in (0..).zip(acked.iter_mut()) {
            let record = numbered(*acked, len);
            let answer = connection.produce(TOPIC, partition, -1, record).unwrap();
            match ErrorCode::from(answer.error_code) {
                ErrorCode::None => {
                    assert_eq!(answer.base_offset, *acked);
                    *acked += 1;
                }
                code => {
                    assert_eq!(code, ErrorCode::KafkaStorageError);
                    return;
                }
            }
        }
    }
}

fn assert_holds(connection: &mut Connection, acked: &Acked) {
    for (partition, acked) in (0..).zip(acked) {
        let records = connection.read_all(TOPIC, partition).unwrap();
        assert_eq!(records.len() as i64, *acked, "partition {partition}");
        for (expected, record) in (0..).zip(&records) {
            let start = format!("record {expected} ");
            let value = record.value.as_deref().unwrap_or_default();
            assert_eq!(record.offset, expected);
            assert!(value.starts_with(start.as_bytes()), "offset {expected}");
        }
    }
}

/// Waits until both partitions take records.
fn assert_recovers(connection: &mut Connection, acked: &mut Acked) {
    for (partition, acked) in (0..).zip(acked.iter_mut()) {
        wait::until("records taken again", || {
            let record = numbered(*acked, 1000);
            let answer = connection.produce(TOPIC, partition, -1, record).unwrap();
            (answer.error_code == 0).then(|| assert_eq!(answer.base_offset, *acked))
        });
        *acked += 1;
    }
}

fn node_on(disk: &Path, folder: &Path) -> Node {
    for name in BALLAST {
        fs::write(disk.join(name), vec![7; BALLAST_BYTES]).unwrap();
    }
    let mut spec = Spec::new(folder);
    spec.data = disk.join("data");
    let node = spec.start();
    let configs = [("segment.bytes", "4194304")];
    node.connect().make_topic(TOPIC, PARTITIONS, &configs);
    node
}

fn a_full_disk_loses_nothing(disk: &Mount, folder: &Path) {
    let mut node = node_on(disk.path(), folder);
    let mut connection = node.connect();
    let mut acked = Acked::default();
    // Large ones first, then small ones into what is left.
    for len in [700_000, 20_000, 200] {
        fill(&mut connection, &mut acked, len);
    }
    assert!(node.spec().logged().contains("takes no records"));
    assert!(node.is_running());
    assert_holds(&mut node.connect(), &acked);
    // What needs no room goes on, too; topics come into being as long as the coordination service
    // has room, and then no more.
    assert_eq!(connection.topic(TOPIC).unwrap().error_code, 0);
    let refused = (0..TOPICS_MAX).find_map(|number| {
        let name = format!("while-full-{number}");
        let (code, message) = connection.create_topic(&name, 1, &[]).unwrap();
        (code != ErrorCode::None).then_some((number, code.name(), message))
    });
    println!("full at {acked:?} records; topics made then: {refused:?}");
    assert!(node.is_running());

    fs::remove_file(disk.path().join(BALLAST[0])).unwrap();
    assert_recovers(&mut connection, &mut acked);
    assert_holds(&mut node.connect(), &acked);
    wait::until("a topic made again", || {
        let (code, _) = connection.create_topic("after", 1, &[]).unwrap();
        (code == ErrorCode::None).then_some(())
    });

    // Full again, and killed: it starts, or says why not, and loses nothing.
    for len in [700_000, 200] {
        fill(&mut connection, &mut acked, len);
    }
    let spec = node.spec().clone();
    node.kill();
    let mut started = spec.spawn();
    let outcome = wait::until("a start or a refusal on a full disk", || {
        let ready = started
            .http("/readyz")
            .is_ok_and(|(status, _)| status == 200);
        (ready || !started.is_running()).then_some(ready)
    });
    println!(
        "a start on the full disk {}",
        if outcome { "succeeds" } else { "is refused" }
    );
    if outcome {
        assert_holds(&mut started.connect(), &acked);
    } else {
        let said = spec.logged();
        assert!(said.contains("No space left"), "{said}");
    }
    started.kill();
    fs::remove_file(disk.path().join(BALLAST[1])).unwrap();
    let node = spec.start();
    let mut connection = node.connect();
    assert_holds(&mut connection, &acked);
    assert_recovers(&mut connection, &mut acked);
    let (status, _) = node.stop();
    assert!(left_cleanly(status), "{status}");
    assert_holds(&mut spec.start().connect(), &acked);
}

#[test]
fn on_ext4() {
    if let Some(reason) = cannot_mount() {
        println!("SKIPPED: the full-disk test mounts an image, and {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let memory = Mount::memory(&folder.path().join("memory"), 2 * DISK_BYTES).unwrap();
    let image = memory.path().join("image");
    make_ext4(&image, DISK_BYTES).unwrap();
    let disk = Mount::image(&image, &folder.path().join("disk")).unwrap();
    a_full_disk_loses_nothing(&disk, folder.path());
}

#[test]
fn on_tmpfs() {
    if let Some(reason) = cannot_mount() {
        println!("SKIPPED: the full-disk test mounts a limited file system, and {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Mount::memory(&folder.path().join("disk"), DISK_BYTES).unwrap();
    a_full_disk_loses_nothing(&disk, folder.path());
}
