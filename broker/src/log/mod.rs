//! One partition's log: segment files, indexes, recovery, retention, and the folder that holds
//! the logs of a node. All files are in Kafka's own formats.
//!
//! Here lives what is durable and where it lies. What acks, high watermarks and replicas mean is
//! not known here: `partition` calls [`Log`] under its lock, tells it how far consumers may see,
//! and runs its [`Flush`]es on the sync pool without that lock.
//!
//! The rules that hold:
//! - a batch is appended whole, at the log's end, and its bytes never change afterwards;
//! - [`Log::flushed`] moves only after a [`Flush`] that began later than the append has succeeded,
//!   the new names of its folder included;
//! - below the recovery point nothing is cut: a bad batch there is [`LogError::Corrupt`]. Above it
//!   the log ends at the first bad batch, and what is cut is kept beside it if it is not zeros;
//! - an index is never evidence about the log: it is rebuilt where it is lost or wrong.

mod checkpoint;
mod dir;
mod epochs;
mod error;
mod flush;
mod header;
mod index;
mod lookup;
mod mark;
mod partition_metadata;
mod producer_snapshot;
mod producers;
mod read;
mod recovery;
mod retention;
mod scan;
mod segment;
mod truncate;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use dir::{Doomed, Found, FoundPartition, LogDir, LogDirError, Meta, Owner};
pub(crate) use error::LogError;
pub(crate) use header::BatchHeader;
pub(crate) use producers::Sequence;
pub(crate) use read::LogSlice;
pub(crate) use retention::Retired;
pub(crate) use writer::Log;

use uuid::Uuid;

/// Kafka's `index.interval.bytes`.
const INDEX_INTERVAL: u32 = 4096;

/// What of a topic's configuration concerns its logs, by Kafka's names and defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it grows past so many bytes.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its first record is so old, in milliseconds.
    pub segment_ms: i64,
    /// `segment.index.bytes`: a segment is rolled before an index grows past so many bytes.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: an index entry for about so many bytes.
    pub index_interval_bytes: u32,
    /// `retention.ms`; -1 is for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 is without bound.
    pub retention_bytes: i64,
    /// Whether `cleanup.policy` is `compact` alone. Retention never touches such a log.
    pub compacts: bool,
    /// Whether each append is followed by a sync and counts for nothing before it, as with
    /// `flush.messages=1`. Small appends are then gathered until that sync.
    pub sync_each_append: bool,
    /// `producer.id.expiration.ms`, the broker's.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: INDEX_INTERVAL,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            compacts: false,
            sync_each_append: true,
            producer_id_expiration_ms: 86_400_000,
        }
    }
}

/// What is known of a log before its files are read: from the checkpoints of the log directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OpenHints {
    /// First offset that may be read; 0 where nothing is known.
    pub log_start: i64,
    /// Everything below was on disk at the last checkpoint; 0 where nothing is known.
    pub recovery_point: i64,
    /// The last stop was clean: the recovery point is the log's end, and nothing is scanned.
    pub clean: bool,
    /// The topic's id, for `partition.metadata`.
    pub topic_id: Uuid,
}
