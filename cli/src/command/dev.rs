//! `milena dev`.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use clap::Args;
use node::VERSION;

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
        let kafka = Port::look_at(KAFKA_PORT, self.listen.is_some());
        let http = Port::look_at(HTTP_PORT, self.http_listen.is_some());
        let prompt = (PROMPT.0.to_owned(), PROMPT.1.to_owned());
        let settings = Settings {
            listen: Some(self.listen.unwrap_or_else(|| kafka.address())),
            http_listen: Some(self.http_listen.unwrap_or_else(|| http.address())),
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
        let program = program();
        let outcome = node::run(loaded.config, |node| {
            let welcome = welcome(
                (node.address(), kafka),
                (node.http_address(), http),
                &program,
            );
            // Nobody may be reading it.
            let _ = io::stdout().write_all(welcome.as_bytes());
        });
        data.close().context("cannot remove the data folder")?;
        Ok(outcome?)
    }
}

/// One of the usual ports.
#[derive(Debug, Clone, Copy)]
struct Port {
    usual: u16,
    /// Somebody has it, and the node gets a free one.
    taken: bool,
}

impl Port {
    fn look_at(usual: u16, other_asked_for: bool) -> Self {
        let taken = !other_asked_for && TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).is_err();
        Self { usual, taken }
    }

    fn address(self) -> String {
        format!("127.0.0.1:{}", if self.taken { 0 } else { self.usual })
    }

    fn note(self) -> String {
        if self.taken {
            format!(" (somebody has {})", self.usual)
        } else {
            String::new()
        }
    }
}

/// How the program was called, so that the commands shown can be typed as they stand.
fn program() -> String {
    std::env::args()
        .next()
        .filter(|name| name.contains('/'))
        .unwrap_or_else(|| "milena".to_owned())
}

fn welcome(kafka: (SocketAddr, Port), http: (SocketAddr, Port), program: &str) -> String {
    let (address, port) = kafka;
    let brokers = if address.port() == KAFKA_PORT {
        String::new()
    } else {
        format!(" --brokers {address}")
    };
    format!(
        "\
Milena {VERSION}: a throwaway node. Its data is gone when it stops, which Ctrl-C does.

  Kafka    {address}{}
  metrics  http://{}/metrics{}

Try, in another terminal:

  {program} topic create hello --partitions 3{brokers}
  echo 'hello, world' | {program} produce hello{brokers}
  {program} consume hello --from start --until-end{brokers}
  kcat -b {address} -t hello -C -e

",
        port.note(),
        http.0,
        http.1.note(),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_commands_shown_work_as_they_stand() {
        let port = |usual, taken| Port { usual, taken };
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let usual = welcome(
            (at(9092), port(9092, false)),
            (at(9464), port(9464, false)),
            "milena",
        );
        expect![[r"
            Milena 0.1.0: a throwaway node. Its data is gone when it stops, which Ctrl-C does.

              Kafka    127.0.0.1:9092
              metrics  http://127.0.0.1:9464/metrics

            Try, in another terminal:

              milena topic create hello --partitions 3
              echo 'hello, world' | milena produce hello
              milena consume hello --from start --until-end
              kcat -b 127.0.0.1:9092 -t hello -C -e

        "]]
        .assert_eq(&usual);
        let elsewhere = welcome(
            (at(4000), port(9092, true)),
            (at(4001), port(9464, true)),
            "target/release/milena",
        );
        assert!(elsewhere.contains("  Kafka    127.0.0.1:4000 (somebody has 9092)\n"));
        assert!(elsewhere.contains(
            "  target/release/milena topic create hello --partitions 3 --brokers 127.0.0.1:4000\n"
        ));
    }
}
