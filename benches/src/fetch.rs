//! The raw consumer: fetches whose records are thrown away, one request under way on each connection, as a consumer has.
//!
//! It reads into a small buffer that stays in the CPU's cache and looks at nothing but the response's head and the first bytes of each
//! batch, by which it knows where the next fetch begins and that the bytes are those it asked for.

use crate::frames;
use crate::meter::Meter;
use crate::peek::Peek;
use crate::report::{self, Figures};
use anyhow::{Context, Result, bail, ensure};
use protocol::records::LOG_OVERHEAD;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The buffer that fetched bytes are thrown away in.
pub const SCRATCH_LEN: usize = 256 * 1024;
/// As much of a batch's header as says where the batch starts, how long it is and which offset follows it.
const BATCH_PREFIX: usize = 27;

/// What to fetch, and for how long.
#[derive(Debug)]
pub struct Load {
    /// The broker's address, `HOST:PORT`.
    pub broker: String,
    /// A topic with records in each partition.
    pub topic: String,
    /// Connection N reads partition N modulo this.
    pub partitions: u32,
    /// How many connections.
    pub connections: u32,
    /// max_bytes of request and partition.
    pub max_bytes: i32,
    /// Time before the measuring starts.
    pub warm_up: Duration,
    /// Time measured.
    pub duration: Duration,
    /// The broker's processes.
    pub pids: Vec<u32>,
}

#[derive(Default)]
struct Progress {
    bytes: AtomicU64,
    fetches: AtomicU64,
    stop: AtomicBool,
}

/// Runs the load; the figures hold rates and the broker's costs.
pub fn run(load: &Load) -> Result<Figures> {
    let progress = Progress::default();
    let shared = &progress;
    let (measured, bytes, fetches) = thread::scope(|scope| -> Result<_> {
        let readers: Vec<_> = (0..load.connections)
            .map(|number| scope.spawn(move || read(load, number, shared)))
            .collect();
        let outcome = watch(load, &progress, &readers);
        progress.stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("a reader returns its errors")?;
        }
        outcome
    })?;
    let mut figures = report::figures("raw-fetch");
    figures.insert("connections".into(), load.connections.into());
    figures.insert("max_bytes".into(), load.max_bytes.into());
    report::add_costs(&mut figures, &measured, bytes, fetches);
    Ok(figures)
}

fn watch<T>(
    load: &Load,
    progress: &Progress,
    readers: &[thread::ScopedJoinHandle<'_, T>],
) -> Result<(crate::meter::Measured, u64, u64)> {
    let pause = Duration::from_millis(50);
    thread::sleep(load.warm_up);
    let mut meter = Meter::start(&load.pids)?;
    let (bytes, fetches) = (
        progress.bytes.load(Ordering::Relaxed),
        progress.fetches.load(Ordering::Relaxed),
    );
    let end = Instant::now() + load.duration;
    while Instant::now() < end && !readers.iter().any(thread::ScopedJoinHandle::is_finished) {
        thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
        meter.sample(Instant::now())?;
    }
    let bytes = progress.bytes.load(Ordering::Relaxed) - bytes;
    let fetches = progress.fetches.load(Ordering::Relaxed) - fetches;
    Ok((meter.finish()?, bytes, fetches))
}

fn read(load: &Load, number: u32, progress: &Progress) -> Result<()> {
    let mut stream = TcpStream::connect(&load.broker)
        .with_context(|| format!("cannot connect to {}", load.broker))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let partition = (number % load.partitions) as i32;
    let mut scratch = vec![0; SCRATCH_LEN];
    let mut offset = 0;
    let mut correlation = 0_i32;
    while !progress.stop.load(Ordering::Relaxed) {
        correlation = correlation.wrapping_add(1);
        stream.write_all(&frames::fetch(
            correlation,
            &load.topic,
            partition,
            offset,
            load.max_bytes,
        ))?;
        let (next, end) = one_response(
            &mut stream,
            &mut scratch,
            correlation,
            offset,
            &progress.bytes,
        )?;
        progress.fetches.fetch_add(1, Ordering::Relaxed);
        ensure!(
            next > offset,
            "a fetch at offset {offset} of partition {partition}, which ends at {end}, brought no whole batch"
        );
        // At the end the partition is read from its start again; a fetch there would only wait for more.
        offset = if next < end { next } else { 0 };
    }
    Ok(())
}

/// Reads one response and throws its records away; the offset after the last whole batch (0 if there was none), and the high watermark.
fn one_response(
    stream: &mut TcpStream,
    scratch: &mut [u8],
    correlation: i32,
    offset: i64,
    bytes: &AtomicU64,
) -> Result<(i64, i64)> {
    let mut filled = 0;
    let (
        head,
        Head {
            records,
            high_watermark,
            ..
        },
        mut left,
    ) = loop {
        let read = stream.read(&mut scratch[filled..])?;
        ensure!(read > 0, "the broker closed the connection");
        filled += read;
        // Heads are below 200 bytes; a shorter response is complete.
        let Some(len) = scratch[..filled]
            .first_chunk()
            .map(|len| u32::from_be_bytes(*len) as usize)
        else {
            continue;
        };
        if filled >= 200.min(len + 4) {
            let head = Head::read(&scratch[4..filled], correlation)?;
            break (4 + head.len, head, (len + 4).saturating_sub(filled));
        }
    };
    let mut walk = Walk {
        next: offset,
        ..Walk::default()
    };
    let mut records_left = records - records.min(filled - head);
    walk.step(&scratch[head..head + (records - records_left)])?;
    bytes.fetch_add((records - records_left) as u64, Ordering::Relaxed);
    while left > 0 {
        let end = scratch.len().min(left);
        let read = stream.read(&mut scratch[..end])?;
        ensure!(read > 0, "the broker closed the connection");
        left -= read;
        let of_records = read.min(records_left);
        walk.step(&scratch[..of_records])?;
        records_left -= of_records;
        bytes.fetch_add(of_records as u64, Ordering::Relaxed);
    }
    Ok((walk.whole, high_watermark))
}

/// What stands before the records in a Fetch response.
struct Head {
    len: usize,
    records: usize,
    high_watermark: i64,
}

impl Head {
    /// Checks a response of version 12 for one partition.
    fn read(frame: &[u8], correlation: i32) -> Result<Self> {
        let mut peek = Peek::new(frame);
        ensure!(peek.i32()? == correlation, "an answer to another request");
        ensure!(peek.varint()? == 0, "a tagged field in the header");
        let _throttle = peek.i32()?;
        frames::no_error(peek.i16()?, "Fetch")?;
        let _session = peek.i32()?;
        ensure!(peek.compact_len()? == 1, "one topic was asked for");
        let name = peek.compact_len()?;
        peek.take(name)?;
        ensure!(peek.compact_len()? == 1, "one partition was asked for");
        let _partition = peek.i32()?;
        frames::no_error(peek.i16()?, "Fetch")?;
        let high_watermark = peek.i64()?;
        peek.take(2 * 8)?; // last stable offset, log start offset
        ensure!(
            peek.compact_len()? == 0,
            "aborted transactions in a topic without any"
        );
        let _preferred_replica = peek.i32()?;
        let records = peek.compact_len()?;
        Ok(Self {
            len: peek.position(),
            records,
            high_watermark,
        })
    }
}

/// Hops from batch to batch over bytes that come in pieces.
#[derive(Default)]
struct Walk {
    prefix: [u8; BATCH_PREFIX],
    have: usize,
    /// Bytes until the next batch begins.
    skip: usize,
    /// The offset that the next batch must not lie before.
    next: i64,
    /// The offset after the last batch that came whole; 0 if none did.
    whole: i64,
}

impl Walk {
    fn step(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(piece.len());
                self.skip -= skipped;
                piece = &piece[skipped..];
                if self.skip == 0 {
                    self.whole = self.next;
                }
                continue;
            }
            let taken = (BATCH_PREFIX - self.have).min(piece.len());
            self.prefix[self.have..self.have + taken].copy_from_slice(&piece[..taken]);
            self.have += taken;
            piece = &piece[taken..];
            if self.have == BATCH_PREFIX {
                self.have = 0;
                self.enter()?;
            }
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<()> {
        let mut peek = Peek::new(&self.prefix);
        let base_offset = peek.i64()?;
        let len = peek.i32()?;
        peek.take(BATCH_PREFIX - 8 - 4 - 4)?;
        let last_delta = peek.i32()?;
        let after = base_offset + i64::from(last_delta) + 1;
        if after <= self.next || len <= BATCH_PREFIX as i32 {
            bail!(
                "a batch of {len} bytes at offset {base_offset} where {} was due",
                self.next
            );
        }
        self.next = after;
        self.skip = len as usize + LOG_OVERHEAD - BATCH_PREFIX;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_followed_whatever_the_pieces_and_a_cut_one_does_not_count() {
        let batch = |base: i64, records: i32| {
            let mut bytes = vec![0; 100];
            bytes[..8].copy_from_slice(&base.to_be_bytes());
            bytes[8..12].copy_from_slice(&88_i32.to_be_bytes());
            bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
            bytes
        };
        let mut stream = [batch(40, 10), batch(50, 5), batch(55, 5)].concat();
        stream.truncate(280);
        for piece in [1, 7, 99, 100, 101, 1000] {
            let mut walk = Walk {
                next: 40,
                ..Walk::default()
            };
            for bytes in stream.chunks(piece) {
                walk.step(bytes).unwrap();
            }
            assert_eq!(walk.whole, 55, "pieces of {piece}");
        }
        assert!(
            Walk {
                next: 60,
                ..Walk::default()
            }
            .step(&stream)
            .is_err(),
            "bytes that do not advance are an error"
        );
    }
}
