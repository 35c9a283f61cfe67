//! Topic configuration: Kafka's names, defaults and bounds, and the typed values
//! that the log and the partition act on.

use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::definition::{Check, ConfigError, Definition, Kind};
use crate::log::LogConfig;

const MAX_I64: &str = "9223372036854775807";

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    check: Check,
    broker_key: &'static str,
    doc: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        check,
        doc,
        broker_key: Some(broker_key),
    }
}

/// Every key that a topic can be given, by name. Keys of features that Milena does not
/// have (tiered storage, replication throttles, levels of compression) are absent, so setting
/// one is an error rather than a promise. Compaction and elections are not there yet either,
/// but clients and tools read and set their keys on ordinary topics: those are taken and
/// shown, and described as without effect.
#[rustfmt::skip]
pub const TOPIC_KEYS: &[Definition] = &[
    key("cleanup.policy", Kind::List, "delete", Check::EachOf(&["delete", "compact"]), "log.cleanup.policy",
        "What happens to old segments: delete removes them by retention; compact alone keeps everything, as there is no compaction yet."),
    key("compression.type", Kind::String, "producer", Check::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "compression.type",
        "How batches are stored; producer keeps what the producer chose."),
    key("delete.retention.ms", Kind::Long, "86400000", Check::AtLeast(0), "log.cleaner.delete.retention.ms",
        "How long a tombstone of a compacted topic is kept, in ms. Without effect yet: there is no compaction."),
    key("file.delete.delay.ms", Kind::Long, "60000", Check::AtLeast(0), "log.segment.delete.delay.ms",
        "How long a deleted segment's file stays on disk, in ms."),
    key("flush.messages", Kind::Long, "1", Check::AtLeast(1), "log.flush.interval.messages",
        "1: every append is synced to disk before it is acknowledged and read. Anything else: records are acknowledged from memory, as Kafka does, and synced when this many have been appended."),
    key("flush.ms", Kind::Long, MAX_I64, Check::AtLeast(0), "log.flush.interval.ms",
        "The longest time a record stays unsynced, in ms."),
    key("index.interval.bytes", Kind::Int, "4096", Check::AtLeast(0), "log.index.interval.bytes",
        "About how many bytes of log lie between two entries of the offset index."),
    key("max.compaction.lag.ms", Kind::Long, MAX_I64, Check::AtLeast(1), "log.cleaner.max.compaction.lag.ms",
        "The longest time a record of a compacted topic stays uncompacted, in ms. Without effect yet: there is no compaction."),
    key("max.message.bytes", Kind::Int, "1048588", Check::AtLeast(0), "message.max.bytes",
        "The largest record batch accepted, in bytes, as sent."),
    key("message.timestamp.after.max.ms", Kind::Long, "3600000", Check::AtLeast(0), "log.message.timestamp.after.max.ms",
        "How far a record's timestamp may lie ahead of the broker's clock, in ms."),
    key("message.timestamp.before.max.ms", Kind::Long, MAX_I64, Check::AtLeast(0), "log.message.timestamp.before.max.ms",
        "How far a record's timestamp may lie behind the broker's clock, in ms."),
    key("message.timestamp.type", Kind::String, "CreateTime", Check::OneOf(&["CreateTime", "LogAppendTime"]), "log.message.timestamp.type",
        "Whether a record carries its producer's time or the time of its append."),
    key("min.cleanable.dirty.ratio", Kind::Double, "0.5", Check::Fraction, "log.cleaner.min.cleanable.ratio",
        "The share of a compacted log that must be uncompacted before it is compacted. Without effect yet: there is no compaction."),
    key("min.compaction.lag.ms", Kind::Long, "0", Check::AtLeast(0), "log.cleaner.min.compaction.lag.ms",
        "The shortest time a record stays uncompacted, in ms. Without effect yet: there is no compaction."),
    key("min.insync.replicas", Kind::Int, "1", Check::AtLeast(1), "min.insync.replicas",
        "How many replicas must have a record before acks=all is answered."),
    key("preallocate", Kind::Boolean, "false", Check::Any, "log.preallocate",
        "Kafka's switch; Milena always preallocates, in steps."),
    key("retention.bytes", Kind::Long, "-1", Check::AtLeast(-1), "log.retention.bytes",
        "The size past which a partition's oldest segments are deleted; -1 for no limit."),
    key("retention.ms", Kind::Long, "604800000", Check::AtLeast(-1), "log.retention.ms",
        "The age past which segments are deleted, in ms; -1 for no limit."),
    key("segment.bytes", Kind::Int, "1073741824", Check::AtLeast(1_048_576), "log.segment.bytes",
        "The size at which a segment is sealed and the next one begun."),
    key("segment.index.bytes", Kind::Int, "10485760", Check::AtLeast(4), "log.index.size.max.bytes",
        "The largest size of a segment's index."),
    key("segment.jitter.ms", Kind::Long, "0", Check::AtLeast(0), "log.roll.jitter.ms",
        "The most that is taken off segment.ms at random, so that segments do not all roll at once."),
    key("segment.ms", Kind::Long, "604800000", Check::AtLeast(1), "log.roll.ms",
        "The age at which a segment is sealed though it is not full, in ms."),
    key("unclean.leader.election.enable", Kind::Boolean, "false", Check::Any, "unclean.leader.election.enable",
        "Whether a replica that is not in sync may lead, which loses records. Without effect yet: there are no elections."),
];

/// The key of that name.
pub fn definition(name: &str) -> Option<&'static Definition> {
    TOPIC_KEYS.iter().find(|key| key.name == name)
}

/// How batches are stored: as sent, or compressed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredCompression {
    AsSent,
    Always(protocol::records::Compression),
}

/// A topic's configuration in force: its own values over the broker's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    pub delete: bool,
    pub compact: bool,
    pub compression: StoredCompression,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub index_interval_bytes: u32,
    pub max_message_bytes: usize,
    pub timestamp_after_max_ms: i64,
    pub timestamp_before_max_ms: i64,
    pub log_append_time: bool,
    pub min_insync_replicas: i32,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub segment_bytes: u32,
    pub segment_index_bytes: u32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    /// The broker's `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

impl TopicConfig {
    /// The values in force for a topic with these overrides. Overrides were checked by
    /// [`check_overrides`] when they entered; a value that does not parse gives way to
    /// its default.
    pub fn new(broker: &BrokerConfig, overrides: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| in_force(broker, overrides, name);
        let number = |name: &str| -> i64 { text(name).trim().parse().unwrap_or(0) };
        let policy = text("cleanup.policy");
        Self {
            delete: policy.split(',').any(|p| p.trim() == "delete"),
            compact: policy.split(',').any(|p| p.trim() == "compact"),
            compression: match text("compression.type").as_str() {
                "producer" => StoredCompression::AsSent,
                "uncompressed" => StoredCompression::Always(protocol::records::Compression::None),
                other => other
                    .parse()
                    .map_or(StoredCompression::AsSent, StoredCompression::Always),
            },
            file_delete_delay_ms: number("file.delete.delay.ms"),
            flush_messages: number("flush.messages"),
            flush_ms: number("flush.ms"),
            index_interval_bytes: number("index.interval.bytes") as u32,
            max_message_bytes: number("max.message.bytes") as usize,
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            min_insync_replicas: number("min.insync.replicas") as i32,
            retention_bytes: number("retention.bytes"),
            retention_ms: number("retention.ms"),
            segment_bytes: number("segment.bytes") as u32,
            segment_index_bytes: number("segment.index.bytes") as u32,
            segment_jitter_ms: number("segment.jitter.ms"),
            segment_ms: number("segment.ms"),
            producer_id_expiration_ms: broker.number("producer.id.expiration.ms"),
        }
    }

    /// What of it concerns the log of the partition with this number. Partitions take
    /// different parts of segment.jitter.ms off segment.ms.
    pub fn log_config(&self, partition: i32) -> LogConfig {
        let jitter = match self.segment_jitter_ms {
            0 => 0,
            most => i64::from(partition).wrapping_mul(7919) % most,
        };
        LogConfig {
            segment_bytes: self.segment_bytes,
            segment_ms: (self.segment_ms - jitter).max(1),
            segment_index_bytes: self.segment_index_bytes,
            index_interval_bytes: self.index_interval_bytes,
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            compacts: self.compact && !self.delete,
            sync_each_append: self.syncs_each_append(),
            producer_id_expiration_ms: self.producer_id_expiration_ms,
        }
    }

    /// Whether an append waits for its own sync before it is acknowledged or read.
    pub fn syncs_each_append(&self) -> bool {
        self.flush_messages == 1
    }
}

/// A topic key's value in force: the topic's own, else the broker's, else the default.
pub fn in_force(broker: &BrokerConfig, overrides: &BTreeMap<String, String>, name: &str) -> String {
    if let Some(value) = overrides.get(name) {
        return value.clone();
    }
    broker.topic_default(name)
}

/// Judges a topic's overrides, each by itself and together.
pub fn check_overrides(overrides: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, value) in overrides {
        definition(name)
            .ok_or_else(|| ConfigError::UnknownKey {
                scope: "topic",
                name: name.clone(),
            })?
            .check(value)?;
    }
    let number = |name: &str| {
        overrides
            .get(name)
            .and_then(|v| v.trim().parse::<i64>().ok())
    };
    if let (Some(min), Some(max)) = (
        number("min.compaction.lag.ms"),
        number("max.compaction.lag.ms"),
    ) && min > max
    {
        return Err(ConfigError::Combination(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for key in TOPIC_KEYS {
            key.check(key.default).unwrap();
        }
    }

    #[test]
    fn an_override_wins_over_the_brokers_value_and_that_over_the_default() {
        let mut broker = BrokerConfig::default();
        broker.set("log.retention.ms", "5").unwrap();
        let topic = TopicConfig::new(&broker, &overrides(&[("segment.bytes", "2097152")]));
        assert_eq!(topic.retention_ms, 5);
        assert_eq!(topic.segment_bytes, 2_097_152);
        assert_eq!(topic.max_message_bytes, 1_048_588);
        assert!(topic.syncs_each_append());
    }

    #[test]
    fn wrong_overrides_are_refused_with_a_sentence() {
        for (name, value) in [
            ("no.such.key", "1"),
            ("retention.ms", "soon"),
            ("retention.ms", "-2"),
            ("segment.bytes", "14"),
            ("cleanup.policy", "burn"),
            ("cleanup.policy", ""),
            ("compression.type", "rar"),
            ("max.message.bytes", "99999999999"),
            ("preallocate", "yes"),
        ] {
            let error = check_overrides(&overrides(&[(name, value)])).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        check_overrides(&overrides(&[("cleanup.policy", "compact,delete")])).unwrap();
        check_overrides(&overrides(&[("preallocate", " TRUE")])).unwrap();
        let lags = [
            ("min.compaction.lag.ms", " 5"),
            ("max.compaction.lag.ms", "4"),
        ];
        check_overrides(&overrides(&lags)).unwrap_err();
    }

    #[test]
    fn retention_deletes_wherever_the_policy_holds_delete() {
        for (policy, compacts) in [
            ("delete", false),
            ("compact", true),
            ("compact,delete", false),
            ("delete, compact", false),
        ] {
            let topic = TopicConfig::new(
                &BrokerConfig::default(),
                &overrides(&[("cleanup.policy", policy)]),
            );
            assert_eq!(topic.log_config(0).compacts, compacts, "{policy}");
        }
    }
}
