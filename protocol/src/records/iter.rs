//! The iterator over a batch's records.

use bytes::Bytes;

use super::{
    BatchError, BatchView, Compression, TimestampType, codec,
    grammar::{self, Source},
    varint,
};
use crate::wire::Str;

/// A record. Its key, value and headers are slices of the batch, which they keep in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// In ms.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In the producer's order; names may repeat.
    pub headers: Vec<(Str, Option<Bytes>)>,
}

/// Iterates over the records of the batch at the start of `batch`, whose CRC the caller has
/// checked or chosen not to. Compressed records must come to at most `limit` bytes.
pub fn records(batch: Bytes, limit: usize) -> Result<RecordIter, BatchError> {
    let view = BatchView::parse(&batch)?;
    let append_time = match view.timestamp_type() {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(view.max_timestamp()),
    };
    let bytes = match view.compression()? {
        Compression::None => batch.slice_ref(view.records_bytes()),
        compression => codec::decompress(compression, view.records_bytes(), limit)?.into(),
    };
    Ok(RecordIter {
        cursor: Cursor { bytes, at: 0 },
        left: view.record_count().max(0),
        base_offset: view.base_offset(),
        base_timestamp: view.base_timestamp(),
        append_time,
    })
}

/// See [`records`]. Ends after the first error.
#[derive(Debug, Clone)]
pub struct RecordIter {
    cursor: Cursor,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
}

impl RecordIter {
    fn record(&mut self) -> Result<Record, BatchError> {
        let mut headers = Vec::new();
        let raw = grammar::record(&mut self.cursor, |key, value| {
            let key = Str::try_from(key).map_err(|_| {
                BatchError::Invalid("a record's header has a key that is not UTF-8")
            })?;
            headers.push((key, value));
            Ok(())
        })?;
        Ok(Record {
            offset: self.base_offset.wrapping_add(i64::from(raw.offset_delta)),
            timestamp: self
                .append_time
                .unwrap_or(self.base_timestamp.wrapping_add(raw.timestamp_delta)),
            key: raw.key,
            value: raw.value,
            headers,
        })
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = self.record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

/// Hands out slices of records that lie in memory.
#[derive(Debug, Clone)]
struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Source for Cursor {
    type Slice = Bytes;

    fn varint(&mut self) -> Result<i64, BatchError> {
        match varint::read(&self.bytes[self.at..]) {
            Some((value, len)) if len > 0 => {
                self.at += len;
                Ok(value)
            }
            _ => Err(BatchError::Invalid("a record's varint does not end")),
        }
    }

    fn take(&mut self, len: usize) -> Result<Bytes, BatchError> {
        if len > self.bytes.len() - self.at {
            return Err(BatchError::Invalid("its records end before its count does"));
        }
        let slice = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(slice)
    }

    fn position(&self) -> usize {
        self.at
    }
}
