//! Who of a group reads which partitions: Kafka's range and roundrobin, as pure functions. The
//! group's leader computes, the broker only hands the result around.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::TopicPartition;

/// How a group's partitions are spread over its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Topic by topic, each member a run of partitions: the same index of two topics goes to
    /// the same member, as joins need.
    Range,
    /// All partitions dealt out in turn: the most even.
    RoundRobin,
}

impl Assignor {
    /// The name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The assignor of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Range, Self::RoundRobin]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// The partitions of each member, in the order of `members`. `partitions` holds the count
    /// of each topic; a topic that is not there yet has none.
    pub(crate) fn assign(
        self,
        members: &[Member],
        partitions: &BTreeMap<Arc<str>, usize>,
    ) -> Vec<Vec<TopicPartition>> {
        let mut assigned = vec![Vec::new(); members.len()];
        let mut order: Vec<usize> = (0..members.len()).collect();
        // Static members keep their place over restarts, when the broker gives them new ids.
        order.sort_by_key(|&m| (members[m].instance_id.is_none(), members[m].sort_key()));
        match self {
            Self::Range => range(members, &order, partitions, &mut assigned),
            Self::RoundRobin => round_robin(members, &order, partitions, &mut assigned),
        }
        assigned
    }
}

/// A member as the group's leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) topics: BTreeSet<Arc<str>>,
}

impl Member {
    fn sort_key(&self) -> &str {
        self.instance_id.as_deref().unwrap_or(&self.member_id)
    }
}

fn range(
    members: &[Member],
    order: &[usize],
    partitions: &BTreeMap<Arc<str>, usize>,
    assigned: &mut [Vec<TopicPartition>],
) {
    for (topic, &count) in partitions {
        let readers: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&m| members[m].topics.contains(topic))
            .collect();
        if readers.is_empty() {
            continue;
        }
        let (each, extra) = (count / readers.len(), count % readers.len());
        let mut next = 0;
        for (place, &member) in readers.iter().enumerate() {
            let take = each + usize::from(place < extra);
            assigned[member]
                .extend((next..next + take).map(|p| TopicPartition::new(topic.clone(), p as i32)));
            next += take;
        }
    }
}

fn round_robin(
    members: &[Member],
    order: &[usize],
    partitions: &BTreeMap<Arc<str>, usize>,
    assigned: &mut [Vec<TopicPartition>],
) {
    let mut place = 0;
    for (topic, &count) in partitions {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..count {
            while !members[order[place % order.len()]].topics.contains(topic) {
                place += 1;
            }
            assigned[order[place % order.len()]]
                .push(TopicPartition::new(topic.clone(), partition as i32));
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(id: &str, topics: &[&str]) -> Member {
        Member {
            member_id: id.to_owned(),
            instance_id: None,
            topics: topics.iter().map(|&t| Arc::from(t)).collect(),
        }
    }

    fn check(
        assignor: Assignor,
        members: &[(&str, &[&str])],
        partitions: &[(&str, usize)],
        expected: &[&str],
    ) {
        let members: Vec<Member> = members.iter().map(|(id, t)| member(id, t)).collect();
        let partitions = partitions.iter().map(|&(t, n)| (Arc::from(t), n)).collect();
        let assigned: Vec<String> = assignor
            .assign(&members, &partitions)
            .iter()
            .map(|list| {
                let names: Vec<String> = list.iter().map(ToString::to_string).collect();
                names.join(" ")
            })
            .collect();
        assert_eq!(assigned, expected);
    }

    #[test]
    fn range_gives_runs_topic_by_topic() {
        check(
            Assignor::Range,
            &[("b", &["t", "u"]), ("a", &["t", "u"])],
            &[("t", 3), ("u", 3)],
            &["t-2 u-2", "t-0 t-1 u-0 u-1"],
        );
        check(
            Assignor::Range,
            &[("a", &["t"]), ("b", &["u"])],
            &[("t", 2), ("u", 1)],
            &["t-0 t-1", "u-0"],
        );
    }

    #[test]
    fn roundrobin_deals_in_turn() {
        check(
            Assignor::RoundRobin,
            &[("a", &["t", "u"]), ("b", &["t", "u"])],
            &[("t", 3), ("u", 3)],
            &["t-0 t-2 u-1", "t-1 u-0 u-2"],
        );
        check(
            Assignor::RoundRobin,
            &[("a", &["t"]), ("b", &["t", "u"])],
            &[("t", 2), ("u", 2)],
            &["t-0", "t-1 u-0 u-1"],
        );
    }

    #[test]
    fn static_members_come_first_by_their_instance() {
        let mut members = [member("z", &["t"]), member("a", &["t"])];
        members[0].instance_id = Some("one".to_owned());
        let partitions = [(Arc::from("t"), 1)].into();
        let assigned = Assignor::Range.assign(&members, &partitions);
        assert_eq!(assigned[0].len(), 1);
    }

    proptest! {
        #[test]
        fn every_partition_with_a_reader_is_read_once_by_one_who_subscribed(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0usize..4, 0..4), 1..6),
            counts in prop::collection::vec(0usize..7, 4),
            round_robin: bool,
        ) {
            let names: Vec<Arc<str>> = (0..4).map(|i| Arc::from(format!("t{i}"))).collect();
            let members: Vec<Member> = subscriptions
                .iter()
                .enumerate()
                .map(|(i, topics)| Member {
                    member_id: format!("m{i}"),
                    instance_id: (i % 2 == 0).then(|| format!("i{i}")),
                    topics: topics.iter().map(|&t| names[t].clone()).collect(),
                })
                .collect();
            let partitions: BTreeMap<_, _> = names.iter().cloned().zip(counts).collect();
            let assignor = if round_robin { Assignor::RoundRobin } else { Assignor::Range };
            let assigned = assignor.assign(&members, &partitions);
            let mut seen = BTreeSet::new();
            for (member, list) in members.iter().zip(&assigned) {
                for partition in list {
                    prop_assert!(member.topics.contains(&partition.topic));
                    prop_assert!(seen.insert(partition.clone()), "{partition} twice");
                }
            }
            let expected: usize = partitions
                .iter()
                .filter(|(topic, _)| members.iter().any(|m| m.topics.contains(*topic)))
                .map(|(_, count)| count)
                .sum();
            prop_assert_eq!(seen.len(), expected);
        }
    }
}
