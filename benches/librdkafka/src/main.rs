//! `librdkafka`: what a user of the client that most programs use gets; prints one line of JSON.
//!
//! In a package of its own, which neither the tests nor the other benches build: it compiles librdkafka, a C library.

mod consume;
mod latency;
mod produce;

use anyhow::Result;
use benches::{report, topics, wire};
use clap::{Args, Parser, Subcommand};
use rdkafka::ClientConfig;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "librdkafka against a broker: throughput, and latency end to end")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// As fast as the client can: linger 5 ms, no compression, acks=all.
    Produce(Common),
    /// Fill a topic, then consume it from the page cache, from its start again and again.
    Consume {
        #[command(flatten)]
        common: Common,
        /// Megabytes written first.
        #[arg(long, default_value_t = 512)]
        fill_mb: u64,
    },
    /// From the call of produce to the consumer's poll, at a rate: linger 0, acks=all.
    Latency {
        #[command(flatten)]
        common: Common,
        /// Records a second.
        #[arg(long, default_value_t = 1000)]
        rate: u64,
    },
}

/// What every run is told.
#[derive(Args)]
pub(crate) struct Common {
    #[arg(long, default_value = "127.0.0.1:9092")]
    broker: String,
    #[arg(long, default_value = "bench")]
    topic: String,
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024)]
    record_size: usize,
    /// Seconds measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Processes of the broker, whose CPU and memory are measured.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
}

impl Common {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    fn producer(&self, linger_ms: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("acks", "all")
            .set("linger.ms", linger_ms)
            .set("compression.type", "none");
        // Rather wait for room in the queue than run out of it after 100,000 records.
        config.set("queue.buffering.max.messages", "1000000");
        config
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker);
        config
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let (Command::Produce(common)
    | Command::Consume { common, .. }
    | Command::Latency { common, .. }) = &cli.command;
    let names = [common.topic.clone()];
    let mut connection = wire::connect(&common.broker)?;
    topics::create(
        &mut connection,
        &names,
        common.partitions,
        &[topics::deleted_soon()],
    )?;
    topics::wait(&mut connection, &names, common.partitions)?;
    let outcome = match &cli.command {
        Command::Produce(common) => produce::run(common),
        Command::Consume { common, fill_mb } => consume::run(common, *fill_mb),
        Command::Latency { common, rate } => latency::run(common, *rate),
    };
    topics::delete(&mut connection, &names)?;
    report::print(outcome?);
    Ok(())
}
