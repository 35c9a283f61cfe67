//! The check of a produced batch, outside any lock: what Kafka's `LogValidator` and
//! `UnifiedLog.analyzeAndValidateRecords` refuse is refused here, before a byte of it
//! can be read by anyone.

use bytes::Bytes;
use protocol::error::ErrorCode;
use protocol::records::{
    self, BatchBuilder, BatchIdentity, BatchView, Compression, HEADER_LEN, TimestampType,
    check_batch, set_append_time, set_base_offset, set_leader_epoch, set_max_timestamp,
};

use crate::config::{StoredCompression, TopicConfig};
use crate::error::Refusal;
use crate::log::BatchHeader;

/// The most that a batch may hold uncompressed, in bytes. The walk over it is streamed, so
/// this bounds its time.
const DECOMPRESSED_MAX: usize = 512 * 1024 * 1024;
/// The most where the records are held in memory: to name those that are refused, or to
/// compress them anew.
const HELD_MAX: usize = 64 * 1024 * 1024;
/// The most records that a refusal names.
const BLAMED_MAX: usize = 100;

/// A batch that passed the checks and waits for its place in the log.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    head: [u8; HEADER_LEN],
    /// What follows the header; a slice of the request's frame unless it was compressed anew.
    body: Bytes,
    /// Whether the header was changed where the checksum covers it.
    unsealed: bool,
    pub(crate) record_count: i32,
}

impl CheckedBatch {
    /// The batch's header as it goes into the log: with its offset, its leader epoch and,
    /// with LogAppendTime, the time of the append.
    pub(super) fn place(
        &self,
        base_offset: i64,
        leader_epoch: i32,
        append_time_ms: Option<i64>,
    ) -> [u8; HEADER_LEN] {
        let mut head = self.head;
        set_base_offset(&mut head, base_offset);
        set_leader_epoch(&mut head, leader_epoch);
        if let Some(time) = append_time_ms {
            set_append_time(&mut head, time);
        }
        if self.unsealed || append_time_ms.is_some() {
            records::seal(&mut head, &self.body);
        }
        head
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The header as the log's producer table judges it, before the batch has its place.
    pub(super) fn header(&self) -> Result<BatchHeader, Refusal> {
        let mut head = self.head;
        set_base_offset(&mut head, 0);
        BatchHeader::parse(&head).map_err(|reason| Refusal::new(ErrorCode::InvalidRecord, reason))
    }
}

/// Checks the records that a producer sent for one partition. `version` is Produce's.
pub(crate) fn check(
    records: &Bytes,
    version: i16,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<CheckedBatch, Refusal> {
    let view = BatchView::parse(records)?;
    if view.size() != records.len() {
        return Err(Refusal::new(
            ErrorCode::InvalidRecord,
            "Produce requests with version 3 or above must hold exactly one record batch per partition",
        ));
    }
    if records.len() > config.max_message_bytes {
        return Err(too_large(records.len(), config.max_message_bytes));
    }
    if view.is_control() {
        return Err(Refusal::new(
            ErrorCode::InvalidRecord,
            "Clients are not allowed to write control records.",
        ));
    }
    if view.is_transactional() {
        return Err(Refusal::new(
            ErrorCode::InvalidTxnState,
            "Transactions are not supported by this version of Milena.",
        ));
    }
    let compression = view.compression()?;
    if version < 7 && compression == Compression::Zstd {
        return Err(Refusal::new(
            ErrorCode::UnsupportedCompressionType,
            "zstd needs Produce version 7 or above.",
        ));
    }
    if view.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Refusal::new(
            ErrorCode::InvalidTimestamp,
            "The broker, not the producer, sets LogAppendTime.",
        ));
    }
    let checked = check_batch(&view, DECOMPRESSED_MAX)?;
    if config.compact && checked.first_without_key.is_some() {
        return Err(blame(
            records,
            ErrorCode::InvalidRecord,
            "One or more records have been rejected",
            |record| {
                let keyless = record.key.is_none();
                keyless.then(|| "Compacted topic cannot accept message without key.".to_owned())
            },
        ));
    }
    if !config.log_append_time {
        check_times(records, &checked, config, now_ms)?;
    }
    match config.compression {
        StoredCompression::Always(wanted) if wanted != compression => {
            recompressed(records, &view, wanted, config.max_message_bytes)
        }
        _ => {
            let mut head = *view.head();
            // Some clients are careless about the header's greatest timestamp.
            let unsealed = view.max_timestamp() != checked.max_timestamp;
            if unsealed {
                set_max_timestamp(&mut head, checked.max_timestamp);
            }
            Ok(CheckedBatch {
                head,
                body: records.slice(HEADER_LEN..),
                unsealed,
                record_count: view.record_count(),
            })
        }
    }
}

fn too_large(bytes: usize, bytes_max: usize) -> Refusal {
    Refusal::new(
        ErrorCode::MessageTooLarge,
        format!(
            "The record batch size in the append is {bytes} bytes which exceeds the maximum configured value of {bytes_max}."
        ),
    )
}

/// The same records in the compression that the topic is to be stored in.
fn recompressed(
    records: &Bytes,
    view: &BatchView<'_>,
    wanted: Compression,
    bytes_max: usize,
) -> Result<CheckedBatch, Refusal> {
    let mut builder = BatchBuilder::new(wanted);
    for record in records::records(records.clone(), HELD_MAX)? {
        let record = record?;
        builder.push(
            record.timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
    }
    let bytes = builder.build(&BatchIdentity {
        producer_id: view.producer_id(),
        producer_epoch: view.producer_epoch(),
        base_sequence: view.base_sequence(),
        ..BatchIdentity::default()
    });
    if bytes.len() > bytes_max {
        return Err(too_large(bytes.len(), bytes_max));
    }
    Ok(CheckedBatch {
        head: *BatchView::parse(&bytes)?.head(),
        body: bytes.slice(HEADER_LEN..),
        unsealed: false,
        record_count: view.record_count(),
    })
}

fn check_times(
    records: &Bytes,
    checked: &records::CheckedBatch,
    config: &TopicConfig,
    now_ms: i64,
) -> Result<(), Refusal> {
    let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
    let latest = now_ms.saturating_add(config.timestamp_after_max_ms);
    // No timestamp at all (-1) is never out of range.
    let outside = |time: i64| time != -1 && (time < earliest || time > latest);
    if !outside(checked.min_timestamp) && !outside(checked.max_timestamp) {
        return Ok(());
    }
    Err(blame(
        records,
        ErrorCode::InvalidTimestamp,
        "One or more records have been rejected due to invalid timestamp",
        |record| {
            let time = record.timestamp;
            outside(time).then(|| {
                format!(
                    "Timestamp {time} of message with offset {} is out of range. The timestamp should be within [{earliest}, {latest}]",
                    record.offset
                )
            })
        },
    ))
}

/// A refusal that names the first of the records that are to blame.
fn blame(
    records: &Bytes,
    code: ErrorCode,
    message: &str,
    fault: impl Fn(&records::Record) -> Option<String>,
) -> Refusal {
    let iterated = records::records(records.clone(), HELD_MAX);
    let blamed = iterated
        .into_iter()
        .flatten()
        .zip(0..)
        .filter_map(|(record, index)| Some((index, fault(&record.ok()?)?)))
        .take(BLAMED_MAX)
        .collect();
    Refusal {
        records: blamed,
        ..Refusal::new(code, message)
    }
}
