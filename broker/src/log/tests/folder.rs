//! The log directory: its lock, its meta file, its checkpoints and the folders in it.

use std::path::Path;

use super::*;
use crate::log::{LogDir, LogDirError, Meta};

const ROOT: &str = "/data";

fn meta() -> Meta {
    Meta {
        cluster_id: "abc".to_owned(),
        broker_id: 1,
    }
}

#[test]
fn a_folder_remembers_whose_it_is_and_what_its_checkpoints_say() {
    let disk = disk(1);
    let (dir, found) = LogDir::open(disk.clone(), Path::new(ROOT)).expect("open");
    assert_eq!(
        (found.meta, found.clean, found.partitions.len()),
        (None, false, 0)
    );
    dir.write_meta(&meta()).expect("meta");
    let hints = hints(0, false);
    let path = dir.partition_dir("my-topic", 3);
    let (mut log, _) = Log::open(disk.clone(), path, config(), hints, 0).expect("open");
    push(&mut log, 5, 10);
    log.close_clean().expect("close");
    dir.write_recovery_points([("my-topic", 3, log.recovery_point())])
        .expect("write");
    dir.write_log_starts([("my-topic", 3, 2)]).expect("write");
    dir.mark_clean().expect("mark");
    drop(dir);
    let disk = disk.crash();
    let (dir, found) = LogDir::open(disk.clone(), Path::new(ROOT)).expect("open");
    assert_eq!((found.meta.clone(), found.clean), (Some(meta()), true));
    let partition = &found.partitions[0];
    assert_eq!(
        (partition.topic.as_str(), partition.partition),
        ("my-topic", 3)
    );
    assert_eq!(partition.topic_id, Some(hints.topic_id));
    assert_eq!((partition.log_start, partition.recovery_point), (2, 5));
    let hints = found.hints(partition, hints.topic_id);
    let path = dir.partition_dir("my-topic", 3);
    let (log, recovered) = Log::open(disk.clone(), path, config(), hints, 0).expect("open");
    assert_eq!(
        (log.log_start(), log.end_offset(), recovered.scanned),
        (2, 5, false)
    );
    // From here on a crash is no clean stop any more.
    let (_dir, found) = LogDir::open(disk.crash(), Path::new(ROOT)).expect("open");
    assert!(!found.clean);
}

#[test]
fn a_folder_in_use_and_one_of_a_newer_format_are_refused_with_a_sentence() {
    let disk = disk(1);
    let (dir, _) = LogDir::open(disk.clone(), Path::new(ROOT)).expect("open");
    let error = LogDir::open(disk.clone(), Path::new(ROOT))
        .err()
        .expect("in use");
    assert_eq!(
        error.to_string(),
        "/data is in use by another process; stop that one, or choose another folder"
    );
    dir.write_meta(&meta()).expect("meta");
    drop(dir);
    let path = Path::new("/data/meta.properties");
    let text = String::from_utf8(disk.read(path).expect("read")).expect("text");
    let newer = text.replace("milena.format=1", "milena.format=2");
    disk.replace(path, newer.as_bytes()).expect("replace");
    let error = LogDir::open(disk, Path::new(ROOT)).err().expect("newer");
    assert!(
        matches!(error, LogDirError::NewerFormat { found: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_deleted_partition_is_renamed_first_and_starts_anew() {
    let disk = disk(1);
    let (dir, _) = LogDir::open(disk.clone(), Path::new(ROOT)).expect("open");
    let topic = "t".repeat(249);
    for partition in 0..3 {
        let path = dir.partition_dir(&topic, partition);
        let (mut log, _) =
            Log::open(disk.clone(), path, config(), hints(0, false), 0).expect("open");
        push(&mut log, 5, 10);
        flush(&mut log);
    }
    let points = [
        (topic.as_str(), 0, 5),
        (topic.as_str(), 1, 5),
        (topic.as_str(), 2, 5),
    ];
    dir.write_recovery_points(points).expect("write");
    let mut doomed = Vec::new();
    dir.doom(&[(&topic, 0), (&topic, 2), (&topic, 9)], &mut doomed)
        .expect("doom");
    assert_eq!(doomed.len(), 2);
    drop(dir);
    let (dir, found) = LogDir::open(disk.crash(), Path::new(ROOT)).expect("open");
    let left: Vec<_> = found
        .partitions
        .iter()
        .map(|p| (p.partition, p.recovery_point))
        .collect();
    assert_eq!(left, [(1, 5)]);
    assert_eq!(found.gone, [(topic.clone(), 0), (topic.clone(), 2)]);
    assert_eq!(found.doomed.len(), 2);
    for doomed in found.doomed {
        dir.remove(doomed).expect("remove");
    }
    let path = dir.partition_dir(&topic, 0);
    let hints = hints(0, false);
    let (log, _) = Log::open(disk.clone(), path, config(), hints, 0).expect("open");
    assert_eq!(log.end_offset(), 0);
}
