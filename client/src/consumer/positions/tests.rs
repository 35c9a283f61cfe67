//! Positions against tables: what is fetched, handed out, dropped.

use std::sync::Arc;
use std::time::Duration;

use protocol::records::{self, BatchBuilder, BatchIdentity, Compression, HEADER_LEN};

use super::*;
use crate::metadata::{Partition, Topic};

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn cluster(partitions: i32) -> Cluster {
    let topic = Topic {
        partitions: (0..partitions)
            .map(|index| Partition {
                index,
                leader: Some(1),
                ..Partition::default()
            })
            .collect(),
        ..Topic::default()
    };
    Cluster {
        topics: [("t".into(), Arc::new(topic))].into(),
        ..Cluster::default()
    }
}

fn batch(base_offset: i64, count: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::Lz4);
    for i in 0..count {
        let value = (base_offset + i).to_string();
        builder.push(7, None, Some(value.as_bytes()), &[]);
    }
    let identity = BatchIdentity {
        base_offset,
        ..BatchIdentity::default()
    };
    builder.build(&identity).to_vec()
}

fn plan(positions: &mut Positions, partitions: i32) -> Plan {
    positions.plan(Instant::now(), &cluster(partitions), 1, 1000, 2000)
}

fn offsets_of(wanted: &[Wanted]) -> Vec<(i32, i64)> {
    let offsets = wanted.iter();
    offsets
        .map(|wanted| (wanted.partition.partition, wanted.offset))
        .collect()
}

fn taken(positions: &mut Positions, most: usize) -> Vec<(i32, i64)> {
    let records = positions.take(most).expect("no error");
    for record in &records {
        let value = record.value.as_ref().expect("a value");
        assert_eq!(value, record.offset.to_string().as_bytes());
    }
    records.iter().map(|r| (r.partition, r.offset)).collect()
}

#[test]
fn records_are_handed_out_in_order_from_inside_a_batch_and_fetched_ahead() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(3))], None);
    let first = plan(&mut positions, 1);
    assert_eq!(offsets_of(&first.wanted), [(0, 3)]);
    assert_eq!(plan(&mut positions, 1).wanted, [], "it is under way");
    let mut bytes = batch(0, 5);
    bytes.extend(batch(5, 5));
    bytes.extend(&batch(10, 5)[..30]);
    positions.arrived(&first.wanted[0], bytes.into(), 99, true);
    assert_eq!(offsets_of(&plan(&mut positions, 1).wanted), [(0, 10)]);
    assert_eq!(taken(&mut positions, 3), [(0, 3), (0, 4), (0, 5)]);
    assert_eq!(positions.position(&tp(0)), Some(6));
    assert_eq!(taken(&mut positions, 100), [(0, 6), (0, 7), (0, 8), (0, 9)]);
    assert_eq!(positions.high_watermark(&tp(0)), Some(99));
}

#[test]
fn partitions_take_turns() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0)), (tp(1), Some(0))], None);
    for wanted in plan(&mut positions, 2).wanted {
        positions.arrived(&wanted, batch(0, 4).into(), 4, true);
    }
    assert_eq!(taken(&mut positions, 2), [(0, 0), (0, 1)]);
    assert_eq!(taken(&mut positions, 2), [(1, 0), (1, 1)]);
    assert_eq!(taken(&mut positions, 3), [(0, 2), (0, 3), (1, 2)]);
}

#[test]
fn what_arrives_after_a_seek_is_dropped() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0))], None);
    let asked = plan(&mut positions, 1).wanted;
    assert!(positions.seek(&tp(0), 100));
    positions.arrived(&asked[0], batch(0, 5).into(), 5, true);
    assert_eq!(taken(&mut positions, 9), []);
    assert_eq!(offsets_of(&plan(&mut positions, 1).wanted), [(0, 100)]);
    assert!(!positions.seek(&tp(1), 0), "not assigned");
}

#[test]
fn a_paused_partition_is_neither_fetched_nor_handed_out() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0))], None);
    let asked = plan(&mut positions, 1).wanted;
    positions.pause(&tp(0), true);
    positions.arrived(&asked[0], batch(0, 1).into(), 1, true);
    assert_eq!(taken(&mut positions, 9), []);
    assert_eq!(plan(&mut positions, 1).wanted, []);
    positions.pause(&tp(0), false);
    assert_eq!(taken(&mut positions, 9), [(0, 0)]);
}

#[test]
fn fetching_stops_while_enough_is_buffered() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0)), (tp(1), Some(0))], None);
    let asked = plan(&mut positions, 2).wanted;
    let mut bytes = Vec::new();
    for i in 0..20 {
        bytes.extend(batch(i, 1));
    }
    assert!(bytes.len() > 1000);
    positions.arrived(&asked[0], bytes.into(), 20, true);
    positions.failed(&asked[1], |_| Instant::now());
    let next = plan(&mut positions, 2);
    assert_eq!(offsets_of(&next.wanted), [(1, 0)]);
    assert!(next.withheld, "the broker must not hold the answer long");
    taken(&mut positions, 100);
    assert_eq!(offsets_of(&plan(&mut positions, 2).wanted), [(0, 20)]);
}

#[test]
fn damage_is_told_after_what_lies_before_it_and_a_seek_goes_past() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0))], None);
    let mut damaged = batch(2, 2);
    *damaged.last_mut().expect("not empty") ^= 1;
    let mut bytes = batch(0, 2);
    bytes.extend(&damaged);
    let asked = plan(&mut positions, 1).wanted;
    positions.arrived(&asked[0], bytes.into(), 4, true);
    let asked = plan(&mut positions, 1).wanted;
    assert_eq!(offsets_of(&asked), [(0, 2)]);
    positions.arrived(&asked[0], damaged.into(), 4, true);
    assert_eq!(taken(&mut positions, 2), [(0, 0), (0, 1)]);
    let error = positions.take(9).expect_err("damage").to_string();
    assert!(
        error.starts_with("t-0: the batch at offset 2 is damaged"),
        "{error}"
    );
    assert_eq!(plan(&mut positions, 1).wanted, [], "it stays there");
    positions.seek(&tp(0), 4);
    assert_eq!(offsets_of(&plan(&mut positions, 1).wanted), [(0, 4)]);
}

#[test]
fn without_an_offset_the_reset_says_where_to_start_or_the_poll_fails() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), None)], None);
    assert!(matches!(positions.take(1), Err(ConsumeError::NoOffset(_))));
    positions.assign([(tp(0), None)], Some(OffsetSpec::Earliest));
    let now = Instant::now();
    let unresolved = positions.unresolved(now);
    assert_eq!(plan(&mut positions, 1).wanted, []);
    positions.resolve(&tp(0), unresolved[0].1, 42);
    let asked = plan(&mut positions, 1).wanted;
    assert_eq!(offsets_of(&asked), [(0, 42)]);
    positions.out_of_range(
        &asked[0],
        Some(OffsetSpec::Latest),
        now + Duration::from_secs(1),
    );
    assert_eq!(positions.unresolved(now).len(), 1);
}

/// What a transaction's coordinator puts behind a transaction's records.
fn marker(offset: i64) -> Vec<u8> {
    const CONTROL: u8 = 1 << 5;
    let mut bytes = batch(offset, 1);
    bytes[records::ATTRIBUTES + 1] |= CONTROL;
    let (head, body) = bytes
        .split_first_chunk_mut::<HEADER_LEN>()
        .expect("a batch");
    records::seal(head, body);
    bytes
}

#[test]
fn markers_of_transactions_are_passed_over_also_at_the_end() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0))], None);
    let asked = plan(&mut positions, 1).wanted;
    let mut bytes = batch(0, 2);
    bytes.extend(marker(2));
    bytes.extend(batch(3, 1));
    bytes.extend(marker(4));
    bytes.extend(marker(5));
    positions.arrived(&asked[0], bytes.into(), 6, true);
    assert_eq!(taken(&mut positions, 9), [(0, 0), (0, 1), (0, 3)]);
    assert_eq!(positions.position(&tp(0)), Some(6), "the end is reached");
    assert_eq!(offsets_of(&plan(&mut positions, 1).wanted), [(0, 6)]);
}

#[test]
fn failures_in_a_row_are_counted_until_something_arrives() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0))], None);
    let mut counts = Vec::new();
    for round in 0..4 {
        let asked = plan(&mut positions, 1).wanted;
        match round {
            2 => positions.arrived(&asked[0], Bytes::new(), 0, true),
            _ => positions.failed(&asked[0], |failures| {
                counts.push(failures);
                Instant::now()
            }),
        }
    }
    assert_eq!(counts, [1, 2, 1]);
}

#[test]
fn a_partition_is_unheard_until_a_fetch_is_answered_and_when_none_is_for_long() {
    let mut positions = Positions::default();
    positions.assign([(tp(0), Some(0)), (tp(1), Some(0))], None);
    let (now, within) = (Instant::now(), Duration::from_secs(2));
    assert_eq!(positions.unheard(now, within), [tp(0), tp(1)]);
    let asked = plan(&mut positions, 2).wanted;
    positions.heard(&asked[0], now);
    positions.failed(&asked[1], |_| now);
    assert_eq!(positions.unheard(now + within, within), [tp(1)]);
    let late = now + within + Duration::from_millis(1);
    assert_eq!(positions.unheard(late, within), [tp(0), tp(1)]);
    // An answer to what was asked before a seek tells nothing of what is asked now.
    positions.seek(&tp(0), 5);
    positions.heard(&asked[0], late);
    assert_eq!(positions.unheard(late, within), [tp(0), tp(1)]);
}
