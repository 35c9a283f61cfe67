//! The check of a batch that a producer sent, before any of it is kept.
//!
//! It walks over every record, inside compression too, and copies none of them. What is not
//! compressed is checked where it lies; what is, goes through a small buffer.

use super::{
    BatchError, BatchView, Compression,
    codec::Inflate,
    grammar::{self, Source},
    varint,
};

/// What the walk over a batch's records found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedBatch {
    /// The records' greatest timestamp, in ms. The header's own may differ: some clients are
    /// careless about it, and Kafka puts it right.
    pub max_timestamp: i64,
    /// The offset delta of the first record that has it.
    pub max_timestamp_delta: i32,
    /// The records' least timestamp, in ms.
    pub min_timestamp: i64,
    /// The offset delta of the first record that has it.
    pub min_timestamp_delta: i32,
    /// The offset delta of the first record without a key, which a compacted topic refuses.
    pub first_without_key: Option<i32>,
}

/// Checks all that can be checked of a batch from outside the log: its CRC, and that its count,
/// offset deltas (0, 1, 2 …) and lengths are those of its records. Compressed records must come to
/// at most `limit` bytes.
pub fn check_batch(batch: &BatchView<'_>, limit: usize) -> Result<CheckedBatch, BatchError> {
    let (stored, computed) = (batch.crc(), batch.computed_crc());
    if stored != computed {
        return Err(BatchError::Corrupt { stored, computed });
    }
    let count = batch.record_count();
    if count <= 0 {
        return Err(BatchError::Invalid("it has no records"));
    }
    if batch.last_offset_delta() != count - 1 {
        return Err(BatchError::Invalid(
            "its last offset delta contradicts its count",
        ));
    }
    let bytes = batch.records_bytes();
    match batch.compression()? {
        Compression::None => walk(batch, Walk::new(bytes)),
        compression => Inflate::with(compression, bytes, limit, |inflate| {
            walk(batch, Walk::new(inflate))
        }),
    }
}

fn walk<C: Chunks>(
    batch: &BatchView<'_>,
    mut records: Walk<C>,
) -> Result<CheckedBatch, BatchError> {
    let base = batch.base_timestamp();
    let mut found = CheckedBatch {
        max_timestamp: i64::MIN,
        max_timestamp_delta: 0,
        min_timestamp: i64::MAX,
        min_timestamp_delta: 0,
        first_without_key: None,
    };
    for delta in 0..batch.record_count() {
        let record = grammar::record(&mut records, |(), _| Ok(()))?;
        if record.offset_delta != delta {
            return Err(BatchError::Invalid("its offset deltas are not 0, 1, 2 …"));
        }
        let timestamp = base.wrapping_add(record.timestamp_delta);
        if timestamp > found.max_timestamp {
            found.max_timestamp = timestamp;
            found.max_timestamp_delta = delta;
        }
        if timestamp < found.min_timestamp {
            found.min_timestamp = timestamp;
            found.min_timestamp_delta = delta;
        }
        if record.key.is_none() && found.first_without_key.is_none() {
            found.first_without_key = Some(delta);
        }
    }
    if records.more()? {
        return Err(BatchError::Invalid("bytes are left after its last record"));
    }
    Ok(found)
}

/// Bytes that come in one or more chunks.
trait Chunks {
    fn chunk(&self) -> &[u8];
    fn advance(&mut self) -> Result<bool, BatchError>;
}

impl Chunks for &[u8] {
    #[inline]
    fn chunk(&self) -> &[u8] {
        self
    }

    fn advance(&mut self) -> Result<bool, BatchError> {
        *self = &[];
        Ok(false)
    }
}

impl Chunks for Inflate<'_> {
    #[inline]
    fn chunk(&self) -> &[u8] {
        self.chunk()
    }

    fn advance(&mut self) -> Result<bool, BatchError> {
        self.advance()
    }
}

/// Walks over records without keeping them.
struct Walk<C> {
    chunks: C,
    /// Where in the chunk.
    at: usize,
    /// The bytes of the chunks before.
    before: usize,
}

const ENDS_EARLY: BatchError = BatchError::Invalid("its records end before its count does");

impl<C: Chunks> Walk<C> {
    fn new(chunks: C) -> Self {
        Self {
            chunks,
            at: 0,
            before: 0,
        }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &self.chunks.chunk()[self.at..]
    }

    /// Whether there is another byte; goes to its chunk.
    #[inline]
    fn more(&mut self) -> Result<bool, BatchError> {
        if self.rest().is_empty() {
            self.before += self.at;
            self.at = 0;
            return self.chunks.advance();
        }
        Ok(true)
    }

    /// Reads a varint that may lie across the edge of two chunks.
    #[cold]
    fn varint_across(&mut self) -> Result<i64, BatchError> {
        let mut bytes = [0; 10];
        for len in 0..bytes.len() {
            if !self.more()? {
                return Err(ENDS_EARLY);
            }
            bytes[len] = self.rest()[0];
            self.at += 1;
            if bytes[len] < 0x80 {
                // It ends with this byte, so it is read whole.
                return Ok(varint::read(&bytes[..=len]).map_or(0, |(value, _)| value));
            }
        }
        Err(BatchError::Invalid("a record's varint does not end"))
    }
}

impl<C: Chunks> Source for Walk<C> {
    type Slice = ();

    #[inline]
    fn varint(&mut self) -> Result<i64, BatchError> {
        match varint::read(self.rest()) {
            Some((value, len)) if len > 0 => {
                self.at += len;
                Ok(value)
            }
            _ => self.varint_across(),
        }
    }

    #[inline]
    fn take(&mut self, mut len: usize) -> Result<(), BatchError> {
        loop {
            let left = self.rest().len();
            if len <= left {
                self.at += len;
                return Ok(());
            }
            len -= left;
            self.at += left;
            if !self.more()? {
                return Err(ENDS_EARLY);
            }
        }
    }

    #[inline]
    fn position(&self) -> usize {
        self.before + self.at
    }
}
