//! What a stage shall do, as the command line or a chain's file says it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Deserializer};

use super::dedupe::Seen;
use super::exec::Exec;
use super::jq::{Constants, Expression, Input};
use super::pipeline::{Dedupe, Parts};
use super::window::Shape;
use crate::command::position::duration;

/// What happens to a record that cannot be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The stage stops there; the record comes again at the next start.
    #[default]
    Stop,
    /// It is left out, counted and told.
    Skip,
}

/// One stage.
#[derive(Debug, Clone, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// The topic to read
    #[arg(
        long,
        value_name = "TOPIC",
        required_unless_present = "chain",
        default_value = "",
        hide_default_value = true
    )]
    pub from: String,
    /// The topic to write
    #[arg(
        long,
        value_name = "TOPIC",
        required_unless_present = "chain",
        default_value = "",
        hide_default_value = true
    )]
    pub to: String,
    /// The stage's consumer group, by which it goes on after a restart [default: stage-FROM-TO]
    #[arg(long)]
    pub group: Option<String>,
    /// Keep records for which this jq expression is true
    #[arg(long, value_name = "JQ")]
    pub filter: Option<String>,
    /// The new value; each output becomes a record
    #[arg(long, value_name = "JQ")]
    pub map: Option<String>,
    /// The new key, from the new value; null is no key
    #[arg(long, value_name = "JQ")]
    pub key: Option<String>,
    /// A program that answers each line on its standard input with one on its standard output; an empty
    /// line drops the record
    #[arg(long, value_name = "COMMAND")]
    pub exec: Option<String>,
    /// How long the program may take for an answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[serde(default = "half_a_minute", deserialize_with = "time")]
    pub exec_timeout: Duration,
    /// Drop records that came before: the same key, or the same output of this expression
    #[arg(long, value_name = "JQ", num_args = 0..=1, default_missing_value = "")]
    pub dedupe: Option<String>,
    /// How many keys are remembered for that
    #[arg(long, value_name = "N", default_value_t = KEEP)]
    #[serde(default = "keep")]
    pub dedupe_keep: usize,
    /// For how long they are remembered, by the records' time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    #[serde(default, deserialize_with = "some_time")]
    pub dedupe_for: Option<Duration>,
    /// The size of tumbling windows
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "count")]
    #[serde(default, deserialize_with = "some_time")]
    pub window: Option<Duration>,
    /// Count records by key in each window
    #[arg(long, requires = "window")]
    #[serde(default)]
    pub count: bool,
    /// How long a window waits for late records
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = grace)]
    #[serde(default = "ten_seconds", deserialize_with = "time_or_none")]
    pub grace: Duration,
    /// A partition silent for this long does not hold windows open
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[serde(default = "half_a_minute", deserialize_with = "time")]
    pub idle: Duration,
    /// The event time, from the new value: milliseconds or a date; else the record's timestamp
    #[arg(long, value_name = "JQ")]
    pub time: Option<String>,
    /// Where late records go
    #[arg(long, value_name = "TOPIC")]
    pub late_to: Option<String>,
    /// How many keys all open windows may hold
    #[arg(long, value_name = "N", default_value_t = MAX_KEYS)]
    #[serde(default = "max_keys")]
    pub max_keys: usize,
    /// What values are
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub input: Input,
    /// Strings become values without quotes
    #[arg(short, long)]
    #[serde(default)]
    pub raw: bool,
    /// JSON files that expressions see as $NAME
    #[arg(long = "data", value_name = "NAME=FILE", value_parser = named_file)]
    #[serde(default, deserialize_with = "table")]
    pub data: Vec<(String, PathBuf)>,
    /// What happens to a record that cannot be processed
    #[arg(long, value_enum, default_value_t)]
    #[serde(default)]
    pub on_error: OnError,
}

const KEEP: usize = 100_000;
const MAX_KEYS: usize = 1_000_000;

fn keep() -> usize {
    KEEP
}

fn max_keys() -> usize {
    MAX_KEYS
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn grace(text: &str) -> Result<Duration, String> {
    if text == "0" {
        Ok(Duration::ZERO)
    } else {
        duration(text)
    }
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("data is written NAME=FILE".to_owned()),
    }
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn time_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    grace(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn some_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    time(from).map(Some)
}

fn table<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, PathBuf)>, D::Error> {
    Ok(BTreeMap::deserialize(from)?.into_iter().collect())
}

impl Plan {
    /// The group, given or made from the topics.
    pub fn group(&self) -> String {
        self.group
            .clone()
            .unwrap_or_else(|| format!("stage-{}-{}", self.from, self.to))
    }

    /// Compiles everything. `close_at_end`: the stage ends with its input.
    pub fn parts(&self, close_at_end: bool) -> anyhow::Result<Parts> {
        if self.from == self.to {
            bail!(
                "a stage from {} to itself would never end; name another topic with --to",
                self.from
            );
        }
        if self.window.is_some() != self.count {
            bail!("a window wants something to do in it: --window and --count go together");
        }
        let mut constants = Constants::default();
        for (name, file) in &self.data {
            let json = std::fs::read(file)
                .with_context(|| format!("cannot read the data {}", file.display()))?;
            constants
                .add(name, &json)
                .with_context(|| file.display().to_string())?;
        }
        let compile = |code: &Option<String>| {
            code.as_deref()
                .map(|code| Expression::new(code, &constants))
                .transpose()
        };
        let dedupe = match &self.dedupe {
            None => None,
            Some(by) => Some(Dedupe {
                by: compile(&Some(by.clone()).filter(|by| !by.is_empty()))?,
                seen: Seen::new(self.dedupe_keep, self.dedupe_for.map(ms)),
            }),
        };
        Ok(Parts {
            input: self.input,
            raw: self.raw,
            filter: compile(&self.filter)?,
            map: compile(&self.map)?,
            key: compile(&self.key)?,
            exec: self
                .exec
                .as_deref()
                .map(|command| Exec::new(command, self.exec_timeout)),
            dedupe,
            window: self.window.map(|size| Shape {
                size_ms: ms(size),
                grace_ms: ms(self.grace),
                idle_ms: ms(self.idle),
                max_keys: self.max_keys,
            }),
            time: compile(&self.time)?,
            late_to: self.late_to.clone(),
            close_at_end,
        })
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

/// Several stages that run together, one reading what another writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    pub stage: Vec<Plan>,
}

impl Chain {
    /// Reads a chain's file. Data files are named from its folder.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the chain {}", path.display()))?;
        let mut chain: Self =
            toml::from_str(&text).with_context(|| format!("{} is no chain", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for stage in &mut chain.stage {
            for (_, file) in &mut stage.data {
                *file = folder.join(&*file);
            }
        }
        if chain.stage.is_empty() {
            bail!("{} has no [[stage]]", path.display());
        }
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.toml");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_chain_says_what_the_command_line_can() {
        let (dir, path) = write(
            r#"
            [[stage]]
            from = "a"
            to = "b"
            map = ".x + $users.n"
            dedupe = ".id"
            dedupe-keep = 7
            dedupe-for = "1h"
            data = { users = "users.json" }
            [[stage]]
            from = "b"
            to = "c"
            window = "1m"
            count = true
            grace = "0"
            on-error = "skip"
            "#,
        );
        std::fs::write(dir.path().join("users.json"), r#"{"n":1}"#).unwrap();
        let chain = Chain::read(&path).unwrap();
        assert_eq!(chain.stage[0].group(), "stage-a-b");
        let parts = chain.stage[0].parts(false).unwrap();
        assert_eq!(parts.dedupe.unwrap().seen.keep(), 7);
        let window = chain.stage[1].parts(false).unwrap().window.unwrap();
        assert_eq!((window.size_ms, window.grace_ms), (60_000, 0));
        assert_eq!(chain.stage[1].on_error, OnError::Skip);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let error = |text: &str| {
            let (_dir, path) = write(text);
            let chain = Chain::read(&path).and_then(|c| c.stage[0].parts(false));
            format!("{:#}", chain.unwrap_err())
        };
        assert!(error("").contains("missing field `stage`"));
        assert!(error("stage = []").contains("has no [[stage]]"));
        let stage = "[[stage]]\nfrom = \"a\"\nto = \"b\"\n";
        assert!(error(&format!("{stage}mapp = \"x\"")).contains("unknown field `mapp`"));
        assert!(error(&format!("{stage}map = \".a |\"")).contains("the jq expression"));
        assert!(error(&format!("{stage}window = \"1m\"")).contains("--count"));
        assert!(error(&format!("{stage}window = \"never\"")).contains("a duration is wanted"));
        assert!(error(&stage.replace("\"b\"", "\"a\"")).contains("to itself"));
        assert!(error(&format!("{stage}data = {{ x = \"nosuch\" }}")).contains("nosuch"));
    }
}
