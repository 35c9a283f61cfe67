//! The cluster as requests see it: an immutable picture, swapped whole when the tree
//! changes, so that a request reads one consistent state without a lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use protocol::{ErrorCode, Str};
use uuid::Uuid;

use crate::config::TopicConfig;
use crate::partition::Partition;

/// The topic that holds group offsets.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// A broker that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokerInfo {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

/// One partition: who leads, who follows, and the log if it is led here.
#[derive(Clone)]
pub(crate) struct PartitionInfo {
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    pub(crate) local: Option<Arc<Partition>>,
}

/// One topic.
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    /// The same, as answers hold it: a request's own would keep its whole frame in memory.
    pub(crate) wire_name: Str,
    pub(crate) id: Uuid,
    pub(crate) overrides: BTreeMap<String, String>,
    pub(crate) config: Arc<TopicConfig>,
    /// By index; a topic's partitions are numbered from 0 without gaps.
    pub(crate) partitions: Vec<PartitionInfo>,
}

impl Topic {
    /// Whether the topic is Milena's own rather than a user's.
    pub(crate) fn internal(&self) -> bool {
        &*self.name == OFFSETS_TOPIC
    }

    pub(crate) fn partition(&self, index: i32) -> Option<&PartitionInfo> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// The partition and its leader epoch, if it is led here, and in the epoch that the
    /// client believes in (-1 if it has no belief; KIP-320).
    pub(crate) fn led_here(
        &self,
        index: i32,
        client_epoch: i32,
    ) -> Result<(&Arc<Partition>, i32), ErrorCode> {
        let info = self
            .partition(index)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let local = info.local.as_ref().ok_or(ErrorCode::NotLeaderOrFollower)?;
        match client_epoch {
            epoch if epoch < 0 || epoch == info.leader_epoch => Ok((local, info.leader_epoch)),
            epoch if epoch < info.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            _ => Err(ErrorCode::UnknownLeaderEpoch),
        }
    }
}

/// The picture.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// The last change of the tree that is in it.
    pub(crate) zxid: u64,
    pub(crate) controller: i32,
    pub(crate) brokers: BTreeMap<i32, BrokerInfo>,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    names: HashMap<Uuid, Arc<str>>,
    /// Topics that are there but could not be read, so that none of them is served.
    illegible: HashSet<String>,
}

impl View {
    /// A picture of nothing, at that change of the tree.
    pub(crate) fn at(zxid: u64) -> Self {
        Self {
            zxid,
            ..Self::default()
        }
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// Whether there is a topic of that name, be it one that is not served.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.topics.contains_key(name) || self.illegible.contains(name)
    }

    pub(crate) fn note_illegible(&mut self, name: String) {
        self.illegible.insert(name);
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> Vec<&Arc<Topic>> {
        let mut topics: Vec<_> = self.topics.values().collect();
        topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// The names of all topics, in no order.
    pub(crate) fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(|name| &**name)
    }

    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Puts a topic in the place of the one of that name, which it gives back.
    pub(crate) fn put(&mut self, topic: Arc<Topic>) -> Option<Arc<Topic>> {
        let before = self.remove(&topic.name);
        self.names.insert(topic.id, Arc::clone(&topic.name));
        self.topics.insert(Arc::clone(&topic.name), topic);
        before
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Arc<Topic>> {
        let topic = self.topics.remove(name)?;
        self.names.remove(&topic.id);
        Some(topic)
    }

    /// The partitions led here.
    pub(crate) fn local_partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.topics
            .values()
            .flat_map(|topic| topic.partitions.iter().filter_map(|p| p.local.as_ref()))
    }
}
