//! Records of one partition that say their own offsets.

use bytes::Bytes;

use crate::raw::{Connection, plain};

/// The record for this offset, `len` bytes or a little more, in a batch of its own.
pub fn numbered(offset: i64, len: usize) -> Bytes {
    let mut value = format!("record {offset} ").into_bytes();
    value.resize(len.max(value.len()), b'x');
    plain(&[value])
}

/// Asserts that a partition holds exactly the records for the offsets below `end`.
///
/// # Panics
/// If it does not.
pub fn assert_holds(connection: &mut Connection, topic: &str, partition: i32, end: i64) {
    let records = connection
        .read_all(topic, partition)
        .unwrap_or_else(|error| panic!("{topic}-{partition}: {error}"));
    assert_eq!(records.len() as i64, end, "{topic}-{partition}");
    for (expected, record) in (0..).zip(&records) {
        assert_eq!(record.offset, expected);
        let value = record.value.as_deref().unwrap_or_default();
        let start = format!("record {expected} ");
        assert!(value.starts_with(start.as_bytes()), "offset {expected}");
    }
}
