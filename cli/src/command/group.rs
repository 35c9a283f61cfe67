//! `milena group`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::{Args, Subcommand};
use client::{Admin, FoundOffset, GroupDescription, OffsetSpec, TopicPartition};
use serde_json::{Value, json};

use super::common::{Common, now_ms};
use super::failure::Partly;
use super::output::{Output, json_lines, line, table};
use super::position::Position;
use super::reset::{Bounds, To, target};

/// List, describe, reset and delete consumer groups
#[derive(Debug, Args)]
pub struct GroupCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List groups
    List,
    /// Show members, offsets and lag of groups
    Describe {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    Reset(ResetOffsets),
    /// Delete groups and their offsets
    Delete {
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
}

/// Put a group elsewhere; without --execute only shows where
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("where").required(true)))]
struct ResetOffsets {
    group: String,
    /// start, end, OFFSET, -N (N before the end), @2026-01-31T12:00:00Z, -1h
    #[arg(
        long,
        value_name = "POSITION",
        group = "where",
        allow_hyphen_values = true
    )]
    to: Option<Position>,
    /// So many records on, or back with a minus
    #[arg(long, value_name = "N", group = "where", allow_hyphen_values = true)]
    shift: Option<i64>,
    /// Only these topics or partitions, as article or article:0,2; may be repeated [default: all that the
    /// group has offsets of]
    #[arg(short, long, value_name = "TOPIC[:N,N]", value_parser = scope)]
    topic: Vec<(String, Vec<i32>)>,
    /// Do it
    #[arg(long)]
    execute: bool,
}

fn scope(text: &str) -> Result<(String, Vec<i32>), String> {
    let Some((topic, partitions)) = text.split_once(':') else {
        return Ok((text.to_owned(), Vec::new()));
    };
    let partitions: Result<Vec<i32>, _> = partitions.split(',').map(str::parse).collect();
    match partitions {
        Ok(partitions) => Ok((topic.to_owned(), partitions)),
        Err(_) => Err("partitions are numbers with commas, as in article:0,2".to_owned()),
    }
}

impl GroupCommand {
    pub async fn run(self) -> anyhow::Result<()> {
        let admin = Admin::with(self.common.client()?);
        let output = self.common.output;
        match self.action {
            Action::List => list(&admin, output).await,
            Action::Describe { groups } => describe(&admin, output, &groups).await,
            Action::Reset(reset) => reset.run(&admin, output).await,
            Action::Delete { groups } => delete(&admin, output, &groups).await,
        }
    }
}

async fn list(admin: &Admin, output: Output) -> anyhow::Result<()> {
    let groups = admin.list_groups().await?;
    match output {
        Output::Json => json_lines(groups.iter().map(
            |g| json!({"group": g.group, "state": g.state, "protocol_type": g.protocol_type}),
        ))?,
        Output::Text => {
            let rows = groups
                .into_iter()
                .map(|g| vec![g.group, g.state, g.protocol_type]);
            table(&["group", "state", "protocol type"], rows.collect())?;
        }
    }
    Ok(())
}

/// How far a group is in a partition.
struct Progress {
    partition: TopicPartition,
    committed: Option<i64>,
    end: Option<i64>,
    /// The member that reads it.
    member: Option<String>,
}

impl Progress {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed?).max(0))
    }
}

async fn describe(admin: &Admin, output: Output, groups: &[String]) -> anyhow::Result<()> {
    let mut failed = 0;
    for group in groups {
        let described = admin.describe_group(group).await?;
        let committed = admin.group_offsets(group).await?;
        if described.state == "Dead" && committed.is_empty() {
            failed += 1;
            eprintln!(
                "milena: group {group} does not exist; `milena group list` shows what there is"
            );
            continue;
        }
        let members = described.members.iter().flat_map(|member| {
            member
                .partitions
                .iter()
                .map(|p| (p.clone(), member.client_id.clone()))
        });
        let members: BTreeMap<TopicPartition, String> = members.collect();
        let partitions: BTreeSet<TopicPartition> =
            committed.keys().chain(members.keys()).cloned().collect();
        let ends = ends(admin, &partitions).await;
        let progress: Vec<Progress> = partitions
            .into_iter()
            .map(|partition| Progress {
                committed: committed.get(&partition).map(|c| c.offset),
                end: ends.get(&partition).copied(),
                member: members.get(&partition).cloned(),
                partition,
            })
            .collect();
        match output {
            Output::Json => json_lines([describe_json(&described, &progress)])?,
            Output::Text => describe_text(&described, &progress)?,
        }
    }
    if failed > 0 {
        bail!(Partly::of(failed, groups.len(), "groups not described"));
    }
    Ok(())
}

/// The end of each partition, as far as it can be had: a topic may be gone while the group's offset stays.
async fn ends(
    admin: &Admin,
    partitions: &BTreeSet<TopicPartition>,
) -> BTreeMap<TopicPartition, i64> {
    let topics: BTreeSet<&str> = partitions.iter().map(|p| &*p.topic).collect();
    let names: Vec<&str> = topics.into_iter().collect();
    let Ok(known) = admin.describe_topics(&names).await else {
        return BTreeMap::new();
    };
    let there = |p: &&TopicPartition| {
        let topic = known.get(&p.topic).and_then(|topic| topic.as_ref().ok());
        topic.is_some_and(|topic| {
            topic
                .partition(p.partition)
                .is_some_and(|p| p.leader.is_some())
        })
    };
    let wanted = partitions
        .iter()
        .filter(there)
        .map(|p| (p.clone(), OffsetSpec::Latest))
        .collect();
    match admin.list_offsets(&wanted).await {
        Ok(found) => found
            .into_iter()
            .filter_map(|(p, f)| Some((p, f?.offset)))
            .collect(),
        Err(error) => {
            eprintln!("milena: the ends of the partitions are not known: {error}");
            BTreeMap::new()
        }
    }
}

fn describe_json(group: &GroupDescription, progress: &[Progress]) -> Value {
    let member = |m: &client::GroupMember| {
        let partitions: Vec<Value> = m
            .partitions
            .iter()
            .map(|p| json!({"topic": &*p.topic, "partition": p.partition}))
            .collect();
        json!({"member_id": m.member_id, "instance_id": m.instance_id, "client_id": m.client_id, "host": m.host, "partitions": partitions})
    };
    let offset = |p: &Progress| json!({"topic": &*p.partition.topic, "partition": p.partition.partition, "offset": p.committed, "end": p.end, "lag": p.lag(), "client_id": p.member});
    json!({
        "group": group.group,
        "state": group.state,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": progress.iter().map(offset).collect::<Vec<_>>(),
        "lag": all_lag(progress),
    })
}

/// None where a partition has no committed offset: what the group has to read of it is not known.
fn all_lag(progress: &[Progress]) -> Option<i64> {
    progress.iter().map(Progress::lag).sum()
}

fn describe_text(group: &GroupDescription, progress: &[Progress]) -> anyhow::Result<()> {
    let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    line(format_args!(
        "group {}: {}, members {}, lag {}",
        group.group,
        group.state,
        group.members.len(),
        number(all_lag(progress))
    ))?;
    let rows = progress.iter().map(|p| {
        vec![
            p.partition.topic.to_string(),
            p.partition.partition.to_string(),
            number(p.committed),
            number(p.end),
            number(p.lag()),
            p.member.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    table(
        &["topic", "partition", "offset", "end", "lag", "client"],
        rows.collect(),
    )?;
    Ok(())
}

async fn delete(admin: &Admin, output: Output, groups: &[String]) -> anyhow::Result<()> {
    let mut failed = 0;
    for group in groups {
        match admin.delete_group(group).await {
            Ok(()) if output == Output::Json => {
                json_lines([json!({"group": group, "result": "deleted"})])?;
            }
            Ok(()) => line(format_args!("deleted {group}"))?,
            Err(error) => {
                failed += 1;
                eprintln!("milena: {}", super::failure::sentence(&error.into()));
            }
        }
    }
    if failed > 0 {
        bail!(Partly::of(failed, groups.len(), "groups not deleted"));
    }
    Ok(())
}

impl ResetOffsets {
    async fn run(self, admin: &Admin, output: Output) -> anyhow::Result<()> {
        let committed = admin.group_offsets(&self.group).await?;
        let partitions = self.partitions(admin, committed.keys()).await?;
        if partitions.is_empty() {
            bail!(
                "group {} has no offsets; name topics with --topic",
                self.group
            );
        }
        let to = match (self.to, self.shift) {
            (Some(position), _) => To::Position(position.at(now_ms())),
            (None, Some(shift)) => To::Shift(shift),
            (None, None) => bail!("nothing says where to"),
        };
        let look = |spec| partitions.iter().map(|p| (p.clone(), spec)).collect();
        let begin = admin.list_offsets(&look(OffsetSpec::Earliest)).await?;
        let end = admin.list_offsets(&look(OffsetSpec::Latest)).await?;
        let times = match to {
            To::Position(Position::Time(ms)) => {
                admin.list_offsets(&look(OffsetSpec::At(ms))).await?
            }
            _ => BTreeMap::new(),
        };
        let offset = |found: &BTreeMap<TopicPartition, Option<FoundOffset>>, p: &TopicPartition| {
            found.get(p).copied().flatten().map(|f| f.offset)
        };
        let mut new = BTreeMap::new();
        let mut rows = Vec::new();
        for p in &partitions {
            let current = committed.get(p).map(|c| c.offset);
            let bounds = Bounds {
                begin: offset(&begin, p).unwrap_or(0),
                end: offset(&end, p).unwrap_or(0),
                current,
                at_time: offset(&times, p),
            };
            let offset = target(to, &bounds);
            new.insert(p.clone(), offset);
            rows.push((p.clone(), current, offset, bounds.end));
        }
        if self.execute {
            let described = admin.describe_group(&self.group).await?;
            if !described.members.is_empty() {
                bail!(
                    "group {} has {} members, which would go on from where they are; stop them first",
                    self.group,
                    described.members.len()
                );
            }
            admin.alter_group_offsets(&self.group, &new).await?;
        }
        show(output, &rows, self.execute)?;
        if !self.execute {
            eprintln!("nothing was changed; --execute does it");
        }
        Ok(())
    }

    /// The partitions that were asked for, or all that the group has offsets of.
    async fn partitions(
        &self,
        admin: &Admin,
        committed: impl Iterator<Item = &TopicPartition>,
    ) -> anyhow::Result<BTreeSet<TopicPartition>> {
        if self.topic.is_empty() {
            return Ok(committed.cloned().collect());
        }
        let mut all = BTreeSet::new();
        for (name, wanted) in &self.topic {
            let topic = admin.client().topic(name).await?;
            if let Some(missing) = wanted.iter().find(|p| topic.partition(**p).is_none()) {
                bail!(
                    "topic {name} has {} partitions, none with index {missing}",
                    topic.partitions.len()
                );
            }
            let indexes = topic.partitions.iter().map(|p| p.index);
            let chosen = indexes.filter(|p| wanted.is_empty() || wanted.contains(p));
            all.extend(chosen.map(|p| TopicPartition::new(name.as_str(), p)));
        }
        Ok(all)
    }
}

fn show(
    output: Output,
    rows: &[(TopicPartition, Option<i64>, i64, i64)],
    executed: bool,
) -> anyhow::Result<()> {
    match output {
        Output::Json => json_lines(rows.iter().map(|(p, old, new, end)| {
            json!({"topic": &*p.topic, "partition": p.partition, "offset": old, "new_offset": new, "end": end, "executed": executed})
        }))?,
        Output::Text => {
            let rows = rows.iter().map(|(p, old, new, end)| {
                vec![
                    p.topic.to_string(),
                    p.partition.to_string(),
                    old.map_or_else(|| "-".to_owned(), |o| o.to_string()),
                    new.to_string(),
                    end.to_string(),
                ]
            });
            table(&["topic", "partition", "offset", "new offset", "end"], rows.collect())?;
        }
    }
    Ok(())
}
