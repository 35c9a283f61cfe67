//! `floor`: what the machine gives at best, to hold a broker's figures against.

use anyhow::{Context, Result};
use benches::{floor, report, sendfile};
use clap::{Parser, Subcommand};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(
    about = "The least that receiving, checking, writing and syncing costs, and the most that sendfile gives"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take Produce requests from `raw produce --floor` until killed. Prints the address once it listens.
    Serve {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Folder for the files, on the file system that the brokers use.
        #[arg(long)]
        dir: PathBuf,
        /// One for each partition.
        #[arg(long, default_value_t = 1)]
        files: usize,
        #[arg(long, default_value_t = 4)]
        sync_threads: usize,
    },
    /// Send a cached file over loopback and throw it away; prints one line of JSON.
    Sendfile {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long, default_value_t = 1)]
        connections: usize,
        #[arg(long, default_value_t = 256)]
        file_mb: u64,
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Serve {
            listen,
            dir,
            files,
            sync_threads,
        } => {
            let listener =
                TcpListener::bind(&listen).with_context(|| format!("cannot listen on {listen}"))?;
            println!("{}", listener.local_addr()?);
            floor::serve(listener, &dir, files, sync_threads)
        }
        Command::Sendfile {
            dir,
            connections,
            file_mb,
            seconds,
        } => {
            report::print(sendfile::run(
                &dir,
                file_mb << 20,
                connections,
                Duration::from_secs_f64(seconds),
            )?);
            Ok(())
        }
    }
}
