//! `milena produce`: lines from files or standard input to records.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use client::{Acks, Compression, Delivery, Header, Producer, ProducerConfig};
use serde_json::json;
use tokio::sync::mpsc;

use super::common::{Common, interrupted};
use super::failure::Partly;
use super::input::{Kind, Reading};
use super::output::{Output, json_lines, progress};

/// Longer lines are refused before they fill the memory; no topic takes records of this size.
const LINE: u64 = 256 << 20;
/// So many bytes of lines are handed over at once.
const AHEAD: usize = 64 << 10;
/// So many records may be under way before the oldest is waited for.
const UNDER_WAY: usize = 20_000;
/// So many errors are told one by one.
const TOLD: u64 = 10;

/// Append records to a topic, one for each line of the files or of standard input
///
/// The exit code is 1 if any record was not delivered.
#[derive(Debug, Args)]
pub struct Produce {
    topic: String,
    /// Files to read; `-` or none for standard input
    files: Vec<PathBuf>,
    /// What a line is
    #[arg(short, long, value_enum, default_value_t)]
    input: Kind,
    /// What stands between key and value in a line
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = super::input::separator, conflicts_with = "key")]
    key_separator: Option<String>,
    /// The key of all records
    #[arg(short, long)]
    key: Option<String>,
    /// A header for all records; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = super::input::header)]
    headers: Vec<Header>,
    /// The partition of all records
    #[arg(short, long)]
    partition: Option<i32>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long, default_value = "lz4")]
    compression: Compression,
    /// Who must have a record: all, 1 (the leader) or 0
    #[arg(long, default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// An empty value is a tombstone
    #[arg(short = 'Z', long)]
    tombstones: bool,
    /// How long a record may take to be delivered
    #[arg(long, default_value = "30s", value_parser = super::position::duration)]
    timeout: Duration,
    #[command(flatten)]
    common: Common,
}

fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("all, 1 or 0".to_owned()),
    }
}

/// A line, and where it stands.
struct Line {
    file: PathBuf,
    number: u64,
    bytes: io::Result<Vec<u8>>,
}

#[derive(Default)]
struct Sent {
    delivered: u64,
    failed: u64,
    /// Line and outcome of records under way, oldest first.
    under_way: VecDeque<(String, Delivery)>,
}

impl Sent {
    fn fail(&mut self, place: &str, error: impl std::fmt::Display) {
        self.failed += 1;
        if self.failed <= TOLD {
            eprintln!("milena: {place}: {error}");
        }
    }

    /// Waits for the oldest; for ever, where there is none. Giving it up loses nothing.
    async fn settle_oldest(&mut self) {
        let Some((_, delivery)) = self.under_way.front_mut() else {
            return std::future::pending().await;
        };
        let result = delivery.await;
        let settled = self.under_way.pop_front();
        let (place, _) = settled.expect("it was just waited for");
        match result {
            Ok(_) => self.delivered += 1,
            Err(error) => self.fail(&place, error),
        }
    }
}

impl Produce {
    pub async fn run(self) -> anyhow::Result<()> {
        for file in self.files.iter().filter(|f| f.as_os_str() != "-") {
            File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        let producer = Producer::new(ProducerConfig {
            compression: self.compression,
            idempotence: self.acks == Acks::All,
            acks: self.acks,
            delivery_timeout: self.timeout,
            max_record_bytes: LINE as usize,
            client: client::ClientConfig {
                auto_create_topics: true,
                ..self.common.config()
            },
            ..ProducerConfig::default()
        })?;
        let reading = Reading {
            topic: self.topic.as_str().into(),
            kind: self.input,
            separator: self.key_separator.clone(),
            key: self.key.clone(),
            partition: self.partition,
            headers: self.headers.clone(),
            tombstones: self.tombstones,
        };
        let mut lines = read(self.files.clone());
        let bar = progress("records");
        let mut sent = Sent::default();
        let stop = interrupted();
        tokio::pin!(stop);
        let mut stopped = false;
        let mut ended = None;
        let mut ahead = Vec::new().into_iter();
        loop {
            let Some(line) = ahead.next() else {
                let more = tokio::select! {
                    biased;
                    () = &mut stop => { stopped = true; break; }
                    // What fails is told at once, also while no more lines come.
                    () = sent.settle_oldest() => continue,
                    more = lines.recv() => more,
                };
                let Some(more) = more else { break };
                ahead = more.into_iter();
                continue;
            };
            let place = format!("{}, line {}", line.file.display(), line.number);
            let bytes = match line.bytes.with_context(|| format!("cannot read {place}")) {
                Ok(bytes) => bytes,
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            };
            match reading.record(&bytes) {
                Ok(record) => match producer.send(record).await {
                    Ok(delivery) => sent.under_way.push_back((place, delivery)),
                    // Without its topic no record can be sent.
                    Err(error @ client::ProduceError::Topic(_)) => {
                        ended = Some(error.into());
                        break;
                    }
                    Err(error) => sent.fail(&place, error),
                },
                Err(error) => sent.fail(&place, error),
            }
            if sent.under_way.len() >= UNDER_WAY {
                sent.settle_oldest().await;
            }
            bar.inc(1);
        }
        while !sent.under_way.is_empty() {
            sent.settle_oldest().await;
        }
        bar.finish_and_clear();
        if self.common.output == Output::Json {
            json_lines([
                json!({"topic": self.topic, "delivered": sent.delivered, "failed": sent.failed}),
            ])?;
        }
        if let Some(error) = ended {
            return Err(error);
        }
        if sent.failed > 0 {
            let all = sent.delivered + sent.failed;
            bail!(Partly(format!(
                "{} of {all} records were not delivered to {}",
                sent.failed, self.topic
            )));
        }
        if stopped {
            bail!(Partly(format!("stopped after {} records", sent.delivered)));
        }
        Ok(())
    }
}

/// Reads on a thread of its own, a little ahead of what is sent: two times [`AHEAD`] bytes, or longer lines.
fn read(mut files: Vec<PathBuf>) -> mpsc::Receiver<Vec<Line>> {
    if files.is_empty() {
        files.push("-".into());
    }
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        for file in files {
            let input: Box<dyn Read> = if file.as_os_str() == "-" {
                Box::new(io::stdin())
            } else {
                match File::open(&file) {
                    Ok(input) => Box::new(input),
                    Err(error) => {
                        let line = Line {
                            file,
                            number: 1,
                            bytes: Err(error),
                        };
                        let _ = send.blocking_send(vec![line]);
                        return;
                    }
                }
            };
            let name = if file.as_os_str() == "-" {
                "standard input".into()
            } else {
                file
            };
            let mut input = BufReader::with_capacity(64 << 10, input);
            let (mut lines, mut held) = (Vec::new(), 0);
            for number in 1.. {
                let bytes = next_line(&mut input).transpose();
                let ended = bytes.as_ref().is_none_or(Result::is_err);
                let failed = ended && bytes.is_some();
                if let Some(bytes) = bytes {
                    held += bytes.as_ref().map_or(0, Vec::len);
                    let file = name.clone();
                    lines.push(Line {
                        file,
                        number,
                        bytes,
                    });
                }
                // No line waits for one that has not come yet.
                if ended || held >= AHEAD || !input.buffer().contains(&b'\n') {
                    held = 0;
                    if send.blocking_send(std::mem::take(&mut lines)).is_err() || failed {
                        return;
                    }
                }
                if ended {
                    break;
                }
            }
        }
    });
    receive
}

fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if line.len() as u64 == LINE {
        return Err(io::Error::other(format!(
            "a line of more than {LINE} bytes"
        )));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_or_crlf_or_the_file() {
        let mut input: &[u8] = b"a\r\n\nb\0\nc";
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"a"[..], b"", b"b\0", b"c"]);
    }
}
