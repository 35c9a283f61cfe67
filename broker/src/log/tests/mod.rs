//! Tests of the whole log, on the simulated disk and on this machine's.

mod crash;
mod folder;
mod formats;
mod full;
mod keeping;
mod no_sync;
mod real;
mod times;

use std::path::PathBuf;

use disk::{Disk, SimulatedDisk};
use uuid::Uuid;

use super::header::tests::Batch;
use super::recovery::Recovered;
use super::writer::Appended;
use super::{Log, LogConfig, LogError, OpenHints, partition_metadata};

/// SplitMix64, so that a seed is a whole test case.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The seeds to try: as many as asked for in `MILENA_SEEDS`, or the one in `MILENA_SEED`.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("MILENA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MILENA_SEEDS").unwrap_or(count),
    }
}

fn dir() -> PathBuf {
    PathBuf::from("/logs/topic-0")
}

/// A disk with the log directory made and durable.
fn disk(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    disk.create_dir_all(&PathBuf::from("/logs"))
        .expect("create");
    disk.sync_dir(&PathBuf::from("/")).expect("sync");
    disk
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 200,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn hints(recovery_point: i64, clean: bool) -> OpenHints {
    OpenHints {
        recovery_point,
        clean,
        topic_id: Uuid::from_u128(7),
        ..OpenHints::default()
    }
}

fn open<D: Disk>(disk: &D, hints: OpenHints) -> Result<(Log<D>, Recovered), LogError> {
    Log::open(disk.clone(), dir(), config(), hints, 0)
}

fn opened<D: Disk>(disk: &D, recovery_point: i64, clean: bool) -> Log<D> {
    open(disk, hints(recovery_point, clean)).expect("open").0
}

fn append<D: Disk>(log: &mut Log<D>, batch: &Batch) -> Appended {
    log.append(&batch.head(), &batch.body, batch.header.max_timestamp)
        .expect("append")
}

/// Appends `count` records in one batch with a body of `len` bytes at the log's end.
fn push<D: Disk>(log: &mut Log<D>, count: i32, len: usize) -> Batch {
    let end = log.end_offset();
    let batch = Batch::new(end, count, vec![end as u8 | 1; len]).at(1000 + end);
    append(log, &batch);
    batch
}

fn flush<D: Disk>(log: &mut Log<D>) {
    if let Some(flush) = log.unflushed().expect("write") {
        flush.run().expect("flush");
        log.flushed_to(&flush);
    }
    assert_eq!(log.flushed(), log.end_offset());
}

/// All bytes from `offset` to `upto`.
fn read_all<D: Disk>(log: &mut Log<D>, offset: i64, upto: i64) -> Vec<u8> {
    let (mut bytes, mut next) = (Vec::new(), offset);
    while let Some(slice) = log.read(next, 1000, upto, true).expect("read") {
        let read = slice.read().expect("read");
        // Whole batches only, as a consumer takes them.
        let mut at = 0;
        while let Ok(header) = super::BatchHeader::parse(&read[at..]) {
            let end = at + header.size as usize;
            if end > read.len() {
                break;
            }
            at = end;
            next = header.next_offset();
        }
        assert!(at > 0, "no whole batch at {next}");
        bytes.extend_from_slice(&read[..at]);
    }
    bytes
}
