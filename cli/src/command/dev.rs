//! `milena dev`.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use clap::Args;
use node::{Node, VERSION};

use super::serve::{Settings, start_logging};

/// Run a throwaway node to try things with: its data is gone when it stops
#[derive(Debug, Args)]
pub struct Dev {
    /// Where Kafka clients connect [default: 127.0.0.1:9092, or a free port if that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Where /metrics, /healthz and /readyz are served [default: 127.0.0.1:9464, or a free port]
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,

    /// What is logged: a level, also by part of the program, such as info,broker=debug [default: warn]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,

    /// Set one of Kafka's broker settings, such as num.partitions=3
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::serve::assignment)]
    set: Vec<(String, String)>,
}

/// A consumer that is alone in its group need not wait for others while one tries things out.
const PROMPT: (&str, &str) = ("group.initial.rebalance.delay.ms", "0");

const KAFKA_PORT: u16 = 9092;
const HTTP_PORT: u16 = 9464;

impl Dev {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<()> {
        let data = tempfile::Builder::new()
            .prefix("milena-dev-")
            .tempdir()
            .context("cannot make a folder for the data")?;
        let prompt = (PROMPT.0.to_owned(), PROMPT.1.to_owned());
        let settings = Settings {
            listen: Some(self.listen.unwrap_or_else(|| address(KAFKA_PORT))),
            http_listen: Some(self.http_listen.unwrap_or_else(|| address(HTTP_PORT))),
            data: Some(data.path().to_string_lossy().into_owned()),
            log: self.log.or_else(|| {
                std::env::var_os("MILENA_LOG")
                    .is_none()
                    .then(|| "warn".to_owned())
            }),
            set: [prompt].into_iter().chain(self.set).collect(),
            ..Settings::default()
        };
        let loaded = settings.load(None)?;
        start_logging(&loaded)?;
        let runtime = node::runtime(loaded.config.threads)?;
        let outcome = runtime.block_on(async {
            let node = Node::start(loaded.config).await?;
            let welcome = welcome(node.address(), node.http_address(), &program());
            io::stdout().write_all(welcome.as_bytes())?;
            Ok(node::run_until_told_to_stop(node).await?)
        });
        // Nobody may use a file of the folder while it is removed.
        drop(runtime);
        data.close().context("cannot remove the data folder")?;
        outcome
    }
}

/// The port on this machine, or a free one if somebody has it.
fn address(port: u16) -> String {
    let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    format!("127.0.0.1:{}", if free { port } else { 0 })
}

/// How the program was called, so that the commands shown can be typed as they stand.
fn program() -> String {
    std::env::args()
        .next()
        .filter(|name| name.contains('/'))
        .unwrap_or_else(|| "milena".to_owned())
}

fn welcome(kafka: SocketAddr, http: SocketAddr, program: &str) -> String {
    let (brokers, taken) = if kafka.port() == KAFKA_PORT {
        (String::new(), "")
    } else {
        (
            format!(" --brokers {kafka}"),
            " (another port than 9092, which is taken or was not asked for)",
        )
    };
    format!(
        "\
Milena {VERSION}: a throwaway node. Its data is gone when it stops, which Ctrl-C does.

  Kafka    {kafka}{taken}
  metrics  http://{http}/metrics

Try, in another terminal:

  {program} topic create hello --partitions 3{brokers}
  echo 'hello, world' | {program} produce hello{brokers}
  {program} consume hello --from start{brokers}
  kcat -b {kafka} -t hello -C -e
"
    )
}
