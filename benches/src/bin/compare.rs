//! `compare`: Milena, Kafka and the floor in turn; `benches/compare` builds all it needs and runs it.

use anyhow::{Context, Result, bail};
use benches::compare::{self, Options, SCENARIOS, Side};
use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
#[command(
    name = "benches/compare",
    about = "Milena, Kafka and the floor on the same work, in turn; medians, ratios and targets"
)]
struct Cli {
    /// Scenarios to run; all without a name. A name's beginning names all that begin so.
    scenarios: Vec<String>,
    /// Print the scenarios and leave.
    #[arg(long)]
    list: bool,
    /// Rounds that count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds measured in each run.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// One round of short runs without a round to warm up: for trying the benches themselves.
    #[arg(long)]
    quick: bool,
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_value = "ours,kafka,floor")]
    sides: Vec<Side>,
    /// Folder for data, on the file system that Kafka uses, too.
    #[arg(long, default_value = "target/compare")]
    dir: PathBuf,
    /// The script that starts Kafka: `start` prints its address, `pids` its processes, `stop` ends it; `kill 1`, `restart 1`.
    #[arg(long, env = "KAFKA_PEER")]
    kafka_peer: Option<PathBuf>,
    /// More arguments to `milena serve`, one each.
    #[arg(long = "serve-arg", allow_hyphen_values = true)]
    serve_args: Vec<String>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.list {
        for scenario in SCENARIOS {
            println!("{:<24} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let chosen = |name: &str| {
        cli.scenarios.is_empty() || cli.scenarios.iter().any(|wanted| name.starts_with(wanted))
    };
    let scenarios: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| chosen(scenario.name))
        .collect();
    if let Some(unknown) = cli
        .scenarios
        .iter()
        .find(|wanted| !SCENARIOS.iter().any(|it| it.name.starts_with(*wanted)))
    {
        bail!("there is no scenario {unknown}; --list shows them");
    }
    std::fs::create_dir_all(&cli.dir)
        .with_context(|| format!("cannot make {}", cli.dir.display()))?;
    let programs = std::env::current_exe()?
        .parent()
        .context("this program lies in no folder")?
        .to_owned();
    compare::run(Options {
        scenarios,
        sides: cli.sides,
        rounds: if cli.quick { 1 } else { cli.rounds },
        warm_up_round: !cli.quick,
        seconds: if cli.quick { 2.0 } else { cli.seconds },
        dir: cli.dir.canonicalize()?,
        programs,
        kafka_peer: cli.kafka_peer,
        serve_args: cli.serve_args,
    })
}
