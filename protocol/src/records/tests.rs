//! Batches built, checked, read, and lied about.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{protocol::StrBytes, records as theirs};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use std::io::Write;

use super::{header::put, *};
use crate::wire::Str;

const LIMIT: usize = 1 << 20;

/// Timestamp, key, value and headers.
type Parts = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
);

fn parts() -> impl Strategy<Value = Vec<Parts>> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let value = prop_oneof![
        3 => bytes(),
        1 => (0..100_000_usize, any::<u8>()).prop_map(|(len, byte)| Some(vec![byte; len])),
    ];
    let headers = prop::collection::vec(("[a-c]{0,2}|ü", bytes()), 0..4);
    let record = (-5_i64..2_000_000_000_000, bytes(), value, headers);
    prop::collection::vec(record, 1..20)
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

fn build(compression: Compression, parts: &[Parts]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for (timestamp, key, value, headers) in parts {
        let headers: Vec<(Str, Option<Bytes>)> = headers
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.clone().map(Bytes::from)))
            .collect();
        builder.push(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    builder.build(&BatchIdentity {
        base_offset: 1000,
        producer_id: 7,
        producer_epoch: 1,
        base_sequence: i32::MAX,
        ..BatchIdentity::default()
    })
}

fn expected(parts: &[Parts]) -> Vec<Record> {
    (1000..)
        .zip(parts)
        .map(|(offset, (timestamp, key, value, headers))| Record {
            offset,
            timestamp: *timestamp,
            key: key.clone().map(Bytes::from),
            value: value.clone().map(Bytes::from),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.clone().map(Bytes::from)))
                .collect(),
        })
        .collect()
}

fn read(batch: &Bytes) -> Vec<Record> {
    records(batch.clone(), usize::MAX)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn check(batch: &[u8]) -> Result<CheckedBatch, BatchError> {
    check_batch(&BatchView::parse(batch)?, LIMIT * 4)
}

/// A batch whose header has been changed and whose CRC is right again.
fn changed(batch: &[u8], change: impl FnOnce(&mut [u8; HEADER_LEN])) -> Vec<u8> {
    let mut batch = batch.to_vec();
    let (head, body) = batch.split_first_chunk_mut().unwrap();
    change(head);
    seal(head, body);
    batch
}

/// A batch with these bytes for records.
fn around(compression: Compression, count: i32, body: &[u8]) -> Vec<u8> {
    let batch = [
        &build(Compression::None, &[(0, None, None, vec![])])[..HEADER_LEN],
        body,
    ]
    .concat();
    changed(&batch, |head| {
        put(
            head,
            LENGTH,
            ((HEADER_LEN - LOG_OVERHEAD + body.len()) as i32).to_be_bytes(),
        );
        put(head, ATTRIBUTES, i16::from(compression.id()).to_be_bytes());
        put(head, COUNT, count.to_be_bytes());
        put(head, LAST_OFFSET_DELTA, (count - 1).to_be_bytes());
    })
}

proptest! {
    #[test]
    fn what_is_built_passes_the_check_and_is_read(parts in parts(), compression in compressions()) {
        let batch = build(compression, &parts);
        let view = BatchView::parse(&batch).unwrap();
        prop_assert_eq!(view.size(), batch.len());
        prop_assert_eq!(view.compression(), Ok(compression));
        prop_assert_eq!(view.record_count() as usize, parts.len());
        prop_assert_eq!(view.last_offset(), 999 + parts.len() as i64);
        // Sequence numbers wrap to 0.
        let last_sequence = if parts.len() == 1 { i32::MAX } else { parts.len() as i32 - 2 };
        prop_assert_eq!(view.last_sequence(), last_sequence);

        let checked = check(&batch).unwrap();
        prop_assert_eq!(Some(checked.max_timestamp), parts.iter().map(|p| p.0).max());
        prop_assert_eq!(Some(checked.min_timestamp), parts.iter().map(|p| p.0).min());
        prop_assert_eq!(parts[checked.max_timestamp_delta as usize].0, checked.max_timestamp);
        prop_assert_eq!(checked.max_timestamp, view.max_timestamp());
        prop_assert_eq!(
            checked.first_without_key.map(|at| at as usize),
            parts.iter().position(|p| p.1.is_none())
        );
        prop_assert_eq!(read(&batch), expected(&parts));
    }

    #[test]
    fn the_oracle_reads_what_is_built(mut parts in parts(), compression in compressions()) {
        // The oracle keeps headers in a map, which loses repeated names.
        for part in &mut parts {
            part.3.truncate(1);
        }
        let mut batch = build(compression, &parts);
        let set = theirs::RecordBatchDecoder::decode(&mut batch).unwrap();
        let records: Vec<Record> = set.records.into_iter().map(from_theirs).collect();
        prop_assert_eq!(records, expected(&parts));
    }

    #[test]
    fn what_the_oracle_writes_passes_the_check(mut parts in parts(), compression in compressions()) {
        for part in &mut parts {
            part.3.truncate(1);
        }
        let records: Vec<theirs::Record> = expected(&parts).into_iter().map(to_theirs).collect();
        let mut batch = BytesMut::new();
        theirs::RecordBatchEncoder::encode(&mut batch, &records, &theirs::RecordEncodeOptions {
            version: 2,
            compression: match compression {
                Compression::None => theirs::Compression::None,
                Compression::Gzip => theirs::Compression::Gzip,
                Compression::Snappy => theirs::Compression::Snappy,
                Compression::Lz4 => theirs::Compression::Lz4,
                Compression::Zstd => theirs::Compression::Zstd,
            },
        }).unwrap();
        let batch = batch.freeze();
        check(&batch).unwrap();
        prop_assert_eq!(read(&batch), expected(&parts));
    }

    #[test]
    fn a_flipped_bit_never_passes(parts in parts(), compression in compressions(), at: prop::sample::Index, bit in 0..8) {
        let mut batch = build(compression, &parts).to_vec();
        let at = at.index(batch.len());
        batch[at] ^= 1_u8 << bit;
        let outside_the_crc = at < LENGTH || (LEADER_EPOCH..MAGIC).contains(&at);
        prop_assert_eq!(check(&batch).is_ok(), outside_the_crc);
    }

    /// With a right CRC, so that all that follows is reached.
    #[test]
    fn whatever_follows_a_header_is_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        count in 0..5,
        compression in compressions(),
    ) {
        let batch = around(compression, count, &body);
        let passed = check(&batch).is_ok();
        let read = records(batch.into(), LIMIT).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        prop_assert!(!passed || read.is_ok_and(|read| read.len() == count as usize));
    }
}

fn from_theirs(record: theirs::Record) -> Record {
    Record {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record
            .headers
            .into_iter()
            .map(|(name, value)| (Str::from(name.to_string()), value))
            .collect(),
    }
}

fn to_theirs(record: Record) -> theirs::Record {
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 7,
        producer_epoch: 1,
        timestamp_type: theirs::TimestampType::Creation,
        offset: record.offset,
        sequence: (record.offset - 1000) as i32,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record
            .headers
            .into_iter()
            .map(|(name, value)| (StrBytes::from_string(name.to_string()), value))
            .collect(),
    }
}

fn three() -> Bytes {
    let part = |value: &str| (5, None, Some(value.as_bytes().to_vec()), vec![]);
    build(Compression::None, &[part("a"), part("b"), part("c")])
}

#[test]
fn headers_that_lie_are_told_apart() {
    use crate::ErrorCode::*;
    let batch = three();
    let cases: [(&str, Vec<u8>, crate::ErrorCode); 9] = [
        ("nothing", vec![], CorruptMessage),
        ("cut off", batch[..batch.len() - 1].to_vec(), CorruptMessage),
        (
            "magic 1",
            changed(&batch, |h| put(h, MAGIC, [1])),
            InvalidRecord,
        ),
        (
            "a length below the header's",
            changed(&batch, |h| put(h, LENGTH, 48_i32.to_be_bytes())),
            InvalidRecord,
        ),
        (
            "a negative length",
            changed(&batch, |h| put(h, LENGTH, (-1_i32).to_be_bytes())),
            InvalidRecord,
        ),
        (
            "no records",
            changed(&batch, |h| put(h, COUNT, 0_i32.to_be_bytes())),
            InvalidRecord,
        ),
        (
            "a count that is not the offsets'",
            changed(&batch, |h| put(h, COUNT, 4_i32.to_be_bytes())),
            InvalidRecord,
        ),
        (
            "a compression that does not exist",
            changed(&batch, |h| put(h, ATTRIBUTES, 5_i16.to_be_bytes())),
            UnsupportedCompressionType,
        ),
        (
            "another compression",
            changed(&batch, |h| put(h, ATTRIBUTES, 4_i16.to_be_bytes())),
            CorruptMessage,
        ),
    ];
    for (what, batch, code) in cases {
        assert_eq!(check(&batch).unwrap_err().code(), code, "{what}");
    }
}

#[test]
fn records_that_lie_are_invalid() {
    let good = &three()[HEADER_LEN..];
    assert_eq!(
        good,
        [
            14, 0, 0, 0, 1, 2, b'a', 0, 14, 0, 0, 2, 1, 2, b'b', 0, 14, 0, 0, 4, 1, 2, b'c', 0
        ]
    );
    assert!(check(&around(Compression::None, 3, good)).is_ok());

    let with = |at: usize, byte: u8| {
        let mut records = good.to_vec();
        records[at] = byte;
        records
    };
    let cases = [
        ("one record too few", 4, good.to_vec()),
        ("bytes after the last", 2, good.to_vec()),
        ("an offset twice", 3, with(11, 0)),
        ("a record longer than it says", 3, with(0, 12)),
        ("a record shorter than it says", 3, with(0, 16)),
        ("a negative length", 3, with(0, 1)),
        ("a value past its record", 3, with(5, 100)),
        ("negative headers", 3, with(7, 1)),
        ("headers past the record", 3, with(7, 2)),
        ("nothing at all", 1, vec![]),
        ("a varint that does not end", 1, vec![0xff; 20]),
        (
            "a length of more than 32 bits",
            1,
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ),
    ];
    for (what, count, records) in cases {
        for compression in Compression::ALL {
            let mut body = Vec::new();
            compression.compress(&records, &mut body);
            let error = check(&around(compression, count, &body)).unwrap_err();
            assert!(
                matches!(error, BatchError::Invalid(_)),
                "{what}, {compression}: {error}"
            );
        }
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    for compression in Compression::ALL {
        let batch = build(compression, &[(0, None, Some(vec![0; 3 * LIMIT]), vec![])]);
        let view = BatchView::parse(&batch).unwrap();
        let limited = (
            check_batch(&view, LIMIT),
            records(batch.clone(), LIMIT).map(|_| ()),
        );
        let too_large = BatchError::TooLarge { limit: LIMIT };
        if compression == Compression::None {
            assert!(limited.0.is_ok() && limited.1.is_ok());
        } else {
            assert_eq!(
                limited,
                (Err(too_large.clone()), Err(too_large)),
                "{compression}"
            );
        }
        assert!(check_batch(&view, 4 * LIMIT).is_ok());
        assert_eq!(records(batch, 4 * LIMIT).unwrap().count(), 1);
    }
}

#[test]
fn lz4_frames_of_all_kinds_are_read() {
    let value: Vec<u8> = (0..400_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 9) as u8)
        .collect();
    let plain = build(Compression::None, &[(0, None, Some(value), vec![])]);
    let sizes = [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB];
    for block_size in sizes {
        for block_mode in [BlockMode::Independent, BlockMode::Linked] {
            for checked in [false, true] {
                let info = FrameInfo::new()
                    .block_size(block_size)
                    .block_mode(block_mode)
                    .block_checksums(checked)
                    .content_checksum(checked)
                    .content_size(checked.then_some((plain.len() - HEADER_LEN) as u64));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&plain[HEADER_LEN..]).unwrap();
                let body = encoder.finish().unwrap();
                let batch = around(Compression::Lz4, 1, &body);
                check(&batch).unwrap();
                assert_eq!(read(&batch.into())[0].value, read(&plain)[0].value);
            }
        }
    }
}

#[test]
fn snappy_without_framing_is_read() {
    let body = snap::raw::Encoder::new()
        .compress_vec(&three()[HEADER_LEN..])
        .unwrap();
    let batch = around(Compression::Snappy, 3, &body);
    check(&batch).unwrap();
    assert_eq!(read(&batch.into()).len(), 3);
}

#[test]
fn a_broker_patches_what_it_may() {
    let batch = three();
    let (head, body) = batch.split_first_chunk::<HEADER_LEN>().unwrap();
    let mut head = *head;
    set_base_offset(&mut head, 77);
    set_leader_epoch(&mut head, 3);
    assert!(BatchView::parse(&[&head, body].concat()).unwrap().crc_ok());

    set_append_time(&mut head, 123_456);
    assert!(!BatchView::parse(&[&head, body].concat()).unwrap().crc_ok());
    seal(&mut head, body);
    let batch = Bytes::from([&head, body].concat());
    let view = BatchView::parse(&batch).unwrap();
    assert_eq!(view.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((view.partition_leader_epoch(), view.crc_ok()), (3, true));
    let times: Vec<_> = read(&batch)
        .iter()
        .map(|r| (r.offset, r.timestamp))
        .collect();
    assert_eq!(times, [(77, 123_456), (78, 123_456), (79, 123_456)]);
}

#[test]
fn batches_follow_one_another_and_the_last_may_be_cut_off() {
    let one = three();
    let bytes = [&one[..], &one, &one[..one.len() - 1]].concat();
    let found: Vec<_> = batches(&bytes).map(|b| b.map(|b| b.size())).collect();
    let truncated = BatchError::Truncated {
        needed: one.len(),
        left: one.len() - 1,
    };
    assert_eq!(found, [Ok(one.len()), Ok(one.len()), Err(truncated)]);
    assert_eq!(batches(&[]).count(), 0);
}
