//! Ours, Kafka and the floor in turn, in rounds, on the same work; then medians, ratios and the targets beside them.
//!
//! The machine is noisy and fresh memory dear, so nothing is compared across runs: each round has every side, in an order that turns,
//! topics are deleted after each run and what is dirty is written before the next.

mod lives;
mod many_topics;
mod scenarios;
mod systems;
mod table;

use crate::report::Figures;
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use systems::{Floor, Kafka, Ours};

pub use scenarios::{SCENARIOS, Scenario};
pub use table::Side;

use scenarios::{Beside, Work};

/// What to compare.
#[derive(Debug)]
pub struct Options {
    /// Scenarios by name.
    pub scenarios: Vec<&'static Scenario>,
    /// Who takes part.
    pub sides: Vec<Side>,
    /// Rounds that count.
    pub rounds: usize,
    /// A round before those, which warms up (a JVM compiles what is hot) and does not count.
    pub warm_up_round: bool,
    /// Seconds measured in each run.
    pub seconds: f64,
    /// Folder for our data and the floor's, on the file system that Kafka uses.
    pub dir: PathBuf,
    /// Folder of the built programs.
    pub programs: PathBuf,
    /// The script that starts Kafka.
    pub kafka_peer: Option<PathBuf>,
    /// More arguments to `milena serve`.
    pub serve_args: Vec<String>,
}

/// The systems that are up, and what runs need to know.
struct Lab {
    options: Options,
    ours: Ours,
    kafka: Option<Kafka>,
    runs: usize,
}

/// Runs it all and prints a table for each scenario, and at the end which targets were missed.
pub fn run(options: Options) -> Result<()> {
    let serves = |side| options.sides.contains(&side);
    let kafka = match &options.kafka_peer {
        Some(script) if serves(Side::Kafka) => Some(Kafka::start(script)?),
        None if serves(Side::Kafka) => bail!(
            "set KAFKA_PEER to the script that starts Kafka, or leave it out: --sides ours,floor"
        ),
        _ => None,
    };
    let mut ours = Ours::new(
        &options.programs,
        &options.dir.join("ours"),
        &options.serve_args,
    );
    if serves(Side::Ours)
        && options
            .scenarios
            .iter()
            .any(|scenario| !scenario.work.starts_its_own())
    {
        ours.start_fresh()?;
    }
    let mut lab = Lab {
        options,
        ours,
        kafka,
        runs: 0,
    };
    let mut missed = Vec::new();
    let mut failures = 0;
    for scenario in lab.options.scenarios.clone() {
        let runs = lab.rounds(scenario);
        failures += runs.failures_but(Side::Kafka);
        missed.extend(table::print(scenario, &runs, &lab.options.sides));
    }
    table::print_missed(&missed);
    ensure!(failures == 0, "{failures} runs of ours or the floor failed");
    Ok(())
}

/// What came of a scenario.
#[derive(Debug, Default)]
struct Runs {
    /// Of the rounds that count.
    outcomes: Vec<(Side, Figures)>,
    /// One for each run without figures; also one that would not have counted.
    failed: Vec<Side>,
}

impl Runs {
    fn failures_of(&self, side: Side) -> usize {
        self.failed.iter().filter(|of| **of == side).count()
    }

    fn failures_but(&self, side: Side) -> usize {
        self.failed.len() - self.failures_of(side)
    }
}

impl Lab {
    fn rounds(&mut self, scenario: &Scenario) -> Runs {
        let single = scenario.work.is_long();
        let rounds = if single { 1 } else { self.options.rounds };
        let first = usize::from(single || !self.options.warm_up_round);
        let mut runs = Runs::default();
        for round in first..=rounds {
            let mut sides = self.options.sides.clone();
            let turn = round % sides.len();
            sides.rotate_left(turn);
            for side in sides {
                if side == Side::Floor && scenario.beside == Beside::Nothing {
                    continue;
                }
                match self.once(scenario, side) {
                    Ok(figures) => {
                        eprintln!(
                            "{} {side} round {round}: {}",
                            scenario.name,
                            serde_json::Value::Object(figures.clone())
                        );
                        if round > 0 {
                            runs.outcomes.push((side, figures));
                        }
                    }
                    // The others still show what they do.
                    Err(error) => {
                        eprintln!("{} {side} round {round} FAILED: {error:#}", scenario.name);
                        runs.failed.push(side);
                    }
                }
                settle();
            }
        }
        runs
    }

    fn once(&mut self, scenario: &Scenario, side: Side) -> Result<Figures> {
        self.runs += 1;
        if side == Side::Floor {
            return self.beside(scenario);
        }
        let topic = format!("{}-{}", scenario.name, self.runs);
        match scenario.work {
            Work::Raw(args) => self.client("raw", args, side, &topic),
            Work::Librdkafka(args) => self.client("milena-bench-librdkafka", args, side, &topic),
            Work::Start => lives::start(self, side, &topic),
            Work::Resident => lives::resident(self, side, &topic),
            Work::ManyTopics => many_topics::run(self, side, &topic),
        }
    }

    /// Runs a client against the running broker of this side.
    fn client(&mut self, program: &str, args: &[&str], side: Side, topic: &str) -> Result<Figures> {
        let (broker, pids) = match (side, &self.kafka) {
            (Side::Ours, _) => (self.ours.address(), vec![self.ours.pid()?]),
            (Side::Kafka, Some(kafka)) => (kafka.address(), kafka.pids()?),
            _ => bail!("{side} is not running"),
        };
        let mut command = self.program(program);
        command.args(args).args([
            "--broker",
            &broker,
            "--topic",
            topic,
            "--pids",
            &joined(&pids),
        ]);
        command.args(["--seconds", &self.options.seconds.to_string()]);
        figures(command)
    }

    fn beside(&self, scenario: &Scenario) -> Result<Figures> {
        let dir = self.options.dir.join("floor");
        std::fs::create_dir_all(&dir)?;
        let seconds = self.options.seconds.to_string();
        match (scenario.beside, scenario.work) {
            (Beside::Serve { files }, Work::Raw(args)) => {
                let floor = Floor::start(self.program("floor"), &dir, files)?;
                let mut command = self.program("raw");
                command.args(args).args([
                    "--floor",
                    "--broker",
                    &floor.address,
                    "--topic",
                    "floor",
                    "--pids",
                    &floor.pid().to_string(),
                ]);
                figures(command.args(["--seconds", &seconds]))
            }
            (Beside::Sendfile { connections }, _) => {
                let mut command = self.program("floor");
                command
                    .args([
                        "sendfile",
                        "--connections",
                        &connections.to_string(),
                        "--seconds",
                        &seconds,
                        "--dir",
                    ])
                    .arg(&dir);
                figures(command)
            }
            _ => bail!("there is no floor for {}", scenario.name),
        }
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.options.programs.join(name))
    }
}

/// Runs a bench and reads the line that it prints.
fn figures(mut command: impl std::borrow::BorrowMut<Command>) -> Result<Figures> {
    let command = command.borrow_mut();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        errors
            .split("\n\nStack backtrace")
            .next()
            .unwrap_or_default()
            .trim()
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("{command:?} printed no JSON"))
}

/// Lets deleted files go and writes what is dirty, so that no run pays for the one before it.
fn settle() {
    std::thread::sleep(Duration::from_millis(500));
    rustix::fs::sync();
}

fn joined(pids: &[u32]) -> String {
    pids.iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
