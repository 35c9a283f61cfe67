//! The builder of batches.

use bytes::{BufMut, Bytes};

use super::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, COUNT, Compression, HEADER_LEN,
    LAST_OFFSET_DELTA, LEADER_EPOCH, LENGTH, LOG_OVERHEAD, MAGIC, MAX_TIMESTAMP, PRODUCER_EPOCH,
    PRODUCER_ID,
    header::{CONTROL, TRANSACTIONAL, put, seal},
    varint,
};
use crate::wire::Str;

/// Collects records for one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    compression: Compression,
    /// Room for the header, then the records.
    buf: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

/// What a batch's header says besides its records. By default it is nobody's, at offset 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchIdentity {
    /// 0 from a producer; the broker sets it.
    pub base_offset: i64,
    /// -1 from a producer; the broker sets it.
    pub leader_epoch: i32,
    /// -1 without idempotence, as are epoch and sequence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub transactional: bool,
    pub control: bool,
}

impl Default for BatchIdentity {
    fn default() -> Self {
        Self {
            base_offset: 0,
            leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
        }
    }
}

impl BatchBuilder {
    /// An empty batch. Compression happens once, in [`BatchBuilder::build`].
    pub fn new(compression: Compression) -> Self {
        Self::with_capacity(compression, 0)
    }

    /// An empty batch with room for `capacity` bytes of records.
    pub fn with_capacity(compression: Compression, capacity: usize) -> Self {
        let mut buf = Vec::with_capacity(HEADER_LEN + capacity);
        buf.resize(HEADER_LEN, 0);
        Self {
            compression,
            buf,
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
        }
    }

    /// Appends a record; `timestamp` is in ms.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(Str, Option<Bytes>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);

        let mut size = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + field_len(key)
            + field_len(value)
            + varint::len(headers.len() as i64);
        for (name, value) in headers {
            size += field_len(Some(name.as_bytes())) + field_len(value.as_deref());
        }

        let buf = &mut self.buf;
        buf.reserve(size + 5);
        varint::put(buf, size as i64);
        buf.put_u8(0);
        varint::put(buf, timestamp_delta);
        varint::put(buf, offset_delta);
        put_field(buf, key);
        put_field(buf, value);
        varint::put(buf, headers.len() as i64);
        for (name, value) in headers {
            put_field(buf, Some(name.as_bytes()));
            put_field(buf, value.as_deref());
        }
        self.count += 1;
    }

    /// How many records there are.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size in bytes, before compression.
    pub fn estimated_size(&self) -> usize {
        self.buf.len()
    }

    /// The batch as it is sent and stored.
    pub fn build(mut self, identity: &BatchIdentity) -> Bytes {
        let mut bytes = if self.compression == Compression::None {
            self.buf
        } else {
            let mut compressed = Vec::with_capacity(HEADER_LEN + self.buf.len() / 2);
            compressed.resize(HEADER_LEN, 0);
            self.compression
                .compress(&self.buf[HEADER_LEN..], &mut compressed);
            self.buf.clear();
            compressed
        };
        let mut attributes = i16::from(self.compression.id());
        if identity.transactional {
            attributes |= TRANSACTIONAL;
        }
        if identity.control {
            attributes |= CONTROL;
        }
        let length = (bytes.len() - LOG_OVERHEAD) as i32;
        let (head, body) = bytes
            .split_first_chunk_mut::<HEADER_LEN>()
            .expect("room for the header comes first");
        put(head, BASE_OFFSET, identity.base_offset.to_be_bytes());
        put(head, LENGTH, length.to_be_bytes());
        put(head, LEADER_EPOCH, identity.leader_epoch.to_be_bytes());
        put(head, MAGIC, [2]);
        put(head, ATTRIBUTES, attributes.to_be_bytes());
        put(head, LAST_OFFSET_DELTA, (self.count - 1).to_be_bytes());
        put(head, BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        put(head, MAX_TIMESTAMP, self.max_timestamp.to_be_bytes());
        put(head, PRODUCER_ID, identity.producer_id.to_be_bytes());
        put(head, PRODUCER_EPOCH, identity.producer_epoch.to_be_bytes());
        put(head, BASE_SEQUENCE, identity.base_sequence.to_be_bytes());
        put(head, COUNT, self.count.to_be_bytes());
        seal(head, body);
        bytes.into()
    }
}

fn field_len(field: Option<&[u8]>) -> usize {
    match field {
        None => 1,
        Some(bytes) => varint::len(bytes.len() as i64) + bytes.len(),
    }
}

fn put_field(buf: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::put(buf, -1),
        Some(bytes) => {
            varint::put(buf, bytes.len() as i64);
            buf.put_slice(bytes);
        }
    }
}
