//! The 61-byte header of a record batch, as the log needs it: offsets, sizes, epochs, sequences
//! and timestamps. What lies behind it is looked at by whoever checks a batch before it is
//! appended, and by recovery, which knows its CRC.

use protocol::records::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, COUNT, CRC, HEADER_LEN,
    LAST_OFFSET_DELTA, LEADER_EPOCH, LENGTH, LOG_OVERHEAD, MAGIC, MAX_TIMESTAMP, PRODUCER_EPOCH,
    PRODUCER_ID,
};

/// The CRC covers everything from here on.
pub(super) const CRC_COVERS_FROM: usize = ATTRIBUTES;

const CONTROL: i16 = 1 << 5;

/// The header of a batch of magic 2, all fields but the length as they are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub size: u32,
    /// Epoch of the leader that appended it, or -1.
    pub leader_epoch: i32,
    /// CRC-32C of all that follows the field.
    pub crc: u32,
    /// Compression, timestamp type, and the transactional and control bits.
    pub attributes: i16,
    /// Last record's offset less the base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record in milliseconds, or -1.
    pub base_timestamp: i64,
    /// The greatest timestamp in milliseconds, or -1.
    pub max_timestamp: i64,
    /// Id of an idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header from the first 61 bytes of `bytes`, or says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<BatchHeader, &'static str> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err("it ends inside a batch header");
        };
        let length = int(bytes, LENGTH);
        if length < (HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err("the batch length is too small");
        }
        if bytes[MAGIC] != 2 {
            return Err("the magic is not 2");
        }
        let header = BatchHeader {
            base_offset: long(bytes, BASE_OFFSET),
            size: length as u32 + LOG_OVERHEAD as u32,
            leader_epoch: int(bytes, LEADER_EPOCH),
            crc: int(bytes, CRC) as u32,
            attributes: short(bytes, ATTRIBUTES),
            last_offset_delta: int(bytes, LAST_OFFSET_DELTA),
            base_timestamp: long(bytes, BASE_TIMESTAMP),
            max_timestamp: long(bytes, MAX_TIMESTAMP),
            producer_id: long(bytes, PRODUCER_ID),
            producer_epoch: short(bytes, PRODUCER_EPOCH),
            base_sequence: int(bytes, BASE_SEQUENCE),
            record_count: int(bytes, COUNT),
        };
        if header.base_offset < 0 || header.last_offset_delta < 0 {
            return Err("an offset is negative");
        }
        if header.base_offset.checked_add(1 << 32).is_none() {
            return Err("an offset is too large");
        }
        Ok(header)
    }

    /// Offset of the last record.
    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Offset of the record after the last.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Whether the batch is a marker that a coordinator wrote.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Sequence number of the last record; after `i32::MAX` they go on at 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        (last & i64::from(i32::MAX)) as i32
    }
}

fn short(bytes: &[u8; HEADER_LEN], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn int(bytes: &[u8; HEADER_LEN], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8; HEADER_LEN], at: usize) -> i64 {
    (i64::from(int(bytes, at)) << 32) | i64::from(int(bytes, at + 4) as u32)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A batch of `count` records of no known contents, with `body` behind its header.
    pub(in crate::log) struct Batch {
        pub(in crate::log) header: BatchHeader,
        pub(in crate::log) body: Vec<u8>,
    }

    impl Batch {
        pub(in crate::log) fn new(base_offset: i64, count: i32, body: Vec<u8>) -> Batch {
            Batch {
                header: BatchHeader {
                    base_offset,
                    size: (HEADER_LEN + body.len()) as u32,
                    leader_epoch: 0,
                    crc: 0,
                    attributes: 0,
                    last_offset_delta: count - 1,
                    base_timestamp: 1000,
                    max_timestamp: 1000,
                    producer_id: -1,
                    producer_epoch: -1,
                    base_sequence: -1,
                    record_count: count,
                },
                body,
            }
        }

        pub(in crate::log) fn at(mut self, timestamp: i64) -> Batch {
            self.header.base_timestamp = timestamp;
            self.header.max_timestamp = timestamp;
            self
        }

        pub(in crate::log) fn epoch(mut self, epoch: i32) -> Batch {
            self.header.leader_epoch = epoch;
            self
        }

        pub(in crate::log) fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Batch {
            self.header.producer_id = id;
            self.header.producer_epoch = epoch;
            self.header.base_sequence = sequence;
            self
        }

        pub(in crate::log) fn head(&self) -> [u8; HEADER_LEN] {
            let header = &self.header;
            let mut head = Vec::new();
            head.extend_from_slice(&header.base_offset.to_be_bytes());
            head.extend_from_slice(&(header.size - LOG_OVERHEAD as u32).to_be_bytes());
            head.extend_from_slice(&header.leader_epoch.to_be_bytes());
            head.push(2);
            head.extend_from_slice(&[0; 4]);
            head.extend_from_slice(&header.attributes.to_be_bytes());
            head.extend_from_slice(&header.last_offset_delta.to_be_bytes());
            head.extend_from_slice(&header.base_timestamp.to_be_bytes());
            head.extend_from_slice(&header.max_timestamp.to_be_bytes());
            head.extend_from_slice(&header.producer_id.to_be_bytes());
            head.extend_from_slice(&header.producer_epoch.to_be_bytes());
            head.extend_from_slice(&header.base_sequence.to_be_bytes());
            head.extend_from_slice(&header.record_count.to_be_bytes());
            let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CRC_COVERS_FROM..]), &self.body);
            head[17..21].copy_from_slice(&crc.to_be_bytes());
            head.try_into().expect("61 bytes")
        }

        pub(in crate::log) fn bytes(&self) -> Vec<u8> {
            [&self.head()[..], &self.body].concat()
        }
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let batch = Batch::new(1 << 40, 7, vec![1; 10])
            .at(77)
            .epoch(3)
            .producer(9, 2, i32::MAX - 2);
        let mut parsed = BatchHeader::parse(&batch.bytes()).expect("parse");
        parsed.crc = 0;
        assert_eq!(parsed, batch.header);
        assert_eq!(parsed.next_offset(), (1 << 40) + 7);
        assert_eq!(parsed.last_sequence(), 3);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let good = Batch::new(5, 1, vec![]).head();
        assert!(BatchHeader::parse(&good[..60]).is_err());
        for (at, bytes) in [
            (0, &[0xff; 8][..]),
            (0, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (8, &[0, 0, 0, 48]),
            (16, &[1]),
            (23, &[0xff]),
        ] {
            let mut bad = good;
            bad[at..at + bytes.len()].copy_from_slice(bytes);
            assert!(BatchHeader::parse(&bad).is_err(), "{at}");
        }
        assert!(BatchHeader::parse(&[0; 61]).is_err());
    }
}
