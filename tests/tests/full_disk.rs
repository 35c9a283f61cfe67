//! A full disk refuses records with Kafka's error; reads go on, nothing acknowledged is lost, and
//! records are taken again once there is room.

use std::fs;
use std::path::Path;

use milena_tests::image::{Disk, Mount, can_mount};
use milena_tests::numbered::{self, numbered};
use milena_tests::process::{Node, Spec, left_cleanly};
use milena_tests::raw::Connection;
use milena_tests::wait;
use protocol::ErrorCode;

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
        numbered::assert_holds(connection, TOPIC, partition, *acked);
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

fn a_full_disk_loses_nothing(disk: &Path, folder: &Path) {
    let mut node = node_on(disk, folder);
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

    fs::remove_file(disk.join(BALLAST[0])).unwrap();
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
    match spec.try_start() {
        Ok(started) => {
            println!("a start on the full disk succeeds");
            assert_holds(&mut started.connect(), &acked);
            started.kill();
        }
        Err((_, said)) => {
            println!("a start on the full disk is refused");
            assert!(said.contains("No space left"), "{said}");
        }
    }
    fs::remove_file(disk.join(BALLAST[1])).unwrap();
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
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), DISK_BYTES, 2 * DISK_BYTES).unwrap();
    a_full_disk_loses_nothing(&disk.path(), folder.path());
}

#[test]
fn on_tmpfs() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Mount::memory(&folder.path().join("disk"), DISK_BYTES).unwrap();
    a_full_disk_loses_nothing(disk.path(), folder.path());
}
