//! A disk that fails: after the first failed sync nothing more is acknowledged, the node says so
//! and leaves, and what was acknowledged before is there.
//!
//! The disk is an image that is larger than the memory it lies in: once that is used up, the
//! device's writes fail, though the file system on it has room.

use milena_tests::image::{Mount, cannot_mount, make_ext4};
use milena_tests::load::{Load, Plan};
use milena_tests::process::Spec;
use milena_tests::random::seed;
use milena_tests::raw::batch;
use milena_tests::wait;
use protocol::ErrorCode;
use protocol::records::BatchIdentity;

const TOPIC: &str = "failing";
const PARTITIONS: i32 = 2;
const IMAGE_BYTES: u64 = 64 << 20;
const MEMORY_BYTES: u64 = 24 << 20;

#[test]
fn a_failed_sync_is_final_and_loses_nothing_that_was_acknowledged() {
    if let Some(reason) = cannot_mount() {
        println!("SKIPPED: the failing disk is a mounted image, and {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let memory = Mount::memory(&folder.path().join("memory"), MEMORY_BYTES).unwrap();
    let image = memory.path().join("image");
    make_ext4(&image, IMAGE_BYTES).unwrap();
    let disk = Mount::image(&image, &folder.path().join("disk")).unwrap();
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
    let large = batch(&[vec![b'x'; 900 << 10]], &BatchIdentity::default());
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
    drop(disk);
    memory.resize_memory(2 * IMAGE_BYTES).unwrap();
    let disk = Mount::image(&image, &folder.path().join("disk")).unwrap();
    let node = spec.start();
    load.wait_for_acks(50);
    let history = load.finish();
    println!("{} records acknowledged", history.acked_count());
    for partition in 0..PARTITIONS {
        let log = node.connect().read_all(TOPIC, partition).unwrap();
        let records = log
            .iter()
            .map(|record| (record.offset, record.value.as_deref().unwrap_or_default()));
        let found = history.check(partition, records);
        let told: Vec<_> = found.iter().take(5).map(ToString::to_string).collect();
        assert!(
            found.is_empty(),
            "{} anomalies:\n{}",
            found.len(),
            told.join("\n")
        );
    }
    drop(node);
    drop(disk);
}
