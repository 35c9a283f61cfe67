//! The broker's own configuration: Kafka's names for what is Kafka's. Every key can be
//! described over the protocol; none can be altered while the broker runs.

use std::collections::BTreeMap;

use super::definition::{Check, ConfigError, Definition, Kind, flag};
use super::topic::{self, TOPIC_KEYS};

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    check: Check,
    doc: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        check,
        doc,
        broker_key: None,
    }
}

/// The keys that are the broker's alone. A topic's defaults have keys, too
/// (`log.retention.ms` for `retention.ms`); they come from the topic table.
#[rustfmt::skip]
pub const BROKER_KEYS: &[Definition] = &[
    key("advertised.listeners", Kind::String, "", Check::Any, "Where clients are told to connect."),
    key("auto.create.topics.enable", Kind::Boolean, "true", Check::Any, "Whether a topic that is asked for and missing is created."),
    key("broker.id", Kind::Int, "1", Check::AtLeast(0), "This broker's number in the cluster."),
    key("connections.max.idle.ms", Kind::Long, "600000", Check::AtLeast(1), "How long a connection may be silent before it is closed, in ms."),
    key("default.replication.factor", Kind::Int, "1", Check::AtLeast(1), "The replicas of a topic created without a number."),
    key("delete.topic.enable", Kind::Boolean, "true", Check::Any, "Whether topics may be deleted."),
    key("fetch.max.bytes", Kind::Int, "57671680", Check::AtLeast(1024), "The most that one Fetch is answered with, in bytes."),
    key("group.initial.rebalance.delay.ms", Kind::Int, "3000", Check::AtLeast(0), "How long an empty group waits for more members before its first rebalance, in ms."),
    key("group.max.session.timeout.ms", Kind::Int, "1800000", Check::AtLeast(1), "The longest session time-out a group member may ask for, in ms."),
    key("group.max.size", Kind::Int, "10000", Check::Between(1, 10_000), "The most members of one group; Kafka sets no limit."),
    key("group.min.session.timeout.ms", Kind::Int, "6000", Check::AtLeast(1), "The shortest session time-out a group member may ask for, in ms."),
    key("listeners", Kind::String, "", Check::Any, "Where the broker listens."),
    key("log.dirs", Kind::String, "", Check::Any, "The folder that holds the logs."),
    key("log.retention.check.interval.ms", Kind::Long, "300000", Check::AtLeast(1), "How often retention looks for segments to delete, in ms."),
    key("max.connections", Kind::Int, "2147483647", Check::AtLeast(0), "The most connections at a time."),
    key("max.connections.per.ip", Kind::Int, "2147483647", Check::AtLeast(0), "The most connections from one address at a time."),
    key("max.incremental.fetch.session.cache.slots", Kind::Int, "1000", Check::AtLeast(0), "The most incremental fetch sessions kept."),
    key("max.request.partition.size.limit", Kind::Int, "2000", Check::AtLeast(1), "The most partitions in one answer of DescribeTopicPartitions."),
    key("num.partitions", Kind::Int, "1", Check::AtLeast(1), "The partitions of a topic created without a number."),
    key("offset.metadata.max.bytes", Kind::Int, "4096", Check::AtLeast(0), "The longest text kept with a committed offset."),
    key("offsets.retention.check.interval.ms", Kind::Long, "600000", Check::AtLeast(1), "How often expired offsets are looked for, in ms."),
    key("offsets.retention.minutes", Kind::Int, "10080", Check::AtLeast(1), "How long an empty group's offsets are kept."),
    key("offsets.topic.num.partitions", Kind::Int, "50", Check::AtLeast(1), "The partitions of __consumer_offsets."),
    key("offsets.topic.replication.factor", Kind::Int, "1", Check::AtLeast(1), "The replicas of __consumer_offsets."),
    key("offsets.topic.segment.bytes", Kind::Int, "104857600", Check::AtLeast(1_048_576), "The segment size of __consumer_offsets."),
    key("producer.id.expiration.ms", Kind::Int, "86400000", Check::AtLeast(1), "How long an idle producer's sequence numbers are remembered, in ms."),
    key("queued.max.request.bytes", Kind::Long, "268435456", Check::AtLeast(1_048_576), "The memory that unfinished requests of all connections may take together."),
    key("socket.request.max.bytes", Kind::Int, "104857600", Check::AtLeast(1), "The largest request accepted, in bytes."),
];

/// The broker's configuration: what was set, over the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerConfig {
    set: BTreeMap<String, String>,
}

/// The default of a broker-level key for a topic's key, by its broker name.
fn topic_key_of(broker_key: &str) -> Option<&'static Definition> {
    TOPIC_KEYS
        .iter()
        .find(|key| key.broker_key == Some(broker_key))
}

impl BrokerConfig {
    /// Sets a key, whose value is checked. `log.retention.hours`, `log.retention.minutes`
    /// and `log.roll.hours` are taken as Kafka takes them.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let (name, value) = in_milliseconds(name, value)?;
        let definition = BROKER_KEYS
            .iter()
            .find(|key| key.name == name)
            .or_else(|| topic_key_of(&name))
            .ok_or_else(|| ConfigError::UnknownKey {
                scope: "broker",
                name: name.clone(),
            })?;
        definition.check(&value)?;
        self.set.insert(name, value);
        Ok(())
    }

    /// Whether the key was set rather than left at its default.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// The value in force of a broker key.
    pub fn text(&self, name: &str) -> &str {
        if let Some(value) = self.set.get(name) {
            return value;
        }
        BROKER_KEYS
            .iter()
            .find(|key| key.name == name)
            .or_else(|| topic_key_of(name))
            .map_or("", |key| key.default)
    }

    /// The value in force of a numeric broker key; checked when it was set.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).trim().parse().unwrap_or(0)
    }

    /// The value in force of a boolean broker key.
    pub fn flag(&self, name: &str) -> bool {
        flag(self.text(name)).unwrap_or(false)
    }

    /// The default that this broker gives a topic's key.
    pub fn topic_default(&self, topic_key: &str) -> String {
        topic::definition(topic_key).map_or_else(String::new, |key| {
            key.broker_key
                .and_then(|name| self.set.get(name))
                .map_or_else(|| key.default.to_owned(), Clone::clone)
        })
    }

    /// Every broker key with its value in force, by name.
    pub fn all(&self) -> BTreeMap<&'static str, (&'static Definition, String)> {
        let mut all = BTreeMap::new();
        for key in BROKER_KEYS {
            all.insert(key.name, (key, self.text(key.name).to_owned()));
        }
        for key in TOPIC_KEYS {
            if let Some(name) = key.broker_key {
                all.insert(name, (key, self.topic_default(key.name)));
            }
        }
        all
    }
}

/// Kafka's keys in hours and minutes, with those in milliseconds that they stand for.
const IN_OTHER_UNITS: &[(&str, &str, i64)] = &[
    ("log.retention.hours", "log.retention.ms", 3_600_000),
    ("log.retention.minutes", "log.retention.ms", 60_000),
    ("log.roll.hours", "log.roll.ms", 3_600_000),
    ("log.roll.jitter.hours", "log.roll.jitter.ms", 3_600_000),
];

/// The key that a key stands for, which is itself unless it is one in hours or minutes.
pub fn key_meant(name: &str) -> &str {
    let other = IN_OTHER_UNITS.iter().find(|(other, ..)| *other == name);
    other.map_or(name, |(_, meant, _)| meant)
}

fn in_milliseconds(name: &str, value: &str) -> Result<(String, String), ConfigError> {
    let other = IN_OTHER_UNITS.iter().find(|(other, ..)| *other == name);
    let Some(&(_, target, factor)) = other else {
        return Ok((name.to_owned(), value.to_owned()));
    };
    let number: i64 = value.trim().parse().map_err(|_| ConfigError::BadValue {
        name: name.to_owned(),
        value: value.to_owned(),
        reason: "Not a number".into(),
    })?;
    let scaled = if number < 0 {
        number
    } else {
        number.saturating_mul(factor)
    };
    Ok((target.to_owned(), scaled.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_milliseconds_to_the_topic() {
        let mut config = BrokerConfig::default();
        config.set("log.retention.hours", "2").unwrap();
        assert_eq!(config.topic_default("retention.ms"), "7200000");
    }

    #[test]
    fn a_switch_is_read_in_any_case() {
        let mut config = BrokerConfig::default();
        config.set("delete.topic.enable", "False").unwrap();
        assert!(!config.flag("delete.topic.enable"));
        config.set("delete.topic.enable", " TRUE").unwrap();
        assert!(config.flag("delete.topic.enable"));
        config.set("delete.topic.enable", "yes").unwrap_err();
    }

    #[test]
    fn limits_that_are_shown_are_the_ones_in_force() {
        let groups = crate::group::GroupConfig::default();
        let config = BrokerConfig::default();
        assert_eq!(
            config.number("group.max.size"),
            groups.group_members_max as i64
        );
        let mut config = config;
        config.set("group.max.size", "10001").unwrap_err();
        config
            .set("offsets.topic.segment.bytes", "1000")
            .unwrap_err();
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = BrokerConfig::default().set("colour", "red").unwrap_err();
        assert_eq!(error.to_string(), "Unknown broker config name: colour");
    }
}
