//! The znodes that hold a cluster's metadata: their paths and their JSON, as Kafka laid
//! them out while it used ZooKeeper, so that operators and tools read them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) const BROKER_IDS: &str = "/brokers/ids";
pub(crate) const TOPICS: &str = "/brokers/topics";
pub(crate) const TOPIC_CONFIGS: &str = "/config/topics";
pub(crate) const CONTROLLER: &str = "/controller";
pub(crate) const CONTROLLER_EPOCH: &str = "/controller_epoch";
pub(crate) const CLUSTER_ID: &str = "/cluster/id";
pub(crate) const PRODUCER_IDS: &str = "/latest_producer_id_block";
pub(crate) const DELETED_TOPICS: &str = "/admin/delete_topics";

/// The znodes that have to be there before anything else is written.
pub(crate) const SCAFFOLD: &[&str] = &[
    "/brokers",
    BROKER_IDS,
    TOPICS,
    "/config",
    TOPIC_CONFIGS,
    "/config/brokers",
    "/cluster",
    "/admin",
    DELETED_TOPICS,
    PRODUCER_IDS,
];

pub(crate) fn broker(id: i32) -> String {
    format!("{BROKER_IDS}/{id}")
}

pub(crate) fn topic(name: &str) -> String {
    format!("{TOPICS}/{name}")
}

pub(crate) fn partitions(name: &str) -> String {
    format!("{TOPICS}/{name}/partitions")
}

pub(crate) fn partition(name: &str, index: i32) -> String {
    format!("{TOPICS}/{name}/partitions/{index}")
}

pub(crate) fn partition_state(name: &str, index: i32) -> String {
    format!("{TOPICS}/{name}/partitions/{index}/state")
}

pub(crate) fn topic_config(name: &str) -> String {
    format!("{TOPIC_CONFIGS}/{name}")
}

pub(crate) fn deleted_topic(name: &str) -> String {
    format!("{DELETED_TOPICS}/{name}")
}

/// The topic that a change at this path is about, if any.
pub(crate) fn topic_of(path: &str) -> Option<&str> {
    [TOPICS, TOPIC_CONFIGS].iter().find_map(|parent| {
        let rest = path.strip_prefix(parent)?.strip_prefix('/')?;
        rest.split('/').next().filter(|name| !name.is_empty())
    })
}

/// `/brokers/ids/N`, ephemeral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BrokerNode {
    pub(crate) version: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) endpoints: Vec<String>,
    pub(crate) listener_security_protocol_map: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rack: Option<String>,
    pub(crate) jmx_port: i32,
    /// Milliseconds since 1970, as text.
    pub(crate) timestamp: String,
}

/// `/controller`, ephemeral.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ControllerNode {
    pub(crate) version: i32,
    pub(crate) brokerid: i32,
    pub(crate) timestamp: String,
}

/// `/cluster/id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterNode {
    pub(crate) version: String,
    pub(crate) id: String,
}

/// `/brokers/topics/T`: which brokers hold which partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicNode {
    pub(crate) version: i32,
    #[serde(with = "base64_id")]
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: BTreeMap<i32, Vec<i32>>,
    #[serde(default)]
    pub(crate) adding_replicas: BTreeMap<i32, Vec<i32>>,
    #[serde(default)]
    pub(crate) removing_replicas: BTreeMap<i32, Vec<i32>>,
}

/// `/brokers/topics/T/partitions/P/state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionNode {
    pub(crate) version: i32,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) isr: Vec<i32>,
    pub(crate) controller_epoch: i32,
}

/// `/config/topics/T`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConfigNode {
    pub(crate) version: i32,
    pub(crate) config: BTreeMap<String, String>,
}

/// `/latest_producer_id_block`: the block that was handed out last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProducerIdsNode {
    pub(crate) version: i32,
    pub(crate) broker: i32,
    pub(crate) block_start: String,
    pub(crate) block_end: String,
}

/// `/admin/delete_topics/T`: a topic whose folders may still have to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletedTopicNode {
    #[serde(with = "base64_id")]
    pub(crate) topic_id: Uuid,
}

/// A znode's JSON. These types have no value that JSON cannot hold.
pub(crate) fn json(node: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(node).expect("plain structs of strings and numbers are always JSON")
}

/// Topic ids are base64url without padding, as in Kafka's files and tools.
pub(crate) mod base64_id {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub(crate) fn encode(id: &Uuid) -> String {
        URL_SAFE_NO_PAD.encode(id.as_bytes())
    }

    pub(crate) fn decode(text: &str) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Uuid::from_slice(&bytes).ok()
    }

    pub(crate) fn serialize<S: Serializer>(id: &Uuid, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&encode(id))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(from)?;
        decode(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not an id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_reads_as_kafka_wrote_it() {
        let text = r#"{"removing_replicas":{},"partitions":{"0":[1],"1":[1,2]},"topic_id":"-PqRrmrQRTG1wMlxHVUlpQ","adding_replicas":{},"version":3}"#;
        let node: TopicNode = serde_json::from_str(text).unwrap();
        assert_eq!(node.partitions[&1], vec![1, 2]);
        let again: TopicNode = serde_json::from_slice(&json(&node)).unwrap();
        assert_eq!(again, node);
    }

    #[test]
    fn changes_are_told_by_topic() {
        for (path, topic) in [
            ("/brokers/topics/a/partitions/0/state", Some("a")),
            ("/config/topics/b", Some("b")),
            ("/brokers/topics", None),
            ("/brokers/ids/1", None),
        ] {
            assert_eq!(topic_of(path), topic, "{path}");
        }
    }
}
