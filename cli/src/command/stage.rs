//! `milena stage`: runs one stage, or a chain of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use client::stage::{BadRecords, StageConfig, StageReport, run};
use client::{Admin, Consumer, ConsumerConfig, ConsumerRecord, NewTopic, Reset};
use protocol::ErrorCode;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::common::{Common, interrupted};
use super::failure::Usage;
use super::output::{Output, json_lines, line};
use crate::stage::pipeline::{Pipeline, Recent, Tally};
use crate::stage::plan::{Chain, OnError, Plan};

/// The flags of one stage, which a chain's file has instead.
const PLAN: [&str; 22] = [
    "from",
    "to",
    "group",
    "filter",
    "map",
    "key",
    "exec",
    "exec_timeout",
    "dedupe",
    "dedupe_keep",
    "dedupe_for",
    "window",
    "count",
    "grace",
    "idle",
    "time",
    "late_to",
    "max_keys",
    "input",
    "raw",
    "data",
    "on_error",
];

/// Process a topic into another: filter, map, key, a program, dedupe, counts over windows, in this order
///
/// At least once: an input counts as done when all that it led to is written. Dedupe and windows learn from
/// the output what was written before, so a restart repeats neither.
///
/// In jq expressions `.` is the value; $key, $topic, $partition, $offset, $timestamp and $headers are the
/// rest of the record.
///
/// A restart with a window counts duplicates of before it once more; and of several members of one group each
/// dedupes and counts for itself, so that the input has to be partitioned by what is compared or counted.
#[derive(Debug, Args)]
pub struct StageCommand {
    /// Run all stages of this TOML file together; each [[stage]] has the names of these flags
    #[arg(long, value_name = "FILE", conflicts_with_all = PLAN)]
    chain: Option<PathBuf>,
    /// Stop at what is the end now; the stages of a chain one after the other
    #[arg(short = 'e', long)]
    until_end: bool,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    common: Common,
}

/// What a stage did.
struct Done {
    plan: Plan,
    tally: Tally,
    report: StageReport,
}

impl StageCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        let plans = match &self.chain {
            Some(path) => Chain::read(path)?.stage,
            None => vec![self.plan.clone()],
        };
        // All mistakes are told before anything runs.
        for plan in &plans {
            plan.parts(self.until_end)
                .with_context(|| Usage(name(plan)))?;
        }
        self.prepare(&plans).await?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            interrupted().await;
            let _ = stop.send(true);
            // Kept until all stages have heard of it.
            stop.closed().await;
        });
        if self.until_end {
            for plan in plans {
                let done = one(plan, self.common.clone(), true, stopped.clone()).await?;
                self.tell(&done)?;
                if *stopped.borrow() {
                    bail!("stopped before the end");
                }
            }
            return Ok(());
        }
        let mut running = JoinSet::new();
        for plan in plans {
            running.spawn(one(plan, self.common.clone(), false, stopped.clone()));
        }
        // The first that fails ends all: what runs on alone would look like a whole chain.
        while let Some(done) = running.join_next().await {
            self.tell(&done.context("a stage broke down")??)?;
        }
        Ok(())
    }

    /// Makes sure that the topics are there: those that are written are made, those that are read must be.
    async fn prepare(&self, plans: &[Plan]) -> anyhow::Result<()> {
        let admin = Admin::with(self.common.client()?);
        let written = plans
            .iter()
            .flat_map(|p| [Some(&p.to), p.late_to.as_ref()])
            .flatten();
        for topic in written {
            match admin.create_topic(NewTopic::new(topic)).await {
                Err(error) if error.code() != Some(ErrorCode::TopicAlreadyExists) => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        let read: Vec<&str> = plans.iter().map(|p| p.from.as_str()).collect();
        for (topic, described) in admin.describe_topics(&read).await? {
            match described {
                Ok(_) => {}
                Err(error) if self.until_end => return Err(error.into()),
                Err(_) => tracing::warn!("topic {topic} does not exist yet; waiting for it"),
            }
        }
        Ok(())
    }

    fn tell(&self, done: &Done) -> anyhow::Result<()> {
        let (plan, tally, report) = (&done.plan, &done.tally, &done.report);
        match self.common.output {
            Output::Json => json_lines([json!({
                "from": plan.from, "to": plan.to, "read": tally.records_in, "written": tally.records_out,
                "filtered": tally.filtered, "duplicates": tally.duplicates, "late": tally.late,
                "skipped": report.skipped,
            })])?,
            Output::Text => {
                let mut text = format!(
                    "{}: {} read, {} written",
                    name(plan),
                    tally.records_in,
                    tally.records_out
                );
                let rest = [
                    (tally.filtered, "filtered out"),
                    (tally.duplicates, "duplicates"),
                    (tally.late, "late"),
                    (report.skipped, "skipped as they could not be processed"),
                ];
                for (n, what) in rest.into_iter().filter(|(n, _)| *n > 0) {
                    text.extend([", ", &n.to_string(), " ", what]);
                }
                line(text)?;
            }
        }
        Ok(())
    }
}

fn name(plan: &Plan) -> String {
    format!("{} -> {}", plan.from, plan.to)
}

async fn one(
    plan: Plan,
    common: Common,
    until_end: bool,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Done> {
    let parts = plan.parts(until_end)?;
    let recent = Written {
        common: common.clone(),
        topic: plan.to.as_str().into(),
    };
    let mut pipeline = Pipeline::new(parts, recent);
    let mut config = StageConfig::new(&common.brokers, plan.group(), &plan.from).to(&plan.to);
    config.until_end = until_end;
    config.bad_records = match plan.on_error {
        OnError::Stop => BadRecords::Stop,
        OnError::Skip => BadRecords::Skip,
    };
    let heard = Arc::clone(&pipeline.interrupted);
    let shutdown = async move {
        // An error means that nobody is left who could tell.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        heard.store(true, Ordering::Release);
    };
    let result = run(config, &mut pipeline, shutdown).await;
    let report = result.with_context(|| name(&plan))?;
    Ok(Done {
        tally: pipeline.tally,
        plan,
        report,
    })
}

/// What is in the stage's output already.
struct Written {
    common: Common,
    topic: Arc<str>,
}

impl Recent for Written {
    async fn recent(
        &mut self,
        n: usize,
        each: &mut (dyn FnMut(ConsumerRecord) + Send),
    ) -> Result<(), String> {
        let failed = |error: client::ConsumeError| format!("reading back {}: {error}", self.topic);
        let mut consumer = Consumer::new(ConsumerConfig {
            reset: Reset::Earliest,
            client: self.common.config(),
            ..ConsumerConfig::default()
        })
        .map_err(failed)?;
        let partitions = consumer.partitions_of(&self.topic).await.map_err(failed)?;
        let begin = consumer
            .beginning_offsets(&partitions)
            .await
            .map_err(failed)?;
        let end = consumer.end_offsets(&partitions).await.map_err(failed)?;
        consumer
            .assign(partitions.iter().cloned())
            .await
            .map_err(failed)?;
        for p in &partitions {
            let from = end[p].saturating_sub_unsigned(n as u64).max(begin[p]);
            consumer.seek(p, from).map_err(failed)?;
        }
        while !end
            .iter()
            .all(|(p, end)| consumer.position(p).is_some_and(|at| at >= *end))
        {
            for record in consumer
                .poll(Duration::from_millis(500))
                .await
                .map_err(failed)?
            {
                each(record);
            }
        }
        Ok(())
    }
}
