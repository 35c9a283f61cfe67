//! `append`: the two ways into a segment by size and sync, and from which size on writing is cheaper.

use anyhow::Result;
use benches::append::{Cost, compare};
use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "A store into the mapped window against a write to the file, by size and sync")]
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
            "| bytes | store: CPU µs | wall µs | device × | write: CPU µs | wall µs | device × | cheaper (CPU) | sooner |"
        );
        println!("|---:|---:|---:|---:|---:|---:|---:|---|---|");
        let mut crossover = None;
        for &size in &cli.sizes {
            let total = if sync_every == 0 {
                usize::MAX
            } else {
                size * sync_every * cli.syncs
            };
            let (store, write) = compare(
                dir.path(),
                size,
                sync_every,
                total.min(cli.total_mb << 20),
                cli.rounds,
            )?;
            println!(
                "| {size} | {} | {} | {} | {} |",
                cells(&store),
                cells(&write),
                which(store.cpu_us < write.cpu_us),
                which(store.wall_us < write.wall_us)
            );
            if store.cpu_us >= write.cpu_us {
                crossover = crossover.or(Some(size));
            } else {
                crossover = None;
            }
        }
        match crossover {
            Some(size) => println!("Writing costs less CPU from {size} bytes on."),
            None => println!("Storing costs less CPU at the largest size, too."),
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

fn which(store: bool) -> &'static str {
    if store { "store" } else { "write" }
}
