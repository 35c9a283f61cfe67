//! Power losses on the simulated disk, by the thousand of seeds.

use disk::{Disk, Faults, SimulatedDisk};

use super::no_sync::NoSync;
use super::*;

/// What a log must hold: its batches, and how much of it was acknowledged as on disk.
#[derive(Default)]
struct Model {
    batches: Vec<Vec<u8>>,
    ends: Vec<i64>,
    flushed: i64,
    checkpoint: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn cut(&mut self, end: i64) {
        let keep = self.ends.partition_point(|&at| at <= end);
        self.ends.truncate(keep);
        self.batches.truncate(keep);
        self.flushed = end;
    }
}

/// One life of a log with many crashes in it. Tells what went wrong.
fn life<D: Disk>(seed: u64, disk: D, crash: impl Fn(&D) -> D) -> Result<(), String> {
    let mut random = Random(seed);
    let mut disk = disk;
    let mut model = Model::default();
    let mut log = opened(&disk, 0, false);
    let mut early = None;
    for _ in 0..120 {
        match random.below(23) {
            0..9 => {
                let (count, len) = (1 + random.below(5) as i32, random.below(1200) as usize);
                let mut batch = Batch::new(log.end_offset(), count, Vec::new())
                    .at(random.below(1000) as i64)
                    .producer(random.below(3) as i64, 0, 0);
                batch.body = (0..len).map(|_| random.next() as u8).collect();
                batch.header.size += len as u32;
                append(&mut log, &batch);
                log.producers_mut().appended(&batch.header, 0);
                model.batches.push(batch.bytes());
                model.ends.push(log.end_offset());
            }
            9..12 => {
                flush(&mut log);
                model.flushed = log.flushed();
                early = None;
            }
            12 => early = log.unflushed().map_err(|error| error.to_string())?,
            13 => {
                if let Some(flush) = early.take() {
                    flush.run().map_err(|error| error.to_string())?;
                    log.flushed_to(&flush);
                    model.flushed = model.flushed.max(log.flushed());
                }
            }
            14 => log.park().map_err(|error| error.to_string())?,
            15 => {
                model.checkpoint = log.recovery_point();
                mark(&mut log, &model)?;
            }
            21 => mark(&mut log, &model)?,
            16 => {
                let offset = random.below(model.end() as u64 + 1) as i64;
                let _ = log.read(offset, 500, model.end(), true);
            }
            17 => {
                let clean = random.below(2) == 0;
                if clean {
                    stop(&mut log, &disk, random.below(2) == 0)
                        .map_err(|error| error.to_string())?;
                    model.flushed = model.end();
                    model.checkpoint = log.recovery_point();
                }
                disk = crash(&disk);
                early = None;
                let id = partition_metadata::read(&disk, &dir());
                if model.flushed > 0 && id.map_err(|error| error.to_string())?.is_none() {
                    return Err("nobody knows which topic the records are of".to_owned());
                }
                let hints = hints(model.checkpoint, clean);
                let (again, _) = open(&disk, hints).map_err(|error| error.to_string())?;
                log = again;
                if log.end_offset() < model.flushed || log.end_offset() > model.end() {
                    let (end, flushed) = (log.end_offset(), model.flushed);
                    return Err(format!("the log ends at {end}, and {flushed} was flushed"));
                }
                model.cut(log.end_offset());
                if read_all(&mut log, 0, model.end()) != model.batches.concat() {
                    return Err("the log holds other bytes than were appended".to_owned());
                }
                if log.flushed() != model.end() {
                    return Err("recovery left something unflushed".to_owned());
                }
            }
            18 => {
                // The process is killed: what it wrote stays in the page cache, synced or not.
                early = None;
                let hints = hints(model.checkpoint, false);
                log = open(&disk, hints).map_err(|error| error.to_string())?.0;
                if log.end_offset() < model.flushed || log.end_offset() > model.end() {
                    return Err("a kill lost what was flushed".to_owned());
                }
                model.cut(log.end_offset());
            }
            19 => {
                // A stop that is under way while a flush still runs.
                log.stage_close().map_err(|error| error.to_string())?;
                flush(&mut log);
                model.flushed = log.flushed();
                early = None;
            }
            20 => {
                let sync_each_append = random.below(2) == 0;
                let changed = log.set_config(LogConfig {
                    sync_each_append,
                    ..config()
                });
                changed.map_err(|error| error.to_string())?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn mark<D: Disk>(log: &mut Log<D>, model: &Model) -> Result<(), String> {
    let marked = log.mark(model.checkpoint, 700);
    marked.map_err(|error| error.to_string())
}

/// A clean stop, alone or as one of many.
fn stop<D: Disk>(log: &mut Log<D>, disk: &D, many: bool) -> Result<(), LogError> {
    if !many {
        return log.close_clean();
    }
    log.stage_close()?;
    disk.sync_everything(&dir())?;
    log.finish_close(true)?;
    disk.sync_everything(&dir())?;
    Ok(())
}

#[test]
fn flushed_batches_survive_every_power_loss_in_order() {
    for seed in seeds(2000) {
        // Printed by the test harness if this seed fails, also by a panic.
        println!("again: MILENA_SEED={seed} cargo test -p milena-broker flushed_batches_survive");
        if let Err(wrong) = life(seed, disk(seed), SimulatedDisk::crash) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn a_log_whose_syncs_do_nothing_is_caught() {
    let caught = (0..100)
        .filter(|&seed| {
            let life = || life(seed, NoSync(disk(seed)), |disk| NoSync(disk.0.crash()));
            !matches!(std::panic::catch_unwind(life), Ok(Ok(())))
        })
        .count();
    assert!(caught > 50, "only {caught} of 100 seeds noticed");
}

/// A log of several segments, all on disk.
fn flushed_log(
    seed: u64,
    flushed: usize,
    more: usize,
) -> (SimulatedDisk, Log<SimulatedDisk>, Vec<Batch>) {
    let disk = disk(seed);
    let mut log = opened(&disk, 0, false);
    let mut batches: Vec<_> = (0..flushed).map(|_| push(&mut log, 2, 300)).collect();
    flush(&mut log);
    batches.extend((0..more).map(|_| push(&mut log, 2, 300)));
    (disk, log, batches)
}

#[test]
fn a_flipped_bit_below_the_recovery_point_is_told_and_nothing_is_cut() {
    for seed in 0..200 {
        let (disk, log, _) = flushed_log(seed, 8, 0);
        drop(log);
        let path = dir().join("00000000000000000000.log");
        let before = disk.file_len(&path).expect("len");
        let position = Random(seed).below(8 * 361);
        disk.flip_bit(&path, position, seed as u8).expect("flip");
        // The leader epoch and base offset lie outside the CRC, but must follow on.
        let error = match open(&disk, hints(16, false)) {
            Err(error) => error,
            Ok(_) if (12..16).contains(&(position % 361)) => continue,
            Ok(_) => panic!("seed {seed}: byte {position} went unnoticed"),
        };
        let text = error.to_string();
        assert!(matches!(error, LogError::Corrupt { .. }), "{text}");
        assert!(
            text.contains("/logs/topic-0/00000000000000000000.log is corrupt at byte"),
            "{text}"
        );
        assert_eq!(disk.file_len(&path).expect("len"), before);
    }
}

#[test]
fn a_bad_batch_above_the_recovery_point_ends_the_log_and_is_kept_aside() {
    let (disk, log, batches) = flushed_log(1, 5, 30);
    let end = log.end_offset();
    drop(log);
    let path = dir().join("00000000000000000000.log");
    disk.flip_bit(&path, 7 * 361 + 100, 3).expect("flip");
    let (mut log, recovered) = open(&disk, hints(10, false)).expect("open");
    assert_eq!(log.end_offset(), 14);
    assert_eq!(read_all(&mut log, 0, end), bytes_of(&batches[..7]));
    assert_eq!(recovered.cuts.len(), log_files(&disk, ".cut-"));
    assert!(
        recovered.cuts.len() > 2,
        "the rest of one segment, and the segments after it"
    );
    let cut = &recovered.cuts[0];
    assert_eq!((cut.position, cut.offset), (7 * 361, 14));
    assert_eq!(cut.reason, "the CRC is wrong");
    let mut kept = bytes_of(&batches[7..11]);
    kept[100] ^= 1 << 3;
    let aside = cut.kept.as_ref().expect("kept");
    assert_eq!(disk.read(aside).expect("read"), kept);
    // And life goes on from there.
    push(&mut log, 1, 10);
    assert_eq!(log.end_offset(), 15);
}

pub(super) fn bytes_of(batches: &[Batch]) -> Vec<u8> {
    batches.iter().flat_map(Batch::bytes).collect()
}

pub(super) fn log_files(disk: &SimulatedDisk, part: &str) -> usize {
    let entries = disk.read_dir(&dir()).expect("list");
    entries
        .iter()
        .filter(|entry| entry.name.contains(part))
        .count()
}

#[test]
fn a_log_that_ends_before_its_recovery_point_is_corrupt() {
    let (disk, log, _) = flushed_log(1, 4, 0);
    drop(log);
    let error = open(&disk, hints(9, false)).err().expect("too short");
    assert!(
        error
            .to_string()
            .contains("it ends here, but the log reached offset 9"),
        "{error}"
    );
    let missing = open(&super::disk(2), hints(9, false))
        .err()
        .expect("missing");
    assert!(
        missing.to_string().contains("the file is missing"),
        "{missing}"
    );
}

#[test]
fn an_older_leaders_batch_ends_the_log() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    for (offset, epoch) in [(0, 3), (1, 3), (2, 2)] {
        append(&mut log, &Batch::new(offset, 1, vec![1]).epoch(epoch));
    }
    flush(&mut log);
    drop(log);
    let (log, recovered) = open(&disk, hints(0, false)).expect("open");
    assert_eq!(log.end_offset(), 2);
    assert_eq!(
        recovered.cuts[0].reason,
        "its leader epoch is older than the one before"
    );
}

#[test]
fn a_failed_sync_is_final_and_what_it_lost_is_not_served_after_a_restart() {
    for seed in 0..300 {
        let (disk, mut log, batches) = flushed_log(seed, 3, 6);
        disk.set_faults(Faults {
            syncs_until_failure: Some(seed % 2),
            ..Faults::default()
        });
        while let Ok(Some(flush)) = log.unflushed() {
            if flush.run().is_err() {
                break;
            }
            log.flushed_to(&flush);
            push(&mut log, 2, 300);
        }
        let flushed = log.flushed();
        let next = Batch::new(log.end_offset(), 1, vec![]);
        assert!(
            log.append(&next.head(), &[], 0).is_err(),
            "a failure is final"
        );
        assert!(log.is_unflushed());
        let again = log
            .unflushed()
            .and_then(|flush| flush.map_or(Ok(()), |flush| flush.run()));
        assert!(again.is_err(), "a second sync says nothing about the first");
        drop(log);
        // The page cache survives a restart, the pages that look clean do not.
        let restarted = disk.crash();
        let (mut log, _) = open(&restarted, hints(6, false)).expect("open");
        assert!(log.end_offset() >= flushed, "seed {seed}");
        let kept = log.end_offset().min(18);
        assert_eq!(
            read_all(&mut log, 0, kept),
            bytes_of(&batches[..kept as usize / 2])
        );
    }
}

#[test]
fn producers_are_known_again_after_a_crash() {
    for seed in 0..300 {
        let disk = disk(seed);
        let mut log = opened(&disk, 0, false);
        let mut random = Random(seed);
        let mut sequences = [0_i32; 3];
        for _ in 0..60 {
            let id = random.below(3) as usize;
            let count = 1 + random.below(4) as i32;
            let end = log.end_offset();
            let len = random.below(500) as usize;
            let batch = Batch::new(end, count, vec![1; len]).producer(id as i64, 1, sequences[id]);
            sequences[id] += count;
            append(&mut log, &batch);
            log.producers_mut().appended(&batch.header, 1000);
        }
        flush(&mut log);
        let expected = log.producers().clone();
        let clean = seed % 3 == 0;
        if clean {
            log.close_clean().expect("close");
        }
        let recovery_point = if clean {
            log.end_offset()
        } else {
            random.below(log.end_offset() as u64) as i64
        };
        let again = opened(&disk.crash(), recovery_point, clean);
        assert_eq!(again.producers(), &expected, "seed {seed}");
    }
}
