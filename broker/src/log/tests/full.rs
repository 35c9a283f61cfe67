//! A disk without room: what is refused, what goes on, and what makes room again.

use disk::Faults;

use super::crash::{bytes_of, log_files};
use super::*;

/// Leaves no more room than is taken.
fn fill(disk: &SimulatedDisk) {
    let space = disk.space(&dir()).expect("space");
    disk.set_faults(Faults {
        space: Some(space.total - space.usable),
        ..Faults::default()
    });
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room_again() {
    let disk = disk(5);
    let mut log = opened(&disk, 0, false);
    let mut batches = Vec::new();
    disk.set_faults(Faults {
        space: Some(30_000),
        ..Faults::default()
    });
    let refused = loop {
        let batch = Batch::new(log.end_offset(), 1, vec![9; 700]);
        match log.append(&batch.head(), &batch.body, 0) {
            Ok(_) => batches.push(batch),
            Err(error) => break error,
        }
        assert!(batches.len() < 100);
    };
    assert!(matches!(refused, LogError::Full(_)), "{refused}");
    assert_eq!(disk.health().failure(), None);
    for _ in 0..5 {
        let batch = Batch::new(log.end_offset(), 1, vec![9; 700]);
        assert!(log.append(&batch.head(), &batch.body, 0).is_err());
    }
    let end = log.end_offset();
    assert_eq!(read_all(&mut log, 0, end), bytes_of(&batches));
    disk.set_faults(Faults::default());
    for _ in 0..20 {
        batches.push(push(&mut log, 1, 700));
    }
    flush(&mut log);
    let mut log = opened(&disk.crash(), log.flushed(), false);
    let end = log.end_offset();
    assert_eq!(read_all(&mut log, 0, end), bytes_of(&batches));
}

/// Segments of one batch each, flushed, with timestamps 1000, 1100, …
fn segments(disk: &SimulatedDisk, count: i64, config: LogConfig) -> Log<SimulatedDisk> {
    let mut log = opened(disk, 0, false);
    for n in 0..count {
        append(
            &mut log,
            &Batch::new(n, 1, vec![1; 3000]).at(1000 + n * 100),
        );
    }
    flush(&mut log);
    log.set_config(config).expect("settled");
    log
}

#[test]
fn retention_makes_room_on_a_full_disk_before_a_roll_asks_for_it() {
    let disk = disk(1);
    let mut log = segments(
        &disk,
        5,
        LogConfig {
            retention_ms: 250,
            segment_ms: 0,
            ..config()
        },
    );
    fill(&disk);
    let mut retired = Vec::new();
    // The roll by age meets the full disk, or fits into the room that the trimmed segment gave.
    let _ = log.maintain(1500, 5, &mut retired);
    assert_eq!((retired.len(), log.log_start()), (3, 3));
}

#[test]
fn what_retention_took_before_it_met_a_full_disk_is_handed_out_and_its_state_is_forgotten() {
    let disk = disk(1);
    let mut log = segments(
        &disk,
        5,
        LogConfig {
            retention_ms: 0,
            ..config()
        },
    );
    for n in 0..2000 {
        let batch = Batch::new(log.end_offset(), 1, vec![]).producer(n, 0, 0);
        log.producers_mut().appended(&batch.header, 9000);
    }
    fill(&disk);
    let mut retired = Vec::new();
    let error = log.maintain(9999, 5, &mut retired).expect_err("full");
    assert!(matches!(error, LogError::Full(_)), "{error}");
    assert_eq!((retired.len(), log.log_start()), (4, 4));
    assert_eq!(log_files(&disk, ".log.deleted"), 4);
    assert!(
        log_files(&disk, ".snapshot") <= 2,
        "those of the last segment's start and end"
    );
    for retired in retired {
        retired.remove().expect("remove");
    }
    assert_eq!(log_files(&disk, ".deleted"), 0);
    disk.set_faults(Faults::default());
    let mut retired = Vec::new();
    log.maintain(9999, 5, &mut retired).expect("room again");
    assert_eq!((retired.len(), log.log_start()), (1, 5));
}

#[test]
fn a_torn_tail_on_a_full_disk_is_cut_all_the_same() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    let kept = push(&mut log, 1, 300);
    push(&mut log, 1, 300);
    log.settle().expect("write");
    drop(log);
    let path = dir().join("00000000000000000000.log");
    disk.flip_bit(&path, 500, 0).expect("flip");
    fill(&disk);
    let (mut log, recovered) = open(&disk, hints(0, false)).expect("open");
    assert_eq!((log.end_offset(), recovered.cuts.len()), (1, 1));
    assert_eq!(recovered.cuts[0].kept, None);
    assert_eq!(log_files(&disk, ".cut-"), 0);
    assert_eq!(read_all(&mut log, 0, 1), kept.bytes());
}
