//! What was fetched of one partition and waits to be polled: whole batches, unpacked one by one
//! into records for users.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protocol::records::{self, BatchError, BatchView, Record, RecordIter};

use super::ConsumeError;
use crate::{ConsumerRecord, Header, TimestampType, TopicPartition};

/// A batch may unpack to this much, in bytes: far more than any broker's limit for a batch, far
/// less than a hostile one could claim.
const UNPACKED_LIMIT: usize = 256 << 20;

/// Batches in order, and the one that is being handed out.
#[derive(Default)]
pub(super) struct Buffered {
    batches: VecDeque<Bytes>,
    bytes: usize,
    current: Option<Current>,
}

/// The batch that is being handed out.
struct Current {
    records: RecordIter,
    timestamp_type: TimestampType,
    /// The offset behind the batch.
    end: i64,
}

enum Opened {
    /// `current` is the next batch with records for users.
    Records,
    /// The next was a control batch, which ends here: markers of transactions are not for users.
    Control(i64),
    Nothing,
}

impl Buffered {
    /// Adds whole batches behind those that wait.
    pub(super) fn push(&mut self, batches: Bytes) {
        self.bytes += batches.len();
        self.batches.push_back(batches);
    }

    /// How much waits packed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.batches.is_empty()
    }

    /// Moves records from `position` on to `taken`, up to `most` there, and the position behind
    /// them.
    pub(super) fn take(
        &mut self,
        partition: &TopicPartition,
        position: &mut i64,
        most: usize,
        taken: &mut Vec<ConsumerRecord>,
    ) -> Result<(), ConsumeError> {
        while taken.len() < most {
            let Some(current) = &mut self.current else {
                match self.open_next() {
                    Ok(Opened::Records) => {}
                    Ok(Opened::Control(end)) => *position = end.max(*position),
                    Ok(Opened::Nothing) => break,
                    Err(source) => return Err(corrupt(partition, *position, source)),
                }
                continue;
            };
            match current.records.next() {
                Some(Ok(record)) if record.offset < *position => {}
                Some(Ok(record)) => {
                    *position = record.offset + 1;
                    taken.push(consumed(partition, record, current.timestamp_type));
                }
                Some(Err(source)) => return Err(corrupt(partition, *position, source)),
                None => {
                    *position = current.end.max(*position);
                    self.current = None;
                }
            }
        }
        Ok(())
    }

    fn open_next(&mut self) -> Result<Opened, BatchError> {
        let Some(bytes) = self.batches.front_mut() else {
            return Ok(Opened::Nothing);
        };
        let batch = BatchView::parse(bytes)?;
        let (size, control) = (batch.size(), batch.is_control());
        let end = batch.last_offset() + 1;
        let timestamp_type = match batch.timestamp_type() {
            records::TimestampType::CreateTime => TimestampType::CreateTime,
            records::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        };
        let batch = bytes.split_to(size);
        self.bytes -= size;
        if bytes.is_empty() {
            self.batches.pop_front();
        }
        if control {
            return Ok(Opened::Control(end));
        }
        self.current = Some(Current {
            records: records::records(batch, UNPACKED_LIMIT)?,
            timestamp_type,
            end,
        });
        Ok(Opened::Records)
    }
}

/// The error for a batch that is not what a producer wrote.
pub(super) fn corrupt(partition: &TopicPartition, offset: i64, source: BatchError) -> ConsumeError {
    ConsumeError::Corrupt {
        partition: partition.clone(),
        offset,
        source,
    }
}

fn consumed(
    partition: &TopicPartition,
    record: Record,
    timestamp_type: TimestampType,
) -> ConsumerRecord {
    ConsumerRecord {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        timestamp_type,
        key: record.key,
        value: record.value,
        headers: record
            .headers
            .into_iter()
            .map(|(key, value)| Header {
                key: key.to_string(),
                value,
            })
            .collect(),
    }
}
