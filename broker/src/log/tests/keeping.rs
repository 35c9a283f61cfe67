//! Rolling, retention, deletion, truncation, and reads over segments.

use super::*;
use crate::log::{Retired, Sequence};

fn maintain<D: Disk>(log: &mut Log<D>, now_ms: i64, upto: i64) -> Vec<Retired<D>> {
    let mut retired = Vec::new();
    log.maintain(now_ms, upto, &mut retired).expect("maintain");
    retired
}

#[test]
fn reads_are_cut_to_bytes_and_bound_but_hold_one_batch() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    let batches: Vec<_> = (0..10).map(|_| push(&mut log, 3, 139)).collect();
    let len = |log: &mut Log<SimulatedDisk>, offset, max, upto, min_one| {
        log.read(offset, max, upto, min_one)
            .expect("read")
            .map(|slice| slice.len())
    };
    assert_eq!(len(&mut log, 0, 10_000, 30, false), Some(2000));
    assert_eq!(len(&mut log, 0, 10_000, 6, false), Some(400));
    assert_eq!(len(&mut log, 5, 500, 30, false), Some(500));
    assert_eq!(len(&mut log, 5, 50, 30, false), None);
    assert_eq!(len(&mut log, 5, 50, 30, true), Some(200));
    assert_eq!(len(&mut log, 5, 0, 30, false), None);
    assert_eq!(len(&mut log, 6, 500, 6, true), None);
    assert_eq!(len(&mut log, 30, 500, 30, true), None);
    for offset in [-1, 31] {
        let error = log.read(offset, 500, 30, true).err().expect("out of range");
        assert!(matches!(
            error,
            LogError::OffsetOutOfRange {
                start: 0,
                end: 30,
                ..
            }
        ));
    }
    let slice = log.read(4, 10, 30, true).expect("read").expect("some");
    assert_eq!(slice.read().expect("read"), batches[1].bytes());
    assert!(slice.is_cached());
}

#[test]
fn every_offset_is_found_in_many_segments_warm_parked_and_reopened() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    let batches: Vec<_> = (0..200)
        .map(|n| push(&mut log, 1 + n % 4, 20 + n as usize))
        .collect();
    assert!(log.segment_count() > 5);
    let check = |log: &mut Log<SimulatedDisk>, what: &str| {
        for batch in &batches {
            for offset in batch.header.base_offset..=batch.header.last_offset() {
                let slice = log.read(offset, 1, log.end_offset(), true).expect("read");
                let read = slice.expect("some").read().expect("read");
                assert_eq!(read, batch.bytes(), "{what}: offset {offset}");
            }
        }
    };
    check(&mut log, "warm");
    flush(&mut log);
    log.park().expect("park");
    assert!(log.is_parked());
    check(&mut log, "parked");
    log.close_clean().expect("close");
    let end = log.end_offset();
    check(&mut opened(&disk, end, true), "after a clean stop");
    check(&mut opened(&disk, end / 2, false), "after a crash");
    // Indexes that are lost, torn, or lie are rebuilt.
    for entry in disk.read_dir(&dir()).expect("list") {
        if entry.name.ends_with("index") {
            let path = dir().join(&entry.name);
            match entry.name.as_bytes()[18] % 3 {
                0 => disk.remove(&path).expect("remove"),
                1 => disk.replace(&path, &[7; 24]).expect("replace"),
                _ => disk.replace(&path, &[0; 13]).expect("replace"),
            }
        }
    }
    check(&mut opened(&disk, end, true), "without its indexes");
}

#[test]
fn a_segment_is_rolled_by_size_by_age_and_by_its_index() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    push(&mut log, 1, 3000);
    assert_eq!(log.segment_count(), 1);
    push(&mut log, 1, 3000);
    assert_eq!(log.segment_count(), 2);
    let mut config = config();
    config.segment_bytes = 1 << 20;
    config.segment_ms = 500;
    log.set_config(config.clone()).expect("settled");
    let batch = Batch::new(2, 1, vec![]).at(1502);
    let appended = log.append(&batch.head(), &[], 1502).expect("append");
    assert!(appended.rolled, "it is more than 500 ms after the first");
    assert!(maintain(&mut log, 2002, 3).is_empty());
    assert_eq!(log.segment_count(), 3);
    assert!(maintain(&mut log, 2003, 3).is_empty());
    assert_eq!(log.segment_count(), 4, "maintenance rolls an idle segment");
    config.segment_ms = i64::MAX;
    config.segment_index_bytes = 24;
    log.set_config(config).expect("settled");
    for _ in 0..6 {
        push(&mut log, 1, 300);
    }
    assert!(log.segment_count() > 4);
}

#[test]
fn records_older_than_segment_ms_share_a_segment() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    log.set_config(LogConfig {
        segment_ms: 500,
        ..config()
    })
    .expect("settled");
    let now = 1_000_000;
    for n in 0..5 {
        let batch = Batch::new(n, 1, vec![]).at(n);
        log.append(&batch.head(), &[], now).expect("append");
    }
    maintain(&mut log, now + 500, 5);
    assert_eq!(log.segment_count(), 1);
}

/// Ten segments of one batch each, with timestamps 1000, 1100, …
fn ten_segments() -> (SimulatedDisk, Log<SimulatedDisk>) {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    for n in 0..10 {
        append(
            &mut log,
            &Batch::new(n, 1, vec![1; 3000]).at(1000 + n * 100),
        );
    }
    flush(&mut log);
    (disk, log)
}

#[test]
fn retention_by_time_and_size_retires_whole_segments_below_the_high_watermark() {
    let (disk, mut log) = ten_segments();
    log.set_config(LogConfig {
        retention_ms: 500,
        ..config()
    })
    .expect("settled");
    assert_eq!(
        maintain(&mut log, 1801, 2).len(),
        2,
        "not past the high watermark"
    );
    let retired = maintain(&mut log, 1801, 10);
    assert_eq!(
        (retired.len(), log.log_start()),
        (2, 4),
        "1000 to 1300 are too old"
    );
    let deleted = |disk: &SimulatedDisk| {
        let entries = disk.read_dir(&dir()).expect("list");
        entries
            .iter()
            .filter(|entry| entry.name.ends_with(".log.deleted"))
            .count()
    };
    assert_eq!(deleted(&disk), 4);
    for retired in retired {
        retired.remove().expect("remove");
    }
    assert_eq!(deleted(&disk), 2);
    log.set_config(LogConfig {
        retention_bytes: 3 * 3061 + 1,
        ..config()
    })
    .expect("settled");
    assert_eq!(maintain(&mut log, 1801, 10).len(), 2);
    assert_eq!((log.log_start(), log.segment_count()), (6, 4));
    let error = log.read(5, 10, 10, true).err().expect("gone");
    assert!(matches!(error, LogError::OffsetOutOfRange { start: 6, .. }));
    // When all is too old, an empty segment keeps the place.
    log.set_config(LogConfig {
        retention_ms: 0,
        ..config()
    })
    .expect("settled");
    assert_eq!(maintain(&mut log, 9999, 10).len(), 4);
    assert_eq!(
        (log.log_start(), log.end_offset(), log.size_bytes()),
        (10, 10, 0)
    );
    flush(&mut log);
    let again = opened(&disk.crash(), 10, false);
    assert_eq!((again.log_start(), again.end_offset()), (10, 10));
}

#[test]
fn a_compacted_topic_keeps_everything() {
    let (_disk, mut log) = ten_segments();
    log.set_config(LogConfig {
        retention_ms: 0,
        retention_bytes: 0,
        compacts: true,
        ..config()
    })
    .expect("settled");
    assert!(maintain(&mut log, i64::MAX, 10).is_empty());
    assert_eq!(log.log_start(), 0);
}

#[test]
fn deleted_records_are_gone_at_once_and_their_segments_at_the_next_maintenance() {
    let (disk, mut log) = ten_segments();
    log.delete_before(7).expect("delete");
    assert!(log.delete_before(11).is_err());
    assert!(log.read(6, 10, 10, true).is_err());
    assert!(log.read(7, 10, 10, true).expect("read").is_some());
    assert_eq!(maintain(&mut log, 0, 10).len(), 7);
    assert_eq!(log.segment_count(), 3);
    flush(&mut log);
    let mut hints = hints(10, false);
    hints.log_start = 8;
    let (again, _) = open(&disk.crash(), hints).expect("open");
    assert_eq!((again.log_start(), again.end_offset()), (8, 10));
}

#[test]
fn a_reader_goes_on_while_its_segment_is_retired() {
    let (_disk, mut log) = ten_segments();
    let slice = log.read(0, 5000, 10, true).expect("read").expect("some");
    log.delete_before(10).expect("delete");
    for retired in maintain(&mut log, 0, 10) {
        retired.remove().expect("remove");
    }
    assert_eq!(
        slice.read().expect("read"),
        Batch::new(0, 1, vec![1; 3000]).bytes()
    );
}

#[test]
fn a_follower_cuts_its_log_at_a_batch_and_goes_on() {
    for seed in 0..100 {
        let disk = disk(seed);
        let mut log = opened(&disk, 0, false);
        let mut batches = Vec::new();
        for n in 0..40 {
            let end = log.end_offset();
            let batch = Batch::new(end, 3, vec![n as u8; 400])
                .epoch(n / 10)
                .producer(1, 0, n * 3);
            append(&mut log, &batch);
            log.producers_mut().appended(&batch.header, 0);
            batches.push(batch);
        }
        if seed % 2 == 0 {
            flush(&mut log);
        }
        let at = Random(seed).below(120) as i64;
        let kept = at / 3;
        assert_eq!(log.truncate_to(at).expect("truncate"), kept * 3);
        assert_eq!(log.end_offset(), kept * 3);
        assert_eq!(read_all(&mut log, 0, 999), bytes(&batches[..kept as usize]));
        assert_eq!(
            log.latest_epoch(),
            if kept == 0 {
                -1
            } else {
                (kept as i32 - 1) / 10
            }
        );
        let next = Batch::new(kept * 3, 3, vec![77; 400])
            .epoch(9)
            .producer(1, 0, kept as i32 * 3);
        assert_eq!(
            log.producers().check(&next.header),
            Sequence::New,
            "seed {seed}"
        );
        append(&mut log, &next);
        flush(&mut log);
        let mut again = opened(&disk.crash(), log.flushed(), false);
        let expected = [bytes(&batches[..kept as usize]), next.bytes()].concat();
        assert_eq!(read_all(&mut again, 0, 999), expected, "seed {seed}");
    }
}

fn bytes(batches: &[Batch]) -> Vec<u8> {
    batches.iter().flat_map(Batch::bytes).collect()
}

#[test]
fn a_follower_starts_anew_at_its_leaders_start() {
    let (disk, mut log) = ten_segments();
    log.truncate_fully_and_start_at(500).expect("truncate");
    assert_eq!(
        (log.log_start(), log.end_offset(), log.flushed()),
        (500, 500, 500)
    );
    append(&mut log, &Batch::new(500, 1, vec![1; 10]));
    flush(&mut log);
    let again = opened(&disk.crash(), 501, false);
    assert_eq!((again.log_start(), again.end_offset()), (500, 501));
    assert_eq!(again.segment_count(), 1);
}

#[test]
fn a_flush_that_began_before_a_truncation_says_nothing_about_what_came_after() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    push(&mut log, 10, 10);
    let early = log.unflushed().expect("write").expect("unflushed");
    log.truncate_to(0).expect("truncate");
    push(&mut log, 10, 10);
    early.run().expect("run");
    log.flushed_to(&early);
    assert_eq!(log.flushed(), 0);
    flush(&mut log);
}
