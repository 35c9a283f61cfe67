//! `milena consume`: records to standard output.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use client::{Consumer, ConsumerConfig, ConsumerRecord, Event, Reset, TopicPartition};
use indicatif::ProgressBar;

use super::common::{Common, interrupted, now_ms};
use super::failure::Usage;
use super::format::{Format, to_json};
use super::last::Last;
use super::output::{Output, progress};
use super::position::Position;

/// How long a poll waits before Ctrl-C and the end are looked at again.
const POLL: Duration = Duration::from_millis(500);
/// How often a group's offsets are committed.
const COMMIT: Duration = Duration::from_secs(5);

/// Print records of topics, until Ctrl-C or as far as told
#[derive(Debug, Args)]
#[command(after_help = format!("Format strings:\n{}", super::format::HELP))]
pub struct Consume {
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Where to begin: start, end, OFFSET, -N (the last N, over all partitions), @2026-01-31,
    /// @2026-01-31T12:00:00Z, @MILLISECONDS, -1h. With a group: where it has no offset yet, start or end
    #[arg(long, default_value = "start", allow_hyphen_values = true)]
    from: Position,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Stop at what is the end now
    #[arg(short = 'e', long)]
    until_end: bool,
    /// Only these partitions; may be repeated
    #[arg(short, long, value_name = "N", conflicts_with = "group")]
    partition: Vec<i32>,
    /// Read as a member of this group, and commit what was printed
    #[arg(short, long)]
    group: Option<String>,
    /// How to print a record [default: %v\n]
    #[arg(short, long, conflicts_with = "output")]
    format: Option<Format>,
    #[command(flatten)]
    common: Common,
}

/// Prints records, and knows when it is enough.
struct Printer {
    out: BufWriter<io::Stdout>,
    format: Option<Format>,
    left: Option<u64>,
    /// For each partition, the offset behind the last record that was printed.
    printed: BTreeMap<TopicPartition, i64>,
    line: Vec<u8>,
    bar: ProgressBar,
}

impl Printer {
    /// Prints a record; false when there were enough already.
    fn print(&mut self, record: &ConsumerRecord) -> io::Result<bool> {
        if self.left == Some(0) {
            return Ok(false);
        }
        self.line.clear();
        match &self.format {
            Some(format) => format.write(record, &mut self.line),
            None => writeln!(self.line, "{}", to_json(record))?,
        }
        self.out.write_all(&self.line)?;
        self.left = self.left.map(|left| left - 1);
        self.printed
            .insert(record.topic_partition(), record.offset + 1);
        self.bar.inc(1);
        Ok(true)
    }

    fn enough(&self) -> bool {
        self.left == Some(0)
    }
}

impl Consume {
    pub async fn run(self) -> anyhow::Result<()> {
        let printer = Printer {
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
            format: match (self.common.output, &self.format) {
                (Output::Json, _) => None,
                (Output::Text, Some(format)) => Some(format.clone()),
                (Output::Text, None) => Some("%v\\n".parse()?),
            },
            left: self.count,
            printed: BTreeMap::new(),
            line: Vec::new(),
            bar: progress("records"),
        };
        let reset = match (&self.group, self.from) {
            (Some(_), Position::Start) | (None, _) => Reset::Earliest,
            (Some(_), Position::End) => Reset::Latest,
            (Some(group), _) => bail!(Usage(format!(
                "a group begins where it has committed, or at start or end; `milena group reset {group}` puts it elsewhere"
            ))),
        };
        let consumer = Consumer::new(ConsumerConfig {
            group_id: self.group.clone(),
            reset,
            // What was printed is committed, not what was fetched.
            auto_commit: None,
            client: self.common.config(),
            ..ConsumerConfig::default()
        })?;
        if self.group.is_some() {
            self.in_group(consumer, printer).await
        } else {
            self.alone(consumer, printer).await
        }
    }

    async fn alone(&self, mut consumer: Consumer, mut printer: Printer) -> anyhow::Result<()> {
        let mut partitions = Vec::new();
        for topic in &self.topics {
            let all = consumer.partitions_of(topic).await?;
            for wanted in &self.partition {
                if !all.iter().any(|p| p.partition == *wanted) {
                    bail!(
                        "topic {topic} has {} partitions, none with index {wanted}",
                        all.len()
                    );
                }
            }
            partitions
                .extend(all.into_iter().filter(|p| {
                    self.partition.is_empty() || self.partition.contains(&p.partition)
                }));
        }
        let begin = consumer.beginning_offsets(&partitions).await?;
        let end = consumer.end_offsets(&partitions).await?;
        let from = self.from.at(now_ms());
        let times = match from {
            Position::Time(ms) => consumer.offsets_for_time(&partitions, ms).await?,
            _ => BTreeMap::new(),
        };
        consumer.assign(partitions.iter().cloned()).await?;
        for partition in &partitions {
            let (begin, end) = (begin[partition], end[partition]);
            let offset = match from {
                Position::Start => begin,
                Position::End => end,
                Position::Offset(offset) => offset.clamp(begin, end),
                Position::Last(n) => end.saturating_sub_unsigned(n).max(begin),
                Position::Time(_) | Position::Ago(_) => times
                    .get(partition)
                    .copied()
                    .flatten()
                    .map_or(end, |found| found.offset),
            };
            consumer.seek(partition, offset)?;
        }
        let mut last = match from {
            Position::Last(n) => Some(Last::new(n)),
            _ => None,
        };
        let stop = interrupted();
        tokio::pin!(stop);
        loop {
            let at_end = end
                .iter()
                .all(|(p, end)| consumer.position(p).is_some_and(|at| at >= *end));
            if at_end {
                for record in last.take().into_iter().flat_map(Last::into_sorted) {
                    printer.print(&record)?;
                }
            }
            printer.out.flush()?;
            if printer.enough() || (at_end && self.until_end) {
                break;
            }
            let records = tokio::select! {
                biased;
                () = &mut stop => break,
                records = consumer.poll(POLL) => records?,
            };
            for record in records {
                // Asked to stop at the end, what came since is not ours.
                if self.until_end
                    && end
                        .get(&record.topic_partition())
                        .is_some_and(|end| record.offset >= *end)
                {
                    continue;
                }
                match &mut last {
                    Some(last) => last.push(record),
                    None if !printer.print(&record)? => break,
                    None => {}
                }
            }
        }
        printer.bar.finish_and_clear();
        Ok(())
    }

    async fn in_group(&self, mut consumer: Consumer, mut printer: Printer) -> anyhow::Result<()> {
        consumer.subscribe(self.topics.iter().map(String::as_str))?;
        let mut ends: Option<BTreeMap<TopicPartition, i64>> = None;
        let mut committed = Instant::now();
        let stop = interrupted();
        tokio::pin!(stop);
        loop {
            printer.out.flush()?;
            let at_end = ends.as_ref().is_some_and(|ends| {
                ends.iter()
                    .all(|(p, end)| consumer.position(p).is_some_and(|at| at >= *end))
            });
            if printer.enough() || (at_end && self.until_end) {
                break;
            }
            if committed.elapsed() >= COMMIT {
                match consumer.commit_offsets(&printer.printed).await {
                    // It may be done the next time, or by whoever has the partitions now.
                    Err(error) if error.retriable() => {
                        tracing::warn!("the offsets were not committed: {error}");
                    }
                    done => done?,
                }
                committed = Instant::now();
            }
            let event = tokio::select! {
                biased;
                () = &mut stop => break,
                event = consumer.poll_event(POLL) => event?,
            };
            match event {
                Event::Records(records) => {
                    for record in records {
                        if !printer.print(&record)? {
                            break;
                        }
                    }
                }
                Event::Assigned(partitions) => {
                    ends = Some(consumer.end_offsets(&partitions).await?);
                }
                Event::Revoked(partitions) => {
                    printer.out.flush()?;
                    consumer.commit_offsets(&printer.printed).await?;
                    printer.printed.retain(|p, _| !partitions.contains(p));
                    ends = None;
                }
                Event::Lost(partitions) => {
                    printer.printed.retain(|p, _| !partitions.contains(p));
                    ends = None;
                }
            }
        }
        printer.out.flush()?;
        printer.bar.finish_and_clear();
        consumer.commit_offsets(&printer.printed).await?;
        consumer.close().await?;
        Ok(())
    }
}
