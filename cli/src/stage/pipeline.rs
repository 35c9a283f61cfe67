//! What `milena stage` does to a record, as one step for the client's stage loop: filter, map, key, an
//! external program, dedupe, and counts over windows, in this order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use client::stage::{Output, Outputs, Step, StepError};
use client::{ConsumerRecord, TopicPartition};

use super::dedupe::Seen;
use super::exec::{Exec, ExecError};
use super::jq::{
    Around, Expression, Input, JqError, is_null, is_true, to_key, to_time_ms, to_value,
};
use super::window::{Added, Count, Shape, Windows};

/// What a stage put out last, in an earlier run: from it the step learns what it has done already, so that
/// records which come again after a crash are not taken for new ones.
pub trait Recent: Send {
    /// Hands the last `n` records of each partition of the output to `each`, in order within a partition.
    fn recent(
        &mut self,
        n: usize,
        each: &mut (dyn FnMut(ConsumerRecord) + Send),
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// The parts of a pipeline; each may be missing.
#[derive(Debug, Default)]
pub struct Parts {
    pub input: Input,
    /// Strings that `map` puts out become values as they are, without quotes.
    pub raw: bool,
    pub filter: Option<Expression>,
    pub map: Option<Expression>,
    pub key: Option<Expression>,
    pub exec: Option<Exec>,
    pub dedupe: Option<Dedupe>,
    pub window: Option<Shape>,
    /// The event time, instead of the record's timestamp.
    pub time: Option<Expression>,
    /// Where late records go, as they came.
    pub late_to: Option<String>,
    /// Windows still open when the input ends are put out; else they are counted again at the next start.
    pub close_at_end: bool,
}

/// Which records are the same.
#[derive(Debug)]
pub struct Dedupe {
    /// What is compared; without it the record's key, and where that is missing its value.
    pub by: Option<Expression>,
    pub seen: Seen,
}

impl Dedupe {
    /// The bytes by which `made` is compared.
    fn identity(
        &self,
        input: Input,
        made: &Made,
        record: &ConsumerRecord,
    ) -> Result<Bytes, JqError> {
        let Some(by) = &self.by else {
            let plain = made.key.clone().or_else(|| made.value.clone());
            return Ok(plain.unwrap_or_default());
        };
        let around = Around {
            key: made.key.as_deref(),
            record,
        };
        let value = by.first(input.read(made.value.as_deref())?, &around)?;
        Ok(value.as_ref().and_then(to_key).unwrap_or_default())
    }
}

impl Parts {
    /// What values are once they are made: JSON, unless they were asked to be raw text.
    fn output(&self) -> Input {
        if self.raw { Input::Text } else { self.input }
    }
}

/// How many records went which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    pub records_in: u64,
    pub records_out: u64,
    pub filtered: u64,
    pub duplicates: u64,
    pub late: u64,
}

/// How many counts of earlier windows are looked up at a start.
const RECENT_COUNTS: usize = 100_000;

/// The step.
#[derive(Debug)]
pub struct Pipeline<R> {
    parts: Parts,
    windows: Option<Windows>,
    recent: R,
    /// Partitions came: what others or an earlier run put out has to be looked up.
    stale: bool,
    late_told: u64,
    /// Set when the stage was told to stop before its input ended.
    pub interrupted: Arc<AtomicBool>,
    pub tally: Tally,
}

/// A record in the making.
#[derive(Debug)]
struct Made {
    key: Option<Bytes>,
    value: Option<Bytes>,
    time_ms: i64,
}

impl From<JqError> for StepErrorOf {
    fn from(error: JqError) -> Self {
        Self(StepError::Record(error.to_string()))
    }
}

/// Lets `?` turn this crate's errors into the loop's.
struct StepErrorOf(StepError);

impl From<StepErrorOf> for StepError {
    fn from(error: StepErrorOf) -> Self {
        error.0
    }
}

impl From<ExecError> for StepErrorOf {
    fn from(error: ExecError) -> Self {
        let text = error.to_string();
        Self(match error {
            ExecError::Start { .. } | ExecError::NoCommand { .. } => StepError::Fatal(text),
            _ => StepError::Record(text),
        })
    }
}

impl<R: Recent> Pipeline<R> {
    pub fn new(parts: Parts, recent: R) -> Self {
        Self {
            windows: parts.window.map(Windows::new),
            parts,
            recent,
            stale: true,
            late_told: 0,
            interrupted: Arc::default(),
            tally: Tally::default(),
        }
    }

    /// Everything that jq does. Values of jq live only here, as they cannot cross an await.
    fn transform(&self, record: &ConsumerRecord) -> Result<Vec<Made>, JqError> {
        let p = &self.parts;
        let around = Around {
            key: record.key.as_deref(),
            record,
        };
        let plain = || Made {
            key: record.key.clone(),
            value: record.value.clone(),
            time_ms: record.timestamp,
        };
        if p.filter.is_none() && p.map.is_none() && p.key.is_none() && p.time.is_none() {
            return Ok(vec![plain()]);
        }
        let input = p.input.read(record.value.as_deref())?;
        if let Some(filter) = &p.filter {
            let kept = filter.first(input.clone(), &around)?;
            if !kept.is_some_and(|value| is_true(&value)) {
                return Ok(Vec::new());
            }
        }
        let values = match &p.map {
            Some(map) => map.run(input, &around)?,
            None => vec![input],
        };
        let mut out = Vec::with_capacity(values.len());
        for value in values {
            let mut made = plain();
            if let Some(key) = &p.key {
                made.key = key.first(value.clone(), &around)?.as_ref().and_then(to_key);
            }
            if let Some(time) = &p.time {
                let time = time.first(value.clone(), &around)?;
                made.time_ms = time.as_ref().and_then(to_time_ms).ok_or(JqError::Run {
                    code: "--time".to_owned(),
                    what: "neither milliseconds since 1970 nor a date like 2026-01-31T12:00:00Z"
                        .to_owned(),
                })?;
            }
            if p.map.is_some() {
                // A tombstone that stays null is one still.
                let is_tombstone = record.value.is_none() && is_null(&value);
                made.value = (!is_tombstone).then(|| to_value(&value, p.raw));
            }
            out.push(made);
        }
        Ok(out)
    }

    async fn execute(&mut self, made: Vec<Made>) -> Result<Vec<Made>, ExecError> {
        let Some(exec) = &mut self.parts.exec else {
            return Ok(made);
        };
        let mut out = Vec::with_capacity(made.len());
        for mut m in made {
            if let Some(answer) = exec.answer(m.value.as_deref().unwrap_or_default()).await? {
                m.value = Some(answer);
                out.push(m);
            }
        }
        Ok(out)
    }

    /// Learns from the output what was put out before.
    async fn catch_up(&mut self) -> Result<(), StepError> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        let n = match (&self.windows, &self.parts.dedupe) {
            (Some(_), _) => RECENT_COUNTS,
            (None, Some(dedupe)) => dedupe.seen.keep(),
            (None, None) => return Ok(()),
        };
        let input = self.parts.output();
        let (windows, dedupe) = (&mut self.windows, &self.parts.dedupe);
        let mut before = Vec::new();
        let mut learn = |record: ConsumerRecord| {
            if let Some(windows) = windows {
                if let Some(start) = start_of(&record) {
                    windows.already(start, record.key);
                }
                return;
            }
            let made = Made {
                key: record.key.clone(),
                value: record.value.clone(),
                time_ms: record.timestamp,
            };
            // A record that this stage did not write need not have what is compared.
            if let Some(dedupe) = dedupe
                && let Ok(identity) = dedupe.identity(input, &made, &record)
            {
                before.push((made.time_ms, Bytes::copy_from_slice(&identity)));
            }
        };
        let learned = self.recent.recent(n, &mut learn).await;
        learned.map_err(StepError::Fatal)?;
        // Partition after partition, those read first would be forgotten for the last.
        before.sort_by_key(|(time_ms, _)| *time_ms);
        if let Some(dedupe) = &mut self.parts.dedupe {
            for (time_ms, identity) in &before {
                dedupe.seen.is_new(identity, *time_ms);
            }
        }
        Ok(())
    }

    /// Records that come again after a restart are in the count already; those that come late are not, and
    /// nothing tells the two apart.
    fn tell_repeated(&mut self) {
        let repeated = self
            .windows
            .as_mut()
            .map(|w| std::mem::take(&mut w.repeated));
        if let Some(n) = repeated.filter(|n| *n > 0) {
            tracing::warn!(
                "{n} records belong to counts that an earlier run has put out, which stay as they are; if they are no repetitions, they are in no count"
            );
        }
    }

    fn put_out(&mut self, counts: Vec<Count>, out: &mut Outputs) {
        self.tally.records_out += counts.len() as u64;
        for count in counts {
            out.push(count_record(&count));
        }
    }

    fn settle(
        &mut self,
        record: &ConsumerRecord,
        made: Vec<(Made, Option<Bytes>)>,
        out: &mut Outputs,
    ) -> Result<(), StepError> {
        for (made, identity) in made {
            if let (Some(dedupe), Some(identity)) = (&mut self.parts.dedupe, identity)
                && !dedupe.seen.is_new(&identity, made.time_ms)
            {
                self.tally.duplicates += 1;
                continue;
            }
            let Some(windows) = &mut self.windows else {
                self.tally.records_out += 1;
                out.push(Output {
                    timestamp: Some(made.time_ms),
                    key: made.key,
                    value: made.value,
                    ..Output::from(record)
                });
                continue;
            };
            let partition = record.topic_partition();
            match windows.add(&partition, record.offset, made.time_ms, made.key.as_ref()) {
                Added::Counted => {}
                Added::Late => {
                    self.tally.late += 1;
                    if let Some(topic) = &self.parts.late_to {
                        out.push(Output {
                            topic: Some(topic.as_str().into()),
                            ..Output::from(record)
                        });
                    }
                }
                Added::Full => {
                    return Err(StepError::Fatal(
                        "too many keys in the open windows; raise --max-keys or make the windows smaller"
                            .to_owned(),
                    ));
                }
            }
        }
        Ok(())
    }
}

impl<R: Recent> Step for Pipeline<R> {
    async fn apply(&mut self, record: &ConsumerRecord, out: &mut Outputs) -> Result<(), StepError> {
        self.catch_up().await?;
        self.tally.records_in += 1;
        let made = self.transform(record).map_err(StepErrorOf::from)?;
        let made = self.execute(made).await.map_err(StepErrorOf::from)?;
        if made.is_empty() {
            self.tally.filtered += 1;
        }
        // Whatever can fail comes before anything is remembered or put out.
        let mut settled = Vec::with_capacity(made.len());
        for m in made {
            let identity = match &self.parts.dedupe {
                Some(dedupe) => {
                    let identity = dedupe.identity(self.parts.output(), &m, record);
                    Some(identity.map_err(StepErrorOf::from)?)
                }
                None => None,
            };
            settled.push((m, identity));
        }
        self.settle(record, settled, out)?;
        if let Some(windows) = &mut self.windows {
            let counts = windows.close(now_ms());
            self.put_out(counts, out);
        }
        Ok(())
    }

    async fn tick(&mut self, now_ms: i64, out: &mut Outputs) -> Result<(), StepError> {
        if let Some(windows) = &mut self.windows {
            windows.tick(now_ms);
            let counts = windows.close(now_ms);
            self.put_out(counts, out);
        }
        if self.tally.late > self.late_told {
            let late = self.tally.late - self.late_told;
            tracing::warn!(
                "{late} records came after their window was closed; --grace waits longer"
            );
            self.late_told = self.tally.late;
        }
        self.tell_repeated();
        Ok(())
    }

    async fn finish(&mut self, out: &mut Outputs) -> Result<(), StepError> {
        if self.parts.close_at_end
            && !self.interrupted.load(Ordering::Acquire)
            && let Some(windows) = &mut self.windows
        {
            let counts = windows.close_all();
            self.put_out(counts, out);
        }
        self.tell_repeated();
        Ok(())
    }

    fn holds(&self, partition: &TopicPartition) -> Option<i64> {
        self.windows.as_ref()?.holds(partition)
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.stale = true;
        if let Some(windows) = &mut self.windows {
            let all = partitions.iter().cloned();
            all.for_each(|partition| windows.assigned(partition));
        }
    }

    fn unheard(&mut self, partitions: &[TopicPartition]) {
        if let Some(windows) = &mut self.windows {
            windows.unheard(partitions);
        }
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        if let Some(windows) = &mut self.windows {
            windows.revoked(partitions);
        }
    }
}

fn count_record(count: &Count) -> Output {
    let key = count.key.as_deref().map(String::from_utf8_lossy);
    let value = serde_json::json!({
        "key": key,
        "count": count.count,
        "window_start": rfc3339(count.start_ms),
        "window_end": rfc3339(count.end_ms),
        "window_start_ms": count.start_ms,
    });
    Output {
        key: count.key.clone(),
        value: Some(Bytes::from(value.to_string())),
        timestamp: Some(count.start_ms.max(0)),
        ..Output::default()
    }
}

/// The start of the window that an output record counts.
fn start_of(record: &ConsumerRecord) -> Option<i64> {
    let value: serde_json::Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
    value.get("window_start_ms")?.as_i64()
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i64::MAX)
}
