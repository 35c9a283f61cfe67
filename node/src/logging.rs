//! What is logged, and how it looks: lines for people on a terminal, or JSON for programs.
//! Everything goes to stderr, so that stdout stays free for answers.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt as format};

use crate::config::BadSetting;

/// The parts of the program, which are crates whose full names begin with `milena_`.
const ROOMS: &[&str] = &["broker", "coord", "disk", "node", "protocol"];

/// Which events are logged: a level, and levels by part of the program
/// (`info,broker=debug`). It has no regular expressions, which would cost memory that an
/// idle node does not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

/// A filter that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a level such as info, or levels by part such as info,broker=debug: {0}")]
pub struct BadFilter(String);

impl FromStr for LogFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let mut parts = Vec::new();
        for part in text.split(',').map(str::trim) {
            // `Targets` would take a misspelt level for a part of the program.
            let level = part.parse::<LevelFilter>();
            if part.is_empty() || (!part.contains('=') && level.is_err()) {
                return Err(BadFilter(format!("{part:?} is no level")));
            }
            let room = part.split([':', '=']).next().unwrap_or_default();
            let prefix = if ROOMS.contains(&room) { "milena_" } else { "" };
            parts.push(format!("{prefix}{part}"));
        }
        let targets = parts.join(",").parse();
        let targets = targets.map_err(|error| BadFilter(format!("{error}")))?;
        let text = text.to_owned();
        Ok(Self { text, targets })
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How a logged event looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = BadSetting;

    fn from_str(text: &str) -> Result<Self, BadSetting> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(BadSetting::Expected("text or json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Logs to stderr from now on. Once per process; an error if something logs already.
pub fn init(filter: &LogFilter, format: LogFormat) -> Result<(), TryInitError> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let events = format::layer().with_writer(io::stderr).with_ansi(colours);
    let events = match format {
        LogFormat::Text => events.boxed(),
        LogFormat::Json => events.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(events.with_filter(filter.targets.clone()))
        .try_init()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_part() {
        for (text, good) in [
            ("info", true),
            ("warn,broker=debug,coord::service=trace", true),
            ("off", true),
            ("inof", false),
            ("broker=loud", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<LogFilter>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_part_of_the_program_goes_by_its_short_name() {
        let filter: LogFilter = "warn,broker::net=debug".parse().unwrap();
        let debug = tracing::Level::DEBUG;
        for (target, logged) in [
            ("milena_broker::net::connection", true),
            ("milena_broker::log", false),
            ("milena_coord", false),
        ] {
            assert_eq!(
                filter.targets.would_enable(target, &debug),
                logged,
                "{target}"
            );
        }
    }
}
