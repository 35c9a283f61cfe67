//! `cargo run -p milena-sim --release -- --seeds 2000`: runs seeds, and prints how to run again those that fail.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use milena_sim::{Report, Violation, World, run};

/// Simulates ensembles of coordination members, with every fault there is.
#[derive(Parser)]
struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Show everything that happens
    #[arg(long)]
    trace: bool,
    /// Put this fault in
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    bug: Option<String>,
    /// Put in every fault in turn, and see that each is found
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    bugs: bool,
}

#[cfg(feature = "planted-bugs")]
type Planted = Option<coord::zab::Bug>;
#[cfg(not(feature = "planted-bugs"))]
type Planted = ();

fn world(seed: u64, trace: bool, planted: Planted) -> World {
    #[allow(unused_mut, reason = "a fault may be put in")]
    let mut world = World::new(seed, trace);
    #[cfg(feature = "planted-bugs")]
    if let Some(bug) = planted {
        world.plant(bug);
    }
    let () = drop_planted(planted);
    world
}

fn drop_planted(_: Planted) {}

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    failed: Vec<(u64, Violation)>,
    reports: Vec<Report>,
}

/// Runs seeds on all processors, each seed on one; stops early at a failure if so told.
fn sweep(seeds: std::ops::Range<u64>, planted: Planted, stops: bool) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = run(|| world(seed, false, planted));
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(report) => sum.reports.push(report),
                        Err(violation) => {
                            sum.failed.push((seed, violation));
                            if stops {
                                next.store(seeds.end, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "planted-bugs")]
fn find_all(seeds: std::ops::Range<u64>) -> bool {
    let mut all = true;
    for bug in coord::zab::Bug::ALL {
        let began = Instant::now();
        let sum = sweep(seeds.clone(), Some(*bug), true);
        let runs = sum.reports.len() + sum.failed.len();
        match sum.failed.first() {
            Some((seed, violation)) => println!(
                "{bug:?}: found in {:.1} s after {runs} runs, by seed {seed}: {}: {}",
                began.elapsed().as_secs_f64(),
                violation.property,
                violation.what
            ),
            None => {
                println!("{bug:?}: NOT FOUND in {runs} runs");
                all = false;
            }
        }
    }
    all
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seeds = options.from..options.from.saturating_add(options.seeds);
    std::panic::set_hook(Box::new(|_| {}));
    #[cfg(feature = "planted-bugs")]
    if options.bugs {
        return if find_all(seeds) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    #[cfg(feature = "planted-bugs")]
    let planted = options.bug.as_ref().and_then(|name| {
        coord::zab::Bug::ALL
            .iter()
            .copied()
            .find(|bug| format!("{bug:?}") == *name)
    });
    #[cfg(not(feature = "planted-bugs"))]
    let planted = ();
    if let Some(seed) = options.seed {
        return match run(|| world(seed, options.trace, planted)) {
            Ok(report) => {
                println!("seed {seed}: {report:?}");
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("seed {seed}: {}: {}", violation.property, violation.what);
                ExitCode::FAILURE
            }
        };
    }
    let began = Instant::now();
    let sum = sweep(seeds, planted, false);
    let total = |count: fn(&Report) -> u64| sum.reports.iter().map(count).sum::<u64>();
    println!(
        "{} seeds in {:.1} s, {} failed: {} reigns, {} transactions, {} writes acknowledged, {} reads, {} events; agreed again after {} ms at most",
        sum.reports.len() + sum.failed.len(),
        began.elapsed().as_secs_f64(),
        sum.failed.len(),
        total(|r| r.reigns as u64),
        total(|r| r.delivered as u64),
        total(|r| r.acked as u64),
        total(|r| r.reads as u64),
        total(|r| r.events),
        sum.reports
            .iter()
            .map(|r| r.converged_us / 1_000)
            .max()
            .unwrap_or(0),
    );
    for (seed, violation) in &sum.failed {
        println!("{}: {}", violation.property, violation.what);
        println!("  cargo run -p milena-sim --release -- --seed {seed} --trace");
    }
    if sum.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
