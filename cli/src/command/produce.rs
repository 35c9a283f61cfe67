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

    async fn settle_oldest(&mut self) {
        if let Some((place, delivery)) = self.under_way.pop_front() {
            match delivery.await {
                Ok(_) => self.delivered += 1,
                Err(error) => self.fail(&place, error),
            }
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
        loop {
            let line = tokio::select! {
                biased;
                () = &mut stop => { stopped = true; break; }
                line = lines.recv() => line,
            };
            let Some(line) = line else { break };
            let place = format!("{}, line {}", line.file.display(), line.number);
            let bytes = line.bytes.with_context(|| format!("cannot read {place}"))?;
            match reading.record(&bytes) {
                Ok(record) => match producer.send(record).await {
                    Ok(delivery) => sent.under_way.push_back((place, delivery)),
                    // Without its topic no record can be sent.
                    Err(error @ client::ProduceError::Topic(_)) => return Err(error.into()),
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

/// Reads on a thread of its own, a little ahead of what is sent.
fn read(mut files: Vec<PathBuf>) -> mpsc::Receiver<Line> {
    if files.is_empty() {
        files.push("-".into());
    }
    let (send, receive) = mpsc::channel(1024);
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
                        let _ = send.blocking_send(line);
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
            for number in 1.. {
                let Some(bytes) = next_line(&mut input).transpose() else {
                    break;
                };
                let failed = bytes.is_err();
                let line = Line {
                    file: name.clone(),
                    number,
                    bytes,
                };
                if send.blocking_send(line).is_err() || failed {
                    return;
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
