//! The program `logship`: follows files and ships their lines to a topic.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use client::{ClientConfig, Producer, ProducerConfig};
use milena_cli::command::failure::Partly;
use milena_cli::command::{common, failure};
use milena_cli::shipper::broker::BrokerSink;
use milena_cli::shipper::checkpoint::Store;
use milena_cli::shipper::ship::{Report, ship};
use milena_cli::shipper::{Begin, Settings, stdin};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Follow files and ship their lines to a topic, each at least once
///
/// Files are followed through rotations by renaming and by copytruncate. How far each was shipped is kept
/// in a checkpoint, from which the next start goes on. Each record has the file's path as its key, so that
/// its lines stay in order, and the headers `path` and `host`.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The topic to ship to
    #[arg(short, long)]
    topic: String,
    /// Files, glob patterns (quoted, so that new files are found, too), or - for standard input
    #[arg(required = true, value_name = "FILE|GLOB|-")]
    sources: Vec<String>,
    /// Brokers to start from, several with commas
    #[arg(
        short,
        long,
        env = "MILENA_BROKERS",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT"
    )]
    brokers: String,
    /// Where to keep how far each file was shipped [default: ~/.local/state/milena/logship]
    #[arg(long, env = "MILENA_CHECKPOINT_DIR", value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// Where to begin in files that are there at the very first start
    #[arg(long, value_enum, default_value_t = Begin::Start)]
    from: Begin,
    /// Ship what is there, and leave
    #[arg(long)]
    once: bool,
    /// Of longer lines only this many bytes are shipped
    #[arg(long, default_value_t = 1_000_000, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    line_limit: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    common::log("warn,milena_cli=info,logship=info");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::exit("logship", Err(error.into())),
    };
    let result = runtime.block_on(run(args));
    // A read of standard input that waits is not waited for.
    runtime.shutdown_background();
    failure::exit("logship", result)
}

async fn run(args: Args) -> anyhow::Result<()> {
    let (dashes, patterns): (Vec<_>, Vec<_>) = args.sources.into_iter().partition(|s| s == "-");
    let patterns = patterns
        .into_iter()
        .map(absolute)
        .collect::<Result<Vec<_>, _>>()?;
    let settings = Settings {
        begin: args.from,
        once: args.once,
        line_limit: args.line_limit as usize,
        open_limit: open_limit(),
        ..Settings::new(patterns)
    };
    let store = if settings.patterns.is_empty() {
        None
    } else {
        let dir = args.checkpoint_dir.or_else(state_folder).context(
            "no folder for the checkpoint is known, as HOME is not set; name one with --checkpoint-dir",
        )?;
        Some(Store::open(&dir, &args.topic)?)
    };
    let producer = Producer::new(ProducerConfig {
        // Lines wait for as long as it takes; who gives up is the user.
        delivery_timeout: Duration::from_secs(10 * 365 * 24 * 3600),
        max_record_bytes: settings.line_limit + (64 << 10),
        client: ClientConfig {
            // How soon the user hears that nobody answers.
            patience: Duration::from_secs(5),
            ..ClientConfig::new(&args.brokers)
        },
        ..ProducerConfig::default()
    })?;
    let stdin = (!dashes.is_empty()).then(|| {
        stdin::lines(
            tokio::io::stdin(),
            settings.line_limit,
            settings.batch_lines,
        )
    });
    let sink = BrokerSink::new(producer, &args.topic);
    let ends = args.once || settings.patterns.is_empty();
    let report = ship(settings, store, stdin, sink, common::interrupted()).await?;
    tell(&report);
    if !dashes.is_empty() && !report.complete {
        bail!(
            "stopped before the brokers took all lines of standard input; the last ones are lost"
        );
    }
    // Whoever runs this to its end may delete the files then.
    if ends && (report.refused > 0 || report.troubles > 0) {
        bail!(Partly(
            "not everything was shipped, as told above".to_owned()
        ));
    }
    if args.once && report.stopped {
        bail!(Partly(
            "stopped before everything was shipped; the next start goes on from there".to_owned()
        ));
    }
    Ok(())
}

fn tell(report: &Report) {
    let counts = &report.counts;
    tracing::info!(
        "shipped {} lines, {} bytes{}{}{}{}",
        counts.lines - report.refused,
        counts.bytes,
        if counts.cut > 0 {
            format!(", {} of them cut", counts.cut)
        } else {
            String::new()
        },
        if report.refused > 0 {
            format!("; {} lines were refused", report.refused)
        } else {
            String::new()
        },
        match report.troubles {
            0 => String::new(),
            1 => "; a problem with a file was told above".to_owned(),
            n => format!("; {n} problems with files were told above"),
        },
        if report.complete {
            ""
        } else {
            "; what was under way is shipped at the next start"
        },
    );
}

/// Checkpoints hold paths: they must not depend on the folder that logship was started in.
fn absolute(pattern: String) -> anyhow::Result<String> {
    let path = std::path::absolute(&pattern).with_context(|| format!("{pattern:?} is no path"))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8; name it by a pattern", path.display()))
}

fn state_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("milena/logship"))
}

/// Raises the limit on open files as far as it goes, and leaves some of it for everything else.
fn open_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let soft = if setrlimit(Resource::Nofile, raised).is_ok() {
        limit.maximum
    } else {
        limit.current
    };
    let soft = soft.map_or(65_536, |n| usize::try_from(n).unwrap_or(65_536));
    (soft.saturating_sub(128)).clamp(16, 65_536)
}
