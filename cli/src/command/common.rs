//! Arguments and set-up that several commands share.

use clap::Args;
use client::{Client, ClientConfig};

use super::output::Output;

/// Which cluster, and how to print.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Brokers to start from, HOST:PORT, several with commas
    #[arg(
        short,
        long,
        env = "MILENA_BROKERS",
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT",
        global = true
    )]
    pub brokers: String,

    /// How to print results
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

impl Common {
    /// A client of the cluster that creates no topics by asking for them.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(self.config())?)
    }

    /// The configuration of such a client.
    pub fn config(&self) -> ClientConfig {
        ClientConfig {
            auto_create_topics: false,
            patience: std::time::Duration::from_secs(5),
            ..ClientConfig::new(&self.brokers)
        }
    }
}

/// Completes with Ctrl-C or SIGTERM; the second of them ends the process, whatever it waits for.
pub async fn interrupted() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(error) => {
            tracing::warn!("no signals are heard: {error}");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = term.recv() => {}
        }
        // As a shell tells of a program that a Ctrl-C has ended.
        std::process::exit(130);
    });
}

/// Logs go to standard error: warnings, and what `MILENA_LOG` asks for.
pub fn log(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MILENA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// For clap: `NAME=VALUE`.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a setting is written NAME=VALUE".to_owned()),
    }
}
