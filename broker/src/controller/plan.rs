//! Plans for topics: their names, partitions, replicas and configuration are judged as
//! Kafka judges them, in Kafka's words where clients show them to people.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Refusal;
use protocol::ErrorCode;

use crate::config::{BrokerConfig, check_overrides};

/// The longest topic name: a folder's name is the topic's, a hyphen and a number.
const NAME_MAX: usize = 249;
/// The most partitions of one topic; more is a mistyped number.
const PARTITIONS_MAX: i32 = 100_000;

/// What somebody wants a topic to be; -1 leaves a number to the broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicWish {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) replication: i16,
    /// Replicas by partition, if they are to be on particular brokers.
    pub(crate) assignment: BTreeMap<i32, Vec<i32>>,
    pub(crate) overrides: BTreeMap<String, String>,
}

/// What the topic will be: the replicas of each partition, the leader first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    pub(crate) replicas: Vec<Vec<i32>>,
}

/// Judges a topic's name by itself.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let message = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed".to_owned()
    } else if name.len() > NAME_MAX {
        format!("the length of '{name}' is longer than the max allowed length {NAME_MAX}")
    } else if !name.chars().all(legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        ErrorCode::InvalidTopicException,
        format!("Topic name is invalid: {message}"),
    ))
}

/// Plans a new topic among those that are there, over the brokers that are up. `turn`
/// spreads first leaders over brokers: a different number for each topic.
pub(crate) fn plan_topic<'a>(
    wish: &TopicWish,
    existing: impl Iterator<Item = &'a str>,
    brokers: &[i32],
    config: &BrokerConfig,
    turn: usize,
) -> Result<TopicPlan, Refusal> {
    check_name(&wish.name)?;
    // Metrics of old mix '.' and '_' up, so Kafka refuses names that differ in these alone.
    let folded = wish.name.replace('.', "_");
    for name in existing {
        if name == wish.name {
            return Err(Refusal::new(
                ErrorCode::TopicAlreadyExists,
                format!("Topic '{name}' already exists."),
            ));
        }
        if name.replace('.', "_") == folded {
            return Err(Refusal::new(
                ErrorCode::InvalidTopicException,
                format!("Topic '{}' collides with existing topic: {name}", wish.name),
            ));
        }
    }
    check_overrides(&wish.overrides)
        .map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))?;
    if !wish.assignment.is_empty() {
        if wish.partitions != -1 || wish.replication != -1 {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.",
            ));
        }
        return assigned(&wish.assignment, brokers);
    }
    let count = match wish.partitions {
        -1 => config.number("num.partitions") as i32,
        count if (1..=PARTITIONS_MAX).contains(&count) => count,
        count if count > PARTITIONS_MAX => {
            return Err(Refusal::new(
                ErrorCode::InvalidPartitions,
                format!(
                    "{count} partitions are more than the {PARTITIONS_MAX} that a topic may have."
                ),
            ));
        }
        _ => {
            return Err(Refusal::new(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
    };
    let replication = match wish.replication {
        -1 => config.number("default.replication.factor") as usize,
        factor if factor > 0 => factor as usize,
        _ => {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
    };
    Ok(TopicPlan {
        replicas: spread(0..count as usize, replication, brokers, turn)?,
    })
}

/// Plans the partitions that a topic of `have` partitions needs to have `want`.
pub(crate) fn plan_partitions(
    have: &[Vec<i32>],
    want: i32,
    assignment: Option<&[Vec<i32>]>,
    brokers: &[i32],
) -> Result<TopicPlan, Refusal> {
    let count = have.len() as i32;
    if want < count {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            format!(
                "The topic currently has {count} partition(s); {want} would not be an increase."
            ),
        ));
    }
    if want == count {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            format!("Topic already has {count} partition(s)."),
        ));
    }
    if want > PARTITIONS_MAX {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            format!("{want} partitions are more than the {PARTITIONS_MAX} that a topic may have."),
        ));
    }
    let added = (want - count) as usize;
    if let Some(assignment) = assignment {
        if assignment.len() != added {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                    assignment.len()
                ),
            ));
        }
        let by_index = (0..).zip(assignment.iter().cloned()).collect();
        return assigned(&by_index, brokers);
    }
    let replication = have.first().map_or(1, Vec::len);
    let turn = have.first().and_then(|replicas| replicas.first());
    let turn = turn.and_then(|first| brokers.iter().position(|id| id == first));
    Ok(TopicPlan {
        replicas: spread(
            count as usize..want as usize,
            replication,
            brokers,
            turn.unwrap_or(0),
        )?,
    })
}

/// Leaders take turns; each next round shifts the followers by one more, so that a
/// broker's load spreads over all others when it fails.
fn spread(
    partitions: std::ops::Range<usize>,
    replication: usize,
    brokers: &[i32],
    turn: usize,
) -> Result<Vec<Vec<i32>>, Refusal> {
    let alive = brokers.len();
    if replication > alive {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "Unable to replicate the partition {replication} time(s): The target replication factor of {replication} cannot be reached because only {alive} broker(s) are registered."
            ),
        ));
    }
    Ok(partitions
        .map(|index| {
            let leader = (index + turn) % alive;
            let shift = index / alive;
            let mut replicas = vec![brokers[leader]];
            for follower in 1..replication {
                let step = 1 + (shift + follower - 1) % (alive - 1);
                replicas.push(brokers[(leader + step) % alive]);
            }
            replicas
        })
        .collect())
}

fn assigned(assignment: &BTreeMap<i32, Vec<i32>>, brokers: &[i32]) -> Result<TopicPlan, Refusal> {
    let wrong = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut replicas: Vec<Vec<i32>> = Vec::with_capacity(assignment.len());
    for (expected, (&index, on)) in (0..).zip(assignment) {
        if index != expected {
            return wrong("partitions should be a consecutive 0-based integer sequence".into());
        }
        if on.is_empty() {
            return wrong("The manual partition assignment includes an empty replica list.".into());
        }
        if on.iter().collect::<BTreeSet<_>>().len() != on.len() {
            return wrong(format!(
                "The manual partition assignment includes a broker more than once in {on:?}."
            ));
        }
        if let Some(unknown) = on.iter().find(|id| !brokers.contains(id)) {
            return wrong(format!(
                "The manual partition assignment includes broker {unknown}, but no such broker is registered."
            ));
        }
        if let Some(before) = replicas.first().map(Vec::len)
            && before != on.len()
        {
            return wrong(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with previous partitions, which have {before} replica(s).",
                on.len()
            ));
        }
        replicas.push(on.clone());
    }
    Ok(TopicPlan { replicas })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(name: &str, partitions: i32, replication: i16) -> TopicWish {
        TopicWish {
            name: name.into(),
            partitions,
            replication,
            ..TopicWish::default()
        }
    }

    fn plan(wish: &TopicWish, existing: &[&str], brokers: &[i32]) -> Result<TopicPlan, ErrorCode> {
        plan_topic(
            wish,
            existing.iter().copied(),
            brokers,
            &BrokerConfig::default(),
            0,
        )
        .map_err(|error| error.code)
    }

    #[test]
    fn wishes_that_cannot_be_are_refused_as_kafka_refuses_them() {
        use ErrorCode as E;
        for (wish, existing, code) in [
            (wish("", 1, 1), "", E::InvalidTopicException),
            (wish("..", 1, 1), "", E::InvalidTopicException),
            (wish("a b", 1, 1), "", E::InvalidTopicException),
            (wish(&"x".repeat(250), 1, 1), "", E::InvalidTopicException),
            (wish("a.b", 1, 1), "a_b", E::InvalidTopicException),
            (wish("a", 1, 1), "a", E::TopicAlreadyExists),
            (wish("a", 0, 1), "", E::InvalidPartitions),
            (wish("a", i32::MAX, 1), "", E::InvalidPartitions),
            (wish("a", 1, 0), "", E::InvalidReplicationFactor),
            (wish("a", 1, 3), "", E::InvalidReplicationFactor),
        ] {
            assert_eq!(plan(&wish, &[existing], &[1, 2]), Err(code), "{wish:?}");
        }
        let expected = vec![vec![1]];
        assert_eq!(
            plan(&wish("a", -1, -1), &[], &[1]).unwrap().replicas,
            expected
        );
    }

    #[test]
    fn a_manual_assignment_is_followed_or_refused() {
        let mut wish = wish("a", -1, -1);
        wish.assignment = BTreeMap::from([(0, vec![2, 1]), (1, vec![1, 2])]);
        let planned = plan(&wish, &[], &[1, 2]).unwrap();
        assert_eq!(planned.replicas, vec![vec![2, 1], vec![1, 2]]);
        for broken in [
            BTreeMap::from([(1, vec![1])]),
            BTreeMap::from([(0, vec![])]),
            BTreeMap::from([(0, vec![1, 1])]),
            BTreeMap::from([(0, vec![9])]),
            BTreeMap::from([(0, vec![1]), (1, vec![1, 2])]),
        ] {
            wish.assignment = broken;
            let refused = plan(&wish, &[], &[1, 2]);
            assert_eq!(refused, Err(ErrorCode::InvalidReplicaAssignment));
        }
    }

    proptest! {
        #[test]
        fn replicas_are_distinct_and_leaders_even(
            alive in 1_usize..9, replication in 1_usize..9, count in 1_usize..60, turn in 0_usize..9,
        ) {
            let brokers: Vec<i32> = (1..=alive as i32).collect();
            let spread = spread(0..count, replication.min(alive), &brokers, turn).unwrap();
            let mut leads = BTreeMap::new();
            for replicas in &spread {
                let distinct: BTreeSet<_> = replicas.iter().collect();
                prop_assert_eq!(distinct.len(), replication.min(alive));
                *leads.entry(replicas[0]).or_insert(0_usize) += 1;
            }
            for id in &brokers {
                let leads = leads.get(id).copied().unwrap_or(0);
                prop_assert!(leads >= count / alive && leads <= count.div_ceil(alive));
            }
        }

        #[test]
        fn partitions_are_only_added(have in 1_usize..9, want in -3_i32..20) {
            let had = vec![vec![1]; have];
            match plan_partitions(&had, want, None, &[1, 2]) {
                Ok(plan) => prop_assert_eq!(plan.replicas.len() as i32, want - have as i32),
                Err(error) => {
                    prop_assert!(want <= have as i32);
                    prop_assert_eq!(error.code, ErrorCode::InvalidPartitions);
                }
            }
        }
    }
}
