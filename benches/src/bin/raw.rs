//! `raw`: one run of the raw producer or consumer, or topics made and deleted; prints one line of JSON.

use anyhow::{Context, Result};
use benches::report::{self, Figures};
use benches::wire;
use benches::{fetch, first_ack, frames, produce, topics};
use clap::{Args, Parser, Subcommand};
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(
    about = "The raw client: prebuilt batches down pipelined connections, fetches thrown away"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Produce the same batch again and again.
    Produce(Produce),
    /// Fill a topic, then fetch it from the page cache again and again.
    Fetch(Fetch),
    /// Create topics named PREFIX-0, PREFIX-1, … and wait until they can be written.
    Create(Topics),
    /// Delete the topics named PREFIX-0, PREFIX-1, …
    Delete(Topics),
    /// Wait until a record is acked; prints how long that took from this program's start.
    FirstAck {
        #[command(flatten)]
        target: Target,
        /// Create the topic first.
        #[arg(long)]
        create: bool,
    },
}

#[derive(Args)]
struct Target {
    /// The broker's address.
    #[arg(long, default_value = "127.0.0.1:9092")]
    broker: String,
    /// The topic.
    #[arg(long, default_value = "bench")]
    topic: String,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    target: Target,
    /// Partitions of the topic; connection N uses those that are N modulo the connections.
    #[arg(long, default_value_t = 1)]
    partitions: u32,
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Seconds measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Processes of the broker, whose CPU and memory are measured.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<u32>,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024)]
    record_size: usize,
    /// Bytes of a batch, about; no room for one record means one record.
    #[arg(long, default_value_t = 256 * 1024)]
    batch_bytes: usize,
    /// Config of the topic, NAME=VALUE.
    #[arg(long = "config", value_parser = name_and_value)]
    configs: Vec<(String, String)>,
    /// Leave the topic as it is: do not create it before and do not delete it after.
    #[arg(long)]
    keep_topic: bool,
}

#[derive(Args)]
struct Produce {
    #[command(flatten)]
    common: Common,
    /// Requests under way on each connection.
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// 1, or -1 for all.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    acks: i16,
    /// The other side is `floor serve`, which knows no topics.
    #[arg(long)]
    floor: bool,
}

#[derive(Args)]
struct Fetch {
    #[command(flatten)]
    common: Common,
    /// Most bytes of one fetch.
    #[arg(long, default_value_t = 4 << 20)]
    max_bytes: i32,
    /// Megabytes written to each partition first.
    #[arg(long, default_value_t = 256)]
    fill_mb: u64,
}

#[derive(Args)]
struct Topics {
    #[arg(long, default_value = "127.0.0.1:9092")]
    broker: String,
    #[arg(long, default_value = "bench")]
    prefix: String,
    #[arg(long, default_value_t = 1)]
    topics: u32,
    #[arg(long, default_value_t = 1)]
    partitions: u32,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> Result<()> {
    let started = Instant::now();
    report::print(match Cli::parse().command {
        Command::Produce(args) => args.run()?,
        Command::Fetch(args) => args.run()?,
        Command::Create(args) => args.create(started)?,
        Command::Delete(args) => args.delete(started)?,
        Command::FirstAck { target, create } => {
            let took = first_ack::wait(
                &target.broker,
                &target.topic,
                create,
                started,
                Duration::from_secs(60),
            )?;
            timed("first-ack", took)
        }
    });
    Ok(())
}

fn timed(bench: &str, took: Duration) -> Figures {
    let mut figures = report::figures(bench);
    report::put(&mut figures, "ms", took.as_secs_f64() * 1e3);
    figures
}

impl Common {
    /// Runs `load` on a topic that exists meanwhile; the topic goes even if the load failed.
    fn on_topic(&self, load: impl FnOnce() -> Result<Figures>) -> Result<Figures> {
        if self.keep_topic {
            return load();
        }
        let names = [self.target.topic.clone()];
        let mut connection = wire::connect(&self.target.broker)?;
        let mut configs = vec![topics::deleted_soon()];
        configs.extend_from_slice(&self.configs);
        topics::create(&mut connection, &names, self.partitions, &configs)?;
        topics::wait(&mut connection, &names, self.partitions)?;
        let outcome = load();
        let deleted = topics::delete(&mut connection, &names).context("deleting the topic");
        let figures = outcome?;
        deleted?;
        Ok(figures)
    }

    fn produce(&self, in_flight: usize, acks: i16) -> produce::Load {
        let records = frames::records_in(self.batch_bytes, self.record_size);
        produce::Load {
            broker: self.target.broker.clone(),
            topic: self.target.topic.clone(),
            partitions: self.partitions,
            connections: self.connections,
            in_flight,
            acks,
            batch: frames::batch(records, self.record_size),
            records,
            warm_up: Duration::from_secs_f64(self.warm_up),
            duration: Duration::from_secs_f64(self.seconds),
            requests_max: u64::MAX,
            pids: self.pids.clone(),
        }
    }
}

impl Produce {
    fn run(&self) -> Result<Figures> {
        let load = || produce::run(&self.common.produce(self.in_flight, self.acks));
        if self.floor {
            load()
        } else {
            self.common.on_topic(load)
        }
    }
}

impl Fetch {
    fn run(&self) -> Result<Figures> {
        let common = &self.common;
        common.on_topic(|| {
            if !common.keep_topic {
                let mut fill = common.produce(5, -1);
                fill.connections = common.partitions;
                fill.warm_up = Duration::ZERO;
                fill.duration = Duration::from_secs(120);
                fill.requests_max = u64::from(common.partitions)
                    * (self.fill_mb * 1_000_000).div_ceil(fill.batch.len() as u64);
                produce::run(&fill)?;
            }
            fetch::run(&fetch::Load {
                broker: common.target.broker.clone(),
                topic: common.target.topic.clone(),
                partitions: common.partitions,
                connections: common.connections,
                max_bytes: self.max_bytes,
                warm_up: Duration::from_secs_f64(common.warm_up),
                duration: Duration::from_secs_f64(common.seconds),
                pids: common.pids.clone(),
            })
        })
    }
}

impl Topics {
    fn names(&self) -> Vec<String> {
        (0..self.topics)
            .map(|number| format!("{}-{number}", self.prefix))
            .collect()
    }

    fn create(&self, started: Instant) -> Result<Figures> {
        let mut connection = wire::connect(&self.broker)?;
        topics::create(&mut connection, &self.names(), self.partitions, &[])?;
        topics::wait(&mut connection, &self.names(), self.partitions)?;
        Ok(timed("create", started.elapsed()))
    }

    fn delete(&self, started: Instant) -> Result<Figures> {
        topics::delete(&mut wire::connect(&self.broker)?, &self.names())?;
        Ok(timed("delete", started.elapsed()))
    }
}
