//! The three ways into a segment, measured: a store into the mapped window, gathering until the next sync, and a write to the same file.
//!
//! One thread appends and syncs through `disk`, as a partition does. Each figure is the median of several files, the ways in turn, so
//! that pages freed by one run are used by the next and the machine's noise falls on both.

use anyhow::{Context, Result};
use disk::{AppendFile, Disk, DiskFile, Open, RealDisk, Small};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// How an append goes into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A copy into the populated mapping.
    Store,
    /// A copy into memory, which the next sync writes.
    Gather,
    /// A pwrite to the file, of which nothing is mapped.
    Write,
}

const WAYS: [Way; 3] = [Way::Store, Way::Gather, Way::Write];

/// What one append cost, its share of the syncs included.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Microseconds of CPU, user and system, of the appending thread; what the kernel does elsewhere is not in it.
    pub cpu_us: f64,
    /// Microseconds on the clock.
    pub wall_us: f64,
    /// Bytes written to the device for each byte appended, as far as the syncs made it write.
    pub device_bytes: f64,
}

/// Appends of `size` bytes, a sync after each `sync_every` (0: none), for about `total` bytes, `rounds` times each way: [store, gather, write].
pub fn compare(
    dir: &Path,
    size: usize,
    sync_every: usize,
    total: usize,
    rounds: usize,
) -> Result<[Cost; 3]> {
    let mut costs = WAYS.map(|_| Vec::new());
    // The first of each only warms the page cache up.
    for round in 0..=rounds {
        for (way, costs) in WAYS.into_iter().zip(&mut costs) {
            let cost = once(dir, way, size, sync_every, total)?;
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    Ok(costs.map(median))
}

fn once(dir: &Path, way: Way, size: usize, sync_every: usize, total: usize) -> Result<Cost> {
    let disk = RealDisk::new();
    let path = dir.join("append");
    let file = disk.open(&path, Open::Create)?;
    let threshold = if way == Way::Write { 0 } else { usize::MAX };
    let small = if way == Way::Gather {
        Small::Gathered
    } else {
        Small::Stored
    };
    // A first byte reserves room and makes the file real before the clock starts.
    let mut appender = AppendFile::new(file, 0, 2 * total as u64)?.small_up_to(threshold);
    let body = vec![7; size];
    appender.append(&[], &body, small)?;
    appender.segment().file().sync()?;
    let appends = (total / size).clamp(64, 200_000);
    let device = device_bytes()?;
    let cpu = thread_cpu_ns()?;
    let started = Instant::now();
    for number in 1..=appends {
        appender.append(&[], &body, small)?;
        if sync_every > 0 && number % sync_every == 0 {
            appender.sync_range()?.run()?;
        }
    }
    let wall = started.elapsed();
    let cpu = thread_cpu_ns()? - cpu;
    let device = device_bytes()? - device;
    drop(appender);
    disk.remove(&path)?;
    Ok(Cost {
        cpu_us: cpu as f64 / 1e3 / appends as f64,
        wall_us: wall.as_secs_f64() * 1e6 / appends as f64,
        device_bytes: device as f64 / (appends * size) as f64,
    })
}

fn median(costs: Vec<Cost>) -> Cost {
    let middle =
        |figure: fn(&Cost) -> f64| crate::report::median(costs.iter().map(figure).collect());
    Cost {
        cpu_us: middle(|cost| cost.cpu_us),
        wall_us: middle(|cost| cost.wall_us),
        device_bytes: middle(|cost| cost.device_bytes),
    }
}

/// Nanoseconds that this thread has run, from the scheduler, which is finer than the clock tick of `stat`.
fn thread_cpu_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text
        .split_ascii_whitespace()
        .next()
        .context("an empty schedstat")?;
    Ok(first.parse()?)
}

/// Bytes that this process has caused to be written to a device, or will when its dirty pages are.
fn device_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))
        .context("no write_bytes in /proc/self/io")?;
    Ok(line.parse()?)
}
