//! `milena topic`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use client::{
    Admin, ClientError, ConfigChange, ConfigEntry, ConfigResource, NewTopic, OffsetSpec, Topic,
    TopicPartition,
};
use protocol::ErrorCode;
use serde_json::{Value, json};

use super::common::{Common, setting};
use super::failure::Partly;
use super::output::{Output, json_lines, line, table};

/// Create, list, describe, alter and delete topics
#[derive(Debug, Args)]
pub struct TopicCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    List(List),
    Describe(Describe),
    Alter(Alter),
    Delete(Delete),
}

/// Create topics
#[derive(Debug, Args)]
struct Create {
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// How many partitions [default: the broker's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas each [default: the broker's default.replication.factor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,
    /// A setting of the topics; may be repeated
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// A topic that is there already is no failure
    #[arg(long)]
    if_not_exists: bool,
}

/// List topics
#[derive(Debug, Args)]
struct List {
    /// Kafka's own topics, too
    #[arg(short, long)]
    all: bool,
}

/// Show partitions, offsets and settings of topics
#[derive(Debug, Args)]
struct Describe {
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// All settings, not only those that were set
    #[arg(short, long)]
    all: bool,
}

/// Change settings or the number of partitions
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
struct Alter {
    topic: String,
    /// More partitions: N in all. Keys then go to other partitions than before
    #[arg(short, long, value_name = "N", group = "change", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Set this; may be repeated
    #[arg(short, long = "config", value_name = "NAME=VALUE", group = "change", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// Back to the default; may be repeated
    #[arg(short, long = "unset", value_name = "NAME", group = "change")]
    unset: Vec<String>,
}

/// Delete topics and all that is in them
#[derive(Debug, Args)]
struct Delete {
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that is not there is no failure
    #[arg(long)]
    if_exists: bool,
}

/// What became of each of several topics: told at once, and a failure if any failed.
struct Outcome {
    output: Output,
    failed: usize,
    all: usize,
}

impl Outcome {
    fn new(output: Output) -> Self {
        Self {
            output,
            failed: 0,
            all: 0,
        }
    }

    fn tell(
        &mut self,
        topic: &str,
        done: &str,
        result: Result<Value, ClientError>,
    ) -> anyhow::Result<()> {
        self.all += 1;
        match result {
            Ok(details) if self.output == Output::Json => {
                let mut value = json!({"topic": topic, "result": done});
                if let (Some(value), Value::Object(details)) = (value.as_object_mut(), details) {
                    value.extend(details);
                }
                json_lines([value])?;
            }
            Ok(_) => line(format_args!("{done} {topic}"))?,
            Err(error) => {
                self.failed += 1;
                eprintln!("milena: {}", super::failure::sentence(&error.into()));
            }
        }
        Ok(())
    }

    fn end(self, what: &str) -> anyhow::Result<()> {
        if self.failed > 0 {
            bail!(Partly::of(
                self.failed,
                self.all,
                &format!("topics not {what}")
            ));
        }
        Ok(())
    }
}

impl TopicCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        let admin = Admin::with(self.common.client()?);
        let output = self.common.output;
        match self.action {
            Action::Create(action) => action.run(&admin, output).await,
            Action::List(action) => action.run(&admin, output).await,
            Action::Describe(action) => action.run(&admin, output).await,
            Action::Alter(action) => action.run(&admin, output).await,
            Action::Delete(action) => action.run(&admin, output).await,
        }
    }
}

impl Create {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let topics: Vec<NewTopic> = self
            .topics
            .iter()
            .map(|name| NewTopic {
                partitions: self.partitions,
                replication: self.replication,
                configs: self.configs.iter().cloned().collect(),
                ..NewTopic::new(name)
            })
            .collect();
        let mut outcome = Outcome::new(output);
        let results = admin.create_topics(&topics).await?;
        // The answers are told in the order of the command line.
        let mut by_name: BTreeMap<String, Result<Value, ClientError>> = BTreeMap::new();
        let mut nameless = Vec::new();
        for result in results {
            match result {
                Ok(created) => {
                    let details = json!({"partitions": created.partitions, "replication": created.replication, "id": id(created.id)});
                    by_name.insert(created.name, Ok(details));
                }
                Err(error) => nameless.push(error),
            }
        }
        for topic in self.topics {
            let result = by_name.remove(&topic).or_else(|| {
                let subject = format!("topic {topic}");
                let of = |e: &ClientError| matches!(e, ClientError::Refused { subject: s, .. } if *s == subject);
                let at = nameless.iter().position(of)?;
                Some(Err(nameless.swap_remove(at)))
            });
            let Some(result) = result else { continue };
            match result {
                Err(error)
                    if self.if_not_exists
                        && error.code() == Some(ErrorCode::TopicAlreadyExists) =>
                {
                    outcome.tell(&topic, "exists", Ok(Value::Null))?;
                }
                result => outcome.tell(&topic, "created", result)?,
            }
        }
        for error in nameless {
            outcome.tell("", "", Err(error))?;
        }
        outcome.end("created")
    }
}

impl List {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let topics = admin.list_topics().await?;
        let shown = topics
            .iter()
            .filter(|(_, topic)| self.all || !topic.internal);
        match output {
            Output::Json => json_lines(shown.map(|(name, topic)| {
                json!({"topic": &**name, "partitions": topic.partitions.len(), "replication": replication(topic), "internal": topic.internal})
            }))?,
            Output::Text => {
                let row = |(name, topic): (&std::sync::Arc<str>, &std::sync::Arc<Topic>)| {
                    vec![name.to_string(), topic.partitions.len().to_string(), replication(topic).to_string()]
                };
                table(&["topic", "partitions", "replication"], shown.map(row).collect())?;
            }
        }
        Ok(())
    }
}

fn replication(topic: &Topic) -> usize {
    topic.partitions.first().map_or(0, |p| p.replicas.len())
}

impl Describe {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let mut failed = 0;
        for (name, topic) in admin.describe_topics(&names).await? {
            let topic = match topic {
                Ok(topic) => topic,
                Err(error) => {
                    failed += 1;
                    eprintln!("milena: {}", super::failure::sentence(&error.into()));
                    continue;
                }
            };
            let mut configs = admin
                .describe_configs(&ConfigResource::Topic(name.to_string()))
                .await?;
            configs.retain(|config| self.all || config.source == TOPIC_SOURCE);
            configs.sort_by(|a, b| a.name.cmp(&b.name));
            let offsets = offsets(admin, &name, &topic).await?;
            match output {
                Output::Json => json_lines([describe_json(&name, &topic, &configs, &offsets)])?,
                Output::Text => describe_text(&name, &topic, &configs, &offsets)?,
            }
        }
        if failed > 0 {
            bail!(Partly::of(failed, names.len(), "topics not described"));
        }
        Ok(())
    }
}

/// Set for the topic itself, and not inherited.
const TOPIC_SOURCE: i8 = 1;

/// First and next offset of each partition that has a leader.
async fn offsets(
    admin: &Admin,
    name: &str,
    topic: &Topic,
) -> anyhow::Result<BTreeMap<i32, (i64, i64)>> {
    let led: BTreeSet<i32> = topic
        .partitions
        .iter()
        .filter(|p| p.leader.is_some())
        .map(|p| p.index)
        .collect();
    let wanted = |spec| {
        led.iter()
            .map(|p| (TopicPartition::new(name, *p), spec))
            .collect()
    };
    let first = admin.list_offsets(&wanted(OffsetSpec::Earliest)).await?;
    let next = admin.list_offsets(&wanted(OffsetSpec::Latest)).await?;
    let offset = |found: Option<&Option<client::FoundOffset>>| {
        found.copied().flatten().map_or(-1, |f| f.offset)
    };
    Ok(first
        .keys()
        .map(|p| (p.partition, (offset(first.get(p)), offset(next.get(p)))))
        .collect())
}

fn describe_json(
    name: &str,
    topic: &Topic,
    configs: &[ConfigEntry],
    offsets: &BTreeMap<i32, (i64, i64)>,
) -> Value {
    let partitions = topic.partitions.iter().map(|p| {
        let (first, next) = offsets.get(&p.index).copied().unzip();
        json!({"partition": p.index, "leader": p.leader, "replicas": p.replicas, "isr": p.isr, "first_offset": first, "next_offset": next})
    });
    let config = |c: &ConfigEntry| (c.name.clone(), json!(c.value));
    json!({
        "topic": name,
        "id": id(topic.id),
        "internal": topic.internal,
        "partitions": partitions.collect::<Vec<_>>(),
        "configs": configs.iter().map(config).collect::<serde_json::Map<_, _>>(),
    })
}

fn describe_text(
    name: &str,
    topic: &Topic,
    configs: &[ConfigEntry],
    offsets: &BTreeMap<i32, (i64, i64)>,
) -> anyhow::Result<()> {
    line(format_args!("topic {name}, id {}", id(topic.id)))?;
    for config in configs {
        line(format_args!(
            "  {}={}",
            config.name,
            config.value.as_deref().unwrap_or("")
        ))?;
    }
    let rows = topic.partitions.iter().map(|p| {
        let (first, next) = offsets.get(&p.index).copied().unzip();
        let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        vec![
            p.index.to_string(),
            p.leader
                .map_or_else(|| "none".to_owned(), |l| l.to_string()),
            list(&p.replicas),
            list(&p.isr),
            number(first),
            number(next),
        ]
    });
    table(
        &[
            "partition",
            "leader",
            "replicas",
            "isr",
            "first offset",
            "next offset",
        ],
        rows.collect(),
    )?;
    Ok(())
}

/// A topic id as Kafka's tools print it.
fn id(id: uuid::Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn list(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

impl Alter {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let set = self
            .configs
            .into_iter()
            .map(|(name, value)| ConfigChange::Set(name, value));
        let unset = self.unset.into_iter().map(ConfigChange::Delete);
        let changes: Vec<ConfigChange> = set.chain(unset).collect();
        if !changes.is_empty() {
            let resource = ConfigResource::Topic(self.topic.clone());
            admin.alter_configs(&resource, &changes).await?;
        }
        if let Some(count) = self.partitions {
            admin.create_partitions(&self.topic, count).await?;
        }
        let mut outcome = Outcome::new(output);
        outcome.tell(&self.topic, "altered", Ok(Value::Null))?;
        outcome.end("altered")
    }
}

impl Delete {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let mut outcome = Outcome::new(output);
        for (name, result) in admin.delete_topics(&names).await? {
            match result {
                Err(error)
                    if self.if_exists
                        && error.code() == Some(ErrorCode::UnknownTopicOrPartition) =>
                {
                    outcome.tell(&name, "missing", Ok(Value::Null))?;
                }
                result => outcome.tell(&name, "deleted", result.map(|()| Value::Null))?,
            }
        }
        outcome.end("deleted")
    }
}
