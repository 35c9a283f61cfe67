//! The view over a batch's header.

use super::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, BatchError, COUNT, CRC, Compression,
    HEADER_LEN, LAST_OFFSET_DELTA, LEADER_EPOCH, LENGTH, LOG_OVERHEAD, MAGIC, MAX_TIMESTAMP,
    PRODUCER_EPOCH, PRODUCER_ID,
    header::{COMPRESSION_MASK, CONTROL, LOG_APPEND_TIME, TRANSACTIONAL},
};

/// A batch whose length and magic fit its bytes. All else may still lie: see
/// [`check_batch`](super::check_batch).
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    /// The whole batch and nothing after it.
    bytes: &'a [u8],
}

/// What a batch's timestamps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// Each record's own, given by the producer.
    CreateTime,
    /// The time of the append, the same for all records.
    LogAppendTime,
}

impl<'a> BatchView<'a> {
    /// Looks at the batch at the start of `bytes`; more may follow it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let left = bytes.len();
        // Older formats have shorter headers, so the magic is looked at as soon as it is there.
        if left <= MAGIC {
            return Err(BatchError::Truncated {
                needed: HEADER_LEN,
                left,
            });
        }
        match bytes[MAGIC] as i8 {
            2 => (),
            magic => return Err(BatchError::UnsupportedMagic(magic)),
        }
        let length = i32::from_be_bytes(at(bytes, LENGTH));
        let needed = LOG_OVERHEAD.saturating_add(usize::try_from(length).unwrap_or(0));
        if needed < HEADER_LEN {
            return Err(BatchError::Invalid("its length is less than its header's"));
        }
        match bytes.get(..needed) {
            Some(bytes) => Ok(Self { bytes }),
            None => Err(BatchError::Truncated { needed, left }),
        }
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header alone.
    pub fn head(&self) -> &'a [u8; HEADER_LEN] {
        self.bytes
            .first_chunk()
            .expect("parse saw to a whole header")
    }

    /// What follows the header: the records, compressed or not.
    pub fn records_bytes(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// The whole batch's size in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The first record's offset.
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, BASE_OFFSET))
    }

    /// The epoch of the leader that appended it.
    pub fn partition_leader_epoch(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, LEADER_EPOCH))
    }

    /// The CRC-32C that the header says.
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(at(self.bytes, CRC))
    }

    /// Whether the CRC is that of the batch. Reads all of it.
    pub fn crc_ok(&self) -> bool {
        self.computed_crc() == self.crc()
    }

    pub(super) fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[ATTRIBUTES..])
    }

    /// The attributes' bits.
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(at(self.bytes, ATTRIBUTES))
    }

    /// How the records are compressed.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        Compression::from_id((self.attributes() & COMPRESSION_MASK) as u8)
    }

    /// Who gave the records their timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    /// Whether it holds a control record, such as a commit marker, and no user's data.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    /// The last record's offset, from the base offset on.
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, LAST_OFFSET_DELTA))
    }

    /// The last record's offset. Compaction keeps it, even where the record is gone.
    pub fn last_offset(&self) -> i64 {
        self.base_offset()
            .wrapping_add(i64::from(self.last_offset_delta()))
    }

    /// What the records' timestamps count from, in ms.
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, BASE_TIMESTAMP))
    }

    /// The greatest timestamp, in ms, or that of the append.
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, MAX_TIMESTAMP))
    }

    /// The producer's id; -1 if it is not idempotent.
    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(at(self.bytes, PRODUCER_ID))
    }

    /// The producer's epoch; -1 if it is not idempotent.
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(at(self.bytes, PRODUCER_EPOCH))
    }

    /// The first record's sequence number; -1 if the producer is not idempotent.
    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, BASE_SEQUENCE))
    }

    /// The last record's sequence number; after `i32::MAX` comes 0.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            none @ ..0 => none,
            first => first.wrapping_add(self.last_offset_delta()) & i32::MAX,
        }
    }

    /// How many records there are.
    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(at(self.bytes, COUNT))
    }
}

/// The bytes of a field, which lies inside the header.
fn at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    *bytes[position..]
        .first_chunk()
        .expect("the field lies inside the header")
}

/// Iterates over the batches in `bytes`, one after the other. It ends after the first error;
/// a batch cut off at the end, as Fetch responses may have one, is
/// [`BatchError::Truncated`].
pub fn batches(mut bytes: &[u8]) -> impl Iterator<Item = Result<BatchView<'_>, BatchError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let batch = BatchView::parse(bytes);
        bytes = match &batch {
            Ok(batch) => &bytes[batch.size()..],
            Err(_) => &[],
        };
        Some(batch)
    })
}
