//! Where a batch's header has its fields, and how a broker patches them.

/// Position of the base offset, an `int64`; not covered by the CRC.
pub const BASE_OFFSET: usize = 0;
/// Position of the length of all that follows it, an `int32`; not covered by the CRC.
pub const LENGTH: usize = 8;
/// What the length does not count: itself and the base offset.
pub const LOG_OVERHEAD: usize = 12;
/// Position of the partition leader epoch, an `int32`; not covered by the CRC.
pub const LEADER_EPOCH: usize = 12;
/// Position of the message format, an `int8`; not covered by the CRC.
pub const MAGIC: usize = 16;
/// Position of the CRC-32C over all that follows it, a `uint32`.
pub const CRC: usize = 17;
/// Position of the attributes, an `int16`.
pub const ATTRIBUTES: usize = 21;
/// Position of the last record's offset delta, an `int32`.
pub const LAST_OFFSET_DELTA: usize = 23;
/// Position of the base timestamp in ms, an `int64`.
pub const BASE_TIMESTAMP: usize = 27;
/// Position of the greatest timestamp in ms, an `int64`.
pub const MAX_TIMESTAMP: usize = 35;
/// Position of the producer id, an `int64`; -1 if there is none.
pub const PRODUCER_ID: usize = 43;
/// Position of the producer epoch, an `int16`.
pub const PRODUCER_EPOCH: usize = 51;
/// Position of the first record's sequence number, an `int32`.
pub const BASE_SEQUENCE: usize = 53;
/// Position of the number of records, an `int32`.
pub const COUNT: usize = 57;
/// Length of the header; the records follow.
pub const HEADER_LEN: usize = 61;

pub(super) const COMPRESSION_MASK: i16 = 0b111;
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;

/// Puts a field into a header.
pub(super) fn put<const N: usize>(head: &mut [u8; HEADER_LEN], at: usize, value: [u8; N]) {
    head[at..at + N].copy_from_slice(&value);
}

/// Sets the first record's offset. The CRC stays right.
pub fn set_base_offset(head: &mut [u8; HEADER_LEN], offset: i64) {
    put(head, BASE_OFFSET, offset.to_be_bytes());
}

/// Sets the partition leader epoch. The CRC stays right.
pub fn set_leader_epoch(head: &mut [u8; HEADER_LEN], epoch: i32) {
    put(head, LEADER_EPOCH, epoch.to_be_bytes());
}

/// Gives all records the time of their append, in ms. The CRC has to be written anew by [`seal`].
pub fn set_append_time(head: &mut [u8; HEADER_LEN], now_ms: i64) {
    let attributes = i16::from_be_bytes([head[ATTRIBUTES], head[ATTRIBUTES + 1]]);
    put(
        head,
        ATTRIBUTES,
        (attributes | LOG_APPEND_TIME).to_be_bytes(),
    );
    set_max_timestamp(head, now_ms);
}

/// Sets the greatest timestamp, in ms. The CRC has to be written anew by [`seal`].
pub fn set_max_timestamp(head: &mut [u8; HEADER_LEN], timestamp: i64) {
    put(head, MAX_TIMESTAMP, timestamp.to_be_bytes());
}

/// Writes the CRC anew; `body` is all that follows the header.
pub fn seal(head: &mut [u8; HEADER_LEN], body: &[u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[ATTRIBUTES..]), body);
    put(head, CRC, crc.to_be_bytes());
}
