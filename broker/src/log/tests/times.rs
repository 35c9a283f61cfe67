//! Offsets by time, over batches of real records.

use protocol::records::{BatchBuilder, BatchIdentity, Compression};

use super::*;

/// Appends a batch with one record for each timestamp.
fn push_records(log: &mut Log<SimulatedDisk>, timestamps: &[i64], compression: Compression) {
    let mut builder = BatchBuilder::new(compression);
    for &timestamp in timestamps {
        builder.push(timestamp, None, Some(&[1; 100]), &[]);
    }
    let batch = builder.build(&BatchIdentity {
        base_offset: log.end_offset(),
        leader_epoch: 0,
        ..BatchIdentity::default()
    });
    let (head, body) = batch.split_first_chunk().expect("a header");
    log.append(head, body, 0).expect("append");
}

#[test]
fn the_first_record_that_reaches_a_timestamp_is_found() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    assert_eq!(log.offset_for_timestamp(0, 0).expect("none"), None);
    assert_eq!(log.max_timestamp_offset().expect("none"), None);
    // Offsets 0.., out of order within and between batches, over several segments.
    let mut all = Vec::new();
    for n in 0..60_i64 {
        let base = 1000 + n * 10;
        let timestamps = [base + 5, base, base + 40 - n % 3 * 20, base + 1];
        let compression = [Compression::None, Compression::Lz4][n as usize % 2];
        push_records(&mut log, &timestamps, compression);
        all.extend(timestamps);
    }
    assert!(log.segment_count() > 3);
    let end = log.end_offset();
    for parked in [false, true] {
        if parked {
            flush(&mut log);
            log.park().expect("park");
        }
        for target in 990..1700 {
            let expected = all.iter().position(|&at| at >= target);
            let expected = expected.map(|offset| (all[offset], offset as i64));
            let found = log.offset_for_timestamp(target, end).expect("find");
            assert_eq!(found, expected, "timestamp {target}");
            let below = log.offset_for_timestamp(target, 100).expect("find");
            assert_eq!(below, expected.filter(|&(_, offset)| offset < 100));
        }
    }
    let greatest = *all.iter().max().expect("some");
    let first = all.iter().position(|&at| at == greatest).expect("some");
    let found = log.max_timestamp_offset().expect("find");
    assert_eq!(found, Some((greatest, first as i64)));
    // Records below the log's start are not found.
    log.delete_before(7).expect("delete");
    assert_eq!(
        log.offset_for_timestamp(0, end).expect("find"),
        Some((all[7], 7))
    );
}

#[test]
fn what_recovery_scanned_of_a_sealed_segment_is_found_by_time_after_later_starts() {
    let disk = disk(1);
    let many = LogConfig {
        segment_bytes: 120_000,
        index_interval_bytes: 1,
        ..config()
    };
    let open = |point, clean| {
        let opened = Log::open(disk.clone(), dir(), many.clone(), hints(point, clean), 0);
        opened.expect("open").0
    };
    let mut log = open(0, false);
    while log.segment_count() < 2 {
        let at = 1000 + log.end_offset();
        push_records(&mut log, &[at], Compression::None);
    }
    let last = log.end_offset() - 2;
    assert!(last > 600, "more than is written of an index at a time");
    flush(&mut log);
    let end = log.end_offset();
    drop(log);
    open(0, false).close_clean().expect("close");
    let found = open(end, true).offset_for_timestamp(1000 + last, end);
    assert_eq!(found.expect("find"), Some((1000 + last, last)));
}

#[test]
fn a_recovery_goes_on_from_a_mark_and_knows_what_a_whole_scan_does() {
    for seed in 0..100 {
        let disk = disk(seed);
        let large = LogConfig {
            segment_bytes: 1 << 20,
            ..config()
        };
        let open = |disk: &SimulatedDisk, point| {
            let opened = Log::open(disk.clone(), dir(), large.clone(), hints(point, false), 0);
            opened.expect("open")
        };
        let (mut log, _) = open(&disk, 0);
        let mut random = Random(seed);
        let mut checkpoint = 0;
        for n in 0..400 {
            let at = 1000 + random.below(1000) as i64;
            let batch = Batch::new(log.end_offset(), 1, vec![0; 200])
                .at(at)
                .epoch(n / 100)
                .producer(n.into(), 0, 0);
            append(&mut log, &batch);
            log.producers_mut().appended(&batch.header, at);
            if n % 50 == 0 {
                // Under load, the end is past what is flushed.
                log.mark(checkpoint, 5000).expect("mark");
                flush(&mut log);
                checkpoint = log.flushed();
            }
        }
        flush(&mut log);
        let (end, size) = (log.end_offset(), log.size_bytes());
        drop(log);
        let lost_power = seed % 2 == 0;
        let left = if lost_power { disk.crash() } else { disk };
        let tell = |point| {
            let (mut log, recovered) = open(&left, point);
            let mut batches = Vec::new();
            for offset in 0..end {
                let slice = log.read(offset, 1, end, true).expect("read").expect("some");
                batches.push((slice.position(), slice.len()));
            }
            let epochs: Vec<_> = (0..end).map(|offset| log.epoch_at(offset)).collect();
            let greatest = log.segments[0].largest(&left).expect("largest");
            let producers = log.producers().clone();
            let told = (log.end_offset(), batches, epochs, greatest, producers);
            (recovered.scanned_bytes, told)
        };
        let (scanned, by_mark) = tell(checkpoint);
        assert!(lost_power || scanned < size / 2, "{scanned} of {size}");
        let (scanned, whole) = tell(0);
        assert_eq!(scanned, size, "no mark is below a recovery point of 0");
        assert_eq!(by_mark, whole, "seed {seed}");
    }
}
