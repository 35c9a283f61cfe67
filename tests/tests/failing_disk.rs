//! A disk that fails: after the first failed sync nothing more is acknowledged, the node says so
//! and leaves, and what was acknowledged before is there.
//!
//! The disk is an image that is larger than the memory it lies in: once that is used up, the
//! device's writes fail, though the file system on it has room.

use milena_tests::image::{Disk, can_mount};
use milena_tests::load::{Load, Plan};
use milena_tests::process::Spec;
use milena_tests::random::seed;
use milena_tests::raw::plain;
use milena_tests::wait;
use protocol::ErrorCode;

const TOPIC: &str = "failing";
const PARTITIONS: i32 = 2;
const IMAGE_BYTES: u64 = 64 << 20;
const MEMORY_BYTES: u64 = 24 << 20;

#[test]
fn a_failed_sync_is_final_and_loses_nothing_that_was_acknowledged() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::new(folder.path(), IMAGE_BYTES, MEMORY_BYTES).unwrap();
    let mut spec = Spec::new(folder.path());
    spec.data = disk.path().join("data");
    let mut node = spec.start();
    let mut connection = node.connect();
    connection.make_topic(TOPIC, PARTITIONS, &[]);
    connection.make_topic("ballast", 1, &[]);
    let load = Load::start(Plan {
        address: spec.address(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        acks: vec![-1, 1],
        seed: seed(),
    });
    load.wait_for_acks(50);
    let large = plain(&[vec![b'x'; 900 << 10]]);
    let refused = wait::until("a write that fails", || {
        match connection.produce("ballast", 0, -1, large.clone()) {
            Ok(answer) if answer.error_code == 0 => None,
            Ok(answer) => Some(ErrorCode::from(answer.error_code)),
            // It left before it could answer.
            Err(_) => Some(ErrorCode::KafkaStorageError),
        }
    });
    assert_eq!(refused, ErrorCode::KafkaStorageError);
    let status = node.wait_for_exit();
    assert!(!status.success(), "{status}");
    let said = spec.logged();
    assert!(said.contains("nothing more is written"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!spec.data.join("logs/.kafka_cleanshutdown").exists());

    // The operator gives the disk what it lacks.
    disk.memory.resize_memory(2 * IMAGE_BYTES).unwrap();
    disk.remount().unwrap();
    let node = spec.start();
    load.wait_for_acks(50);
    let history = load.finish();
    println!("{} records acknowledged", history.acked_count());
    history.assert_well(&mut node.connect(), TOPIC, PARTITIONS);
    // The disk can be unmounted once nobody is on it.
    drop(node);
    drop(disk);
}
