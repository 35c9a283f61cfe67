//! What the cluster looks like: brokers, topics, who leads which partition. Pure: a snapshot,
//! and how an answer of a broker changes it. Who asks, and when, is [`crate::Client`]'s business.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::api::MetadataResponse;
use protocol::api::metadata::MetadataResponseTopic;
use uuid::Uuid;

/// The cluster as it was when a broker last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id.
    pub id: Option<String>,
    /// The broker that administrative requests go to.
    pub controller: Option<i32>,
    /// The brokers by id.
    pub brokers: BTreeMap<i32, Broker>,
    /// The topics that were asked about, by name.
    pub topics: BTreeMap<Arc<str>, Arc<Topic>>,
}

/// A broker and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// The host it advertises.
    pub host: String,
    /// The port it advertises.
    pub port: u16,
    /// The rack it stands in, if it says so.
    pub rack: Option<String>,
}

impl Broker {
    /// Host and port, as a connection takes them.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A topic and its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Its id; nil where brokers do not know topic ids.
    pub id: Uuid,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions, in order of their index.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// The partition with that index.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        let at = self.partitions.binary_search_by_key(&index, |p| p.index);
        at.ok().map(|at| &self.partitions[at])
    }
}

/// A partition and its replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// From 0.
    pub index: i32,
    /// The broker that leads it, if one does.
    pub leader: Option<i32>,
    /// Counts the leaders it has had; -1 where brokers do not tell.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
    /// Those of them that are not there.
    pub offline: Vec<i32>,
}

impl Cluster {
    /// The leader of a partition, as far as known.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.topics.get(topic)?.partition(partition)?.leader
    }

    /// The cluster after this answer, and what is wrong with single topics. Topics that the
    /// answer does not mention stay as they are.
    pub(crate) fn merge(&self, response: &MetadataResponse) -> (Self, Vec<(Arc<str>, ErrorCode)>) {
        let mut next = Self {
            id: response.cluster_id.as_deref().map(str::to_owned),
            controller: (response.controller_id >= 0).then_some(response.controller_id),
            brokers: BTreeMap::new(),
            topics: self.topics.clone(),
        };
        for broker in &response.brokers {
            next.brokers.insert(
                broker.node_id,
                Broker {
                    id: broker.node_id,
                    host: broker.host.to_string(),
                    port: u16::try_from(broker.port).unwrap_or(0),
                    rack: broker.rack.as_deref().map(str::to_owned),
                },
            );
        }
        let mut wrong = Vec::new();
        for topic in &response.topics {
            let Some(name) = topic.name.as_deref() else {
                continue;
            };
            let name: Arc<str> = match self.topics.get_key_value(name) {
                Some((known, _)) => known.clone(),
                None => name.into(),
            };
            match ErrorCode::from(topic.error_code) {
                ErrorCode::None => {
                    let known = self.topics.get(&name).map(Arc::as_ref);
                    next.topics.insert(name, Arc::new(read(topic, known)));
                }
                error => {
                    // A topic without a leader is there; one that is unknown is not.
                    if error != ErrorCode::LeaderNotAvailable {
                        next.topics.remove(&name);
                    }
                    wrong.push((name, error));
                }
            }
        }
        (next, wrong)
    }
}

pub(crate) fn read(topic: &MetadataResponseTopic, known: Option<&Topic>) -> Topic {
    // Another id is another topic of the same name: its epochs start anew.
    let known = known.filter(|known| known.id == topic.topic_id);
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| {
            let read = Partition {
                index: partition.partition_index,
                leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                isr: partition.isr_nodes.clone(),
                offline: partition.offline_replicas.clone(),
            };
            // A broker that is behind must not take us back to an old leader.
            match known.and_then(|topic| topic.partition(read.index)) {
                Some(known) if known.leader_epoch > read.leader_epoch && read.leader_epoch >= 0 => {
                    known.clone()
                }
                _ => read,
            }
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Topic {
        id: topic.topic_id,
        internal: topic.is_internal,
        partitions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::api::metadata::{MetadataResponseBroker, MetadataResponsePartition};

    fn response(
        topic: &str,
        id: u128,
        error: ErrorCode,
        leaders: &[(i32, i32)],
    ) -> MetadataResponse {
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 1,
                host: "h".into(),
                port: 9,
                rack: None,
            }],
            topics: vec![MetadataResponseTopic {
                error_code: error.code(),
                name: Some(topic.to_owned().into()),
                topic_id: Uuid::from_u128(id),
                partitions: leaders
                    .iter()
                    .enumerate()
                    .map(
                        |(i, &(leader_id, leader_epoch))| MetadataResponsePartition {
                            partition_index: i as i32,
                            leader_id,
                            leader_epoch,
                            ..MetadataResponsePartition::default()
                        },
                    )
                    .rev()
                    .collect(),
                ..MetadataResponseTopic::default()
            }],
            ..MetadataResponse::default()
        }
    }

    #[test]
    fn answers_add_up_and_partitions_are_in_order() {
        let (cluster, _) =
            Cluster::default().merge(&response("a", 1, ErrorCode::None, &[(1, 0), (2, 0)]));
        let (cluster, wrong) = cluster.merge(&response("b", 2, ErrorCode::None, &[(-1, 0)]));
        assert_eq!(wrong, []);
        assert_eq!(cluster.leader("a", 0), Some(1));
        assert_eq!(cluster.leader("a", 1), Some(2));
        assert_eq!(cluster.leader("b", 0), None);
        assert_eq!(cluster.brokers[&1].address(), "h:9");
    }

    #[test]
    fn an_older_epoch_does_not_bring_an_old_leader_back_but_a_new_topic_does() {
        let (cluster, _) = Cluster::default().merge(&response("a", 1, ErrorCode::None, &[(1, 5)]));
        let (cluster, _) = cluster.merge(&response("a", 1, ErrorCode::None, &[(2, 4)]));
        assert_eq!(cluster.leader("a", 0), Some(1));
        let (cluster, _) = cluster.merge(&response("a", 7, ErrorCode::None, &[(2, 0)]));
        assert_eq!(cluster.leader("a", 0), Some(2));
    }

    #[test]
    fn an_unknown_topic_goes_and_one_without_leader_stays() {
        let (cluster, _) = Cluster::default().merge(&response("a", 1, ErrorCode::None, &[(1, 5)]));
        let (kept, wrong) = cluster.merge(&response("a", 1, ErrorCode::LeaderNotAvailable, &[]));
        assert!(kept.topics.contains_key("a"));
        assert_eq!(wrong.len(), 1);
        let (gone, _) = cluster.merge(&response("a", 1, ErrorCode::UnknownTopicOrPartition, &[]));
        assert!(!gone.topics.contains_key("a"));
    }
}
