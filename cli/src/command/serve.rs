//! `milena serve`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::Args;
use node::config::{KAFKA_PREFIX, Loaded, load};
use node::logging;

/// Run a node: a broker with its coordination service
///
/// Each setting also has a variable (MILENA_LISTEN for --listen, MILENA_KAFKA_NUM_PARTITIONS for
/// --set num.partitions=…) and a key in the file; flags win over variables, and these over the file.
#[derive(Debug, Args)]
pub struct Serve {
    /// Read settings from this TOML file [env: MILENA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings in force, as a configuration file, and leave
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: Settings,
}

/// The settings of a node as flags.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// Where Kafka clients connect [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,

    /// What clients are told to connect to, if it is not --listen
    #[arg(long, value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,

    /// Where /metrics, /healthz and /readyz are served [default: 127.0.0.1:9464]
    #[arg(long, value_name = "HOST:PORT")]
    pub http_listen: Option<String>,

    /// The folder of everything that is kept [default: ./milena-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,

    /// The rack or zone of this machine, as clients see it
    #[arg(long)]
    pub rack: Option<String>,

    /// Threads that serve requests; 0 is one for each core [default: 0]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,

    /// What is logged: a level, also by part of the program, such as info,broker=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,

    /// text for people, json for programs [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Set one of Kafka's broker settings, such as num.partitions=3
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as num.partitions=3".to_owned()),
    }
}

impl Settings {
    /// Each setting that was given: its name, its value, and the flag.
    fn given(self) -> Vec<(String, String, String)> {
        let own = [
            ("listen", self.listen),
            ("advertise", self.advertise),
            ("http-listen", self.http_listen),
            ("data", self.data),
            ("rack", self.rack),
            ("threads", self.threads),
            ("log", self.log),
            ("log-format", self.log_format),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?, format!("--{name}"))));
        let kafka = self
            .set
            .into_iter()
            .map(|(key, value)| (format!("{KAFKA_PREFIX}{key}"), value, "--set".to_owned()));
        own.chain(kafka).collect()
    }

    /// These over the process's variables and the file.
    pub fn load(self, file: Option<PathBuf>) -> anyhow::Result<Loaded> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => variables.push((name, value)),
                (Ok(name), Err(_)) if name.starts_with("MILENA_") => {
                    bail!("the variable {name} is not UTF-8; give the setting by its flag")
                }
                _ => {}
            }
        }
        Ok(load(file.as_deref(), variables, self.given())?)
    }
}

impl Serve {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<()> {
        let loaded = self.settings.load(self.config)?;
        if self.print_config {
            io::stdout().write_all(loaded.to_toml().as_bytes())?;
            return Ok(());
        }
        start_logging(&loaded)?;
        Ok(node::run(loaded.config, |_| ())?)
    }
}

/// Logs from now on, first of all what looks like a slip in the environment.
pub fn start_logging(loaded: &Loaded) -> anyhow::Result<()> {
    logging::init(&loaded.config.log, loaded.config.log_format)
        .map_err(|error| anyhow!("cannot log: {error}"))?;
    for variable in &loaded.unknown_variables {
        tracing::warn!("the variable {variable} is no setting, and changes nothing");
    }
    Ok(())
}
