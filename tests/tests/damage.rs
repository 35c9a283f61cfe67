//! Files that are not as the node left them: told, and nothing cut that was acknowledged.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use milena_tests::numbered::{self, numbered};
use milena_tests::process::{Node, Spec};
use milena_tests::raw::{Connection, batch};
use milena_tests::segment::{checkpoint, files, flip_bit, partition_folder, positions};
use protocol::ErrorCode;
use protocol::records::BatchIdentity;

const TOPIC: &str = "damaged";
const RECORD_BYTES: usize = 110;
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";

/// Appends records in batches of their own.
fn fill(connection: &mut Connection, partition: i32, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        assert_eq!(
            connection.must_produce(TOPIC, partition, numbered(offset, RECORD_BYTES)),
            offset
        );
    }
}

fn assert_holds(connection: &mut Connection, partition: i32, end: i64) {
    numbered::assert_holds(connection, TOPIC, partition, end);
}

fn stop(node: Node) {
    let (status, _) = node.stop();
    assert!(status.success(), "{status}");
}

/// A stopped node whose two partitions hold `below` records each that a checkpoint covers, and
/// `above` more that came after it, before a kill -9.
fn killed_node(folder: &tempfile::TempDir, below: i64, above: i64) -> Spec {
    let spec = Spec::new(folder.path());
    let node = spec.start();
    let mut connection = node.connect();
    connection.make_topic(TOPIC, 2, &[]);
    for partition in 0..2 {
        fill(&mut connection, partition, 0..below);
    }
    stop(node);
    let checkpoints = spec.data.join("logs").join(RECOVERY_POINTS);
    let points = fs::read(&checkpoints).unwrap();
    let node = spec.start();
    let mut connection = node.connect();
    for partition in 0..2 {
        fill(&mut connection, partition, below..below + above);
    }
    node.kill();
    // One may have been written meanwhile; an older one is as true.
    fs::write(&checkpoints, points).unwrap();
    spec
}

fn segment(spec: &Spec, partition: i32) -> PathBuf {
    files(&partition_folder(&spec.data, TOPIC, partition), ".log")
        .pop()
        .expect("a partition with records has a segment")
}

#[test]
fn a_flipped_bit_below_the_recovery_point_takes_that_partition_offline_and_cuts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = killed_node(&folder, 50, 5);
    let file = segment(&spec, 0);
    let place = positions(&fs::read(&file).unwrap())[20];
    flip_bit(&file, place + 90);
    let damaged = fs::read(&file).unwrap();
    // Neither does a second start take what is offline for a torn end.
    for _ in 0..2 {
        let before = spec.logged().len();
        let node = spec.start();
        let told = spec.logged()[before..].to_owned();
        for part in [
            "damaged-0 is offline",
            &file.display().to_string(),
            &place.to_string(),
        ] {
            assert!(told.contains(part), "{part:?} is not in\n{told}");
        }
        let mut connection = node.connect();
        let answer = connection
            .produce(TOPIC, 0, -1, numbered(0, RECORD_BYTES))
            .unwrap();
        assert_eq!(
            ErrorCode::from(answer.error_code),
            ErrorCode::KafkaStorageError
        );
        let read = connection.fetch(TOPIC, 0, 0, 0).unwrap();
        assert_eq!(
            ErrorCode::from(read.error_code),
            ErrorCode::KafkaStorageError
        );
        assert_holds(&mut connection, 1, 55);
        drop(connection);
        stop(node);
        assert!(fs::read(&file).unwrap() == damaged, "the file was changed");
    }
    flip_bit(&file, place + 90);
    let node = spec.start();
    let mut connection = node.connect();
    assert_holds(&mut connection, 0, 55);
    fill(&mut connection, 0, 55..60);
}

#[test]
fn a_torn_end_is_cut_and_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    let spec = killed_node(&folder, 10, 5);
    // Half a batch of the right offset, behind the last acknowledged one.
    let file = segment(&spec, 0);
    let end = *positions(&fs::read(&file).unwrap()).last().unwrap();
    let identity = BatchIdentity {
        base_offset: 15,
        leader_epoch: 0,
        ..Default::default()
    };
    let torn = batch(&[vec![b'z'; 500]], &identity).slice(..300);
    let mut damaged = fs::OpenOptions::new().write(true).open(&file).unwrap();
    std::io::Seek::seek(&mut damaged, std::io::SeekFrom::Start(end as u64)).unwrap();
    damaged.write_all(&torn).unwrap();
    drop(damaged);
    // And a bit flipped above the recovery point, which looks the same.
    let other = segment(&spec, 1);
    let places = positions(&fs::read(&other).unwrap());
    let last = places[places.len() - 2];
    flip_bit(&other, last + 90);

    let before = spec.logged().len();
    let node = spec.start();
    let told = spec.logged()[before..].to_owned();
    for (partition, file, place, bytes) in [(0, &file, end, &torn[..]), (1, &other, last, &[][..])]
    {
        assert!(
            told.contains(&file.display().to_string()) && told.contains(&place.to_string()),
            "{told}"
        );
        let kept = files(
            &partition_folder(&spec.data, TOPIC, partition),
            &format!(".cut-{place}"),
        );
        let kept = fs::read(&kept[0]).unwrap();
        assert!(!kept.is_empty() && kept.starts_with(bytes));
    }
    let mut connection = node.connect();
    assert_holds(&mut connection, 0, 15);
    fill(&mut connection, 0, 15..20);
    assert_holds(&mut connection, 1, 14);
    fill(&mut connection, 1, 14..20);
    stop(node);
    let node = spec.start();
    for partition in 0..2 {
        assert_holds(&mut node.connect(), partition, 20);
    }
}

#[test]
fn a_segment_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let spec = killed_node(&folder, 10, 5);
    let file = segment(&spec, 0);
    let aside = folder.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    let node = spec.start();
    let told = spec.logged();
    assert!(told.contains("the file is missing"), "{told}");
    let mut connection = node.connect();
    let answer = connection
        .produce(TOPIC, 0, -1, numbered(0, RECORD_BYTES))
        .unwrap();
    assert_eq!(
        ErrorCode::from(answer.error_code),
        ErrorCode::KafkaStorageError
    );
    assert_holds(&mut connection, 1, 15);
    drop(connection);
    stop(node);
    fs::rename(&aside, &file).unwrap();
    let node = spec.start();
    assert_holds(&mut node.connect(), 0, 15);
}

/// Lost indexes, empty ones, and such as say anything.
#[test]
fn indexes_are_never_evidence() {
    const RECORDS: i64 = 60;
    type Damage = fn(&[u8]) -> Option<Vec<u8>>;
    let damages: [(&str, Damage); 4] = [
        ("lost", |_| None),
        ("empty", |_| Some(Vec::new())),
        ("cut", |good| Some(good[..=good.len() / 2].to_vec())),
        ("wrong", |good| {
            Some(good.iter().map(|byte| byte ^ 0x15).collect())
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    let mut node = spec.start();
    let mut connection = node.connect();
    let configs = [
        ("segment.bytes", "1048576"),
        ("index.interval.bytes", "1024"),
    ];
    connection.make_topic(TOPIC, 1, &configs);
    for offset in 0..RECORDS {
        let sent = connection.must_produce(TOPIC, 0, numbered(offset, 80_000));
        assert_eq!(sent, offset);
    }
    stop(node);
    let of_partition = partition_folder(&spec.data, TOPIC, 0);
    let indexes = [".index", ".timeindex"].map(|ending| files(&of_partition, ending));
    assert!(indexes[0].len() > 2, "there are sealed segments");
    let good: Vec<_> = indexes
        .into_iter()
        .flatten()
        .map(|file| (fs::read(&file).unwrap(), file))
        .collect();
    node = spec.start();
    for clean in [true, false] {
        for (what, damage) in &damages {
            if clean {
                stop(node);
            } else {
                node.kill();
            }
            for (bytes, file) in &good {
                match damage(bytes) {
                    Some(bytes) => fs::write(file, bytes).unwrap(),
                    None => drop(fs::remove_file(file)),
                }
            }
            node = spec.start();
            connection = node.connect();
            for offset in (0..RECORDS).rev() {
                let data = connection.fetch(TOPIC, 0, offset, 0).unwrap();
                let code = ErrorCode::from(data.error_code);
                assert_eq!(
                    code,
                    ErrorCode::None,
                    "{what}, clean {clean}, offset {offset}"
                );
                let found = milena_tests::raw::records_from(data.records, offset).unwrap();
                let first = found.first().map(|record| record.offset);
                assert_eq!(first, Some(offset), "{what}, clean {clean}");
                let start = format!("record {offset} ");
                let value = found[0].value.as_deref().unwrap();
                assert!(value.starts_with(start.as_bytes()));
            }
            // By time, which is the time index's business.
            let first = connection.fetch(TOPIC, 0, 30, 0).unwrap();
            let at = milena_tests::raw::records_from(first.records, 30).unwrap()[0].timestamp;
            let found = connection.offset(TOPIC, 0, at).unwrap();
            assert!(
                found <= 30,
                "{what}, clean {clean}: {found} is the first at {at}"
            );
        }
    }
}

#[test]
fn a_clean_stop_is_marked_and_its_restart_scans_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = Spec::new(folder.path());
    spec.args = ["--log", "debug"].map(str::to_owned).to_vec();
    let node = spec.start();
    node.connect().make_topic(TOPIC, 2, &[]);
    fill(&mut node.connect(), 0, 0..30);
    let marker = spec.data.join("logs/.kafka_cleanshutdown");
    assert!(!marker.exists());
    stop(node);
    assert!(marker.exists());
    assert_eq!(checkpoint(&spec.data, RECOVERY_POINTS, TOPIC, 0), Some(30));
    let scans = |spec: &Spec, from: usize| spec.logged()[from..].contains("was recovered up to");

    let before = spec.logged().len();
    let node = spec.start();
    assert!(!marker.exists(), "a crash from now on would be known");
    assert!(!scans(&spec, before));
    assert_holds(&mut node.connect(), 0, 30);
    fill(&mut node.connect(), 0, 30..40);
    node.kill();

    let before = spec.logged().len();
    let node = spec.start();
    assert!(scans(&spec, before), "after kill -9 it scans");
    assert_holds(&mut node.connect(), 0, 40);
}
