//! `append`: the ways into a segment by size and sync, and which is the cheapest and the soonest.

use anyhow::Result;
use benches::append::{Cost, compare};
use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    about = "A store into the mapped window, gathering and a write to the file, by size and sync"
)]
struct Cli {
    /// Folder for the file, on the file system to measure.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Sizes of an append in bytes.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "256,1024,2048,4096,8192,16384,65536,262144,1048576"
    )]
    sizes: Vec<usize>,
    /// A sync after so many appends; 0 is none.
    #[arg(long, value_delimiter = ',', default_value = "0,16,1")]
    sync_every: Vec<usize>,
    /// Most megabytes of a file.
    #[arg(long, default_value_t = 64)]
    total_mb: usize,
    /// Most syncs of a file, so that small appends with syncs come to an end.
    #[arg(long, default_value_t = 500)]
    syncs: usize,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let dir = tempfile::tempdir_in(&cli.dir)?;
    for &sync_every in &cli.sync_every {
        match sync_every {
            0 => println!("\nno sync"),
            1 => println!("\na sync after each append"),
            count => println!("\na sync after each {count} appends"),
        }
        println!(
            "| bytes | store: CPU µs | wall µs | device × | gather: CPU µs | wall µs | device × | write: CPU µs | wall µs | device × | cheapest (CPU) | soonest |"
        );
        println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|");
        for &size in &cli.sizes {
            let total = if sync_every == 0 {
                usize::MAX
            } else {
                size * sync_every * cli.syncs
            };
            let costs = compare(
                dir.path(),
                size,
                sync_every,
                total.min(cli.total_mb << 20),
                cli.rounds,
            )?;
            println!(
                "| {size} | {} | {} | {} |",
                costs.map(|cost| cells(&cost)).join(" | "),
                least(costs.map(|cost| cost.cpu_us)),
                least(costs.map(|cost| cost.wall_us))
            );
        }
    }
    Ok(())
}

fn cells(cost: &Cost) -> String {
    format!(
        "{:.2} | {:.2} | {:.2}",
        cost.cpu_us, cost.wall_us, cost.device_bytes
    )
}

fn least(figures: [f64; 3]) -> &'static str {
    let named = figures.into_iter().zip(["store", "gather", "write"]);
    named
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or("", |(_, name)| name)
}
