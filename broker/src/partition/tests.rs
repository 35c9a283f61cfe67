//! A partition on a real folder: who is acknowledged when, and what readers see.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use protocol::records::{self, BatchBuilder, BatchIdentity, BatchView, Compression};
use tempfile::TempDir;

use super::*;
use crate::config::BrokerConfig;

const NOW: i64 = 1_700_000_000_000;

struct Bench {
    _dir: TempDir,
    partition: Arc<Partition>,
}

fn config(overrides: &[(&str, &str)]) -> Arc<TopicConfig> {
    let overrides: BTreeMap<_, _> = overrides
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Arc::new(TopicConfig::new(&BrokerConfig::default(), &overrides))
}

fn bench(overrides: &[(&str, &str)]) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::new();
    let storage = Storage::open(disk, dir.path().join("logs"), "cluster", 1).unwrap();
    let pool = SyncPool::start("test-sync", 1).unwrap();
    let id = Uuid::from_u128(7);
    let partition = Partition::open("t".into(), id, 0, config(overrides), &storage, &pool, NOW);
    Bench {
        _dir: dir,
        partition,
    }
}

fn sent(values: &[&str], identity: BatchIdentity) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        builder.push(NOW, Some(b"k"), Some(value.as_bytes()), &[]);
    }
    builder.build(&identity)
}

fn numbered(sequence: i32) -> BatchIdentity {
    BatchIdentity {
        producer_id: 9,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BatchIdentity::default()
    }
}

impl Bench {
    fn append(&self, bytes: &Bytes, acks: &Arc<Acks>) -> Result<Placed, Refusal> {
        let config = self.partition.config();
        let batch = check(bytes, 9, &config, NOW)?;
        let waiter = Waiter { acks, place: 0 };
        self.partition.append(&batch, -1, Some(waiter), NOW)
    }

    async fn acked(&self, bytes: &Bytes) -> Result<Placed, Refusal> {
        let acks = Arc::new(Acks::default());
        let placed = self.append(bytes, &acks)?;
        let done = tokio::time::timeout(Duration::from_secs(10), acks.done());
        assert_eq!(done.await.expect("a sync within 10 s"), []);
        Ok(placed)
    }

    fn read(&self, offset: i64) -> Vec<(i64, Bytes)> {
        let found = self.partition.read(offset, 1 << 20, true).unwrap();
        let bytes: Bytes = found
            .slice
            .map_or_else(Vec::new, |s| s.read().unwrap())
            .into();
        records::batches(&bytes)
            .flat_map(|batch| {
                let batch = batch.unwrap();
                assert!(batch.crc_ok());
                records::records(bytes.slice_ref(batch.bytes()), 1 << 20).unwrap()
            })
            .map(|record| record.unwrap())
            .map(|record| (record.offset, record.value.unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn what_is_acknowledged_can_be_read_at_its_offsets() {
    let bench = bench(&[]);
    let first = bench
        .acked(&sent(&["a", "b"], BatchIdentity::default()))
        .await;
    assert_eq!(first.unwrap().base_offset, 0);
    let second = bench.acked(&sent(&["c"], BatchIdentity::default())).await;
    assert_eq!(second.unwrap().base_offset, 2);
    let all = [(0, "a"), (1, "b"), (2, "c")].map(|(at, v)| (at, Bytes::from(v)));
    assert_eq!(bench.read(0), all);
    assert_eq!(bench.read(2), all[2..]);
    assert_eq!(bench.partition.high_watermark(), 3);
    assert_eq!(bench.read(3), []);
    let past = bench.partition.read(4, 1, true).map(|_| ());
    assert_eq!(past, Err(ErrorCode::OffsetOutOfRange));
}

#[tokio::test]
async fn a_long_poll_is_woken_when_records_may_be_read() {
    let bench = bench(&[]);
    let wait = Arc::new(FetchWait::default());
    bench.partition.add_fetch_wait(&wait);
    bench
        .acked(&sent(&["a"], BatchIdentity::default()))
        .await
        .unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(10), wait.woken());
    woken.await.expect("woken");
    assert_eq!(bench.read(0).len(), 1);
    bench.partition.remove_fetch_wait(&wait);
}

#[tokio::test]
async fn a_retried_batch_gets_the_place_of_the_original_and_waits_for_its_safety() {
    let bench = bench(&[]);
    let batch = sent(&["a", "b"], numbered(0));
    // Whether the first sync is done by now or not, both wait for the same offset.
    let (first, again) = (Arc::new(Acks::default()), Arc::new(Acks::default()));
    let placed = bench.append(&batch, &first).unwrap();
    assert_eq!(bench.append(&batch, &again).unwrap(), placed);
    assert_eq!(again.done().await, []);
    assert!(bench.partition.high_watermark() >= 2);
    let gap = bench.acked(&sent(&["x"], numbered(5))).await.unwrap_err();
    assert_eq!(gap.code, ErrorCode::OutOfOrderSequenceNumber);
    let next = bench.acked(&sent(&["c"], numbered(2))).await.unwrap();
    assert_eq!(next.base_offset, 2);
}

#[tokio::test]
async fn without_flush_messages_1_an_append_is_acknowledged_and_read_at_once() {
    let bench = bench(&[("flush.messages", "1000000")]);
    let acks = Arc::new(Acks::default());
    bench
        .append(&sent(&["a"], BatchIdentity::default()), &acks)
        .unwrap();
    assert_eq!(bench.partition.high_watermark(), 1);
    assert_eq!(acks.done().await, []);
    assert_eq!(
        bench.partition.checkpoint().map(|at| at.recovery_point),
        Some(0)
    );
}

#[tokio::test]
async fn log_append_time_is_in_the_header_and_the_checksum_is_right() {
    let bench = bench(&[("message.timestamp.type", "LogAppendTime")]);
    let placed = bench
        .acked(&sent(&["a"], BatchIdentity::default()))
        .await
        .unwrap();
    assert_eq!(placed.log_append_time, NOW);
    assert_eq!(bench.read(0).len(), 1);
}

#[tokio::test]
async fn nobody_is_acknowledged_once_the_partition_is_out_of_service() {
    let bench = bench(&[("min.insync.replicas", "1")]);
    let batch = sent(&["a"], BatchIdentity::default());
    bench.acked(&batch).await.unwrap();
    bench
        .partition
        .end_service(ErrorCode::UnknownTopicOrPartition, "deleted");
    let refused = bench.acked(&batch).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnknownTopicOrPartition);
    let read = bench.partition.read(0, 1, true).map(|_| ());
    assert_eq!(read, Err(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(bench.partition.checkpoint(), None);
}

#[tokio::test]
async fn too_few_replicas_refuse_acks_all() {
    let bench = bench(&[("min.insync.replicas", "2")]);
    let refused = bench.acked(&sent(&["a"], BatchIdentity::default())).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::NotEnoughReplicas);
}

#[test]
fn batches_that_lie_are_refused_with_kafkas_codes() {
    use ErrorCode as E;
    let good = sent(&["a"], BatchIdentity::default());
    let patched = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Bytes::from(bytes)
    };
    let keyless = {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(NOW, None, Some(b"v"), &[]);
        builder.build(&BatchIdentity::default())
    };
    let at_time = |time: i64| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(time, None, Some(b"v"), &[]);
        builder.build(&BatchIdentity::default())
    };
    let marked = |transactional, control| {
        let identity = BatchIdentity {
            transactional,
            control,
            ..numbered(0)
        };
        sent(&["a"], identity)
    };
    let zstd = {
        let mut builder = BatchBuilder::new(Compression::Zstd);
        builder.push(NOW, None, Some(b"v"), &[]);
        builder.build(&BatchIdentity::default())
    };
    let plain: &[(&str, &str)] = &[];
    for (what, bytes, version, overrides, expected) in [
        ("fine", good.clone(), 9, plain, None),
        ("nothing", Bytes::new(), 9, plain, Some(E::CorruptMessage)),
        (
            "twice",
            [&good[..], &good[..]].concat().into(),
            9,
            plain,
            Some(E::InvalidRecord),
        ),
        (
            "old magic",
            patched(records::MAGIC, 1),
            9,
            plain,
            Some(E::InvalidRecord),
        ),
        (
            "a flipped bit",
            patched(good.len() - 2, 9),
            9,
            plain,
            Some(E::CorruptMessage),
        ),
        (
            "too large",
            good.clone(),
            9,
            &[("max.message.bytes", "20")],
            Some(E::MessageTooLarge),
        ),
        (
            "control",
            marked(false, true),
            9,
            plain,
            Some(E::InvalidRecord),
        ),
        (
            "transactional",
            marked(true, false),
            9,
            plain,
            Some(E::InvalidTxnState),
        ),
        (
            "keyless",
            keyless,
            9,
            &[("cleanup.policy", "compact")],
            Some(E::InvalidRecord),
        ),
        (
            "future",
            at_time(NOW + 3_600_001),
            9,
            plain,
            Some(E::InvalidTimestamp),
        ),
        ("soon", at_time(NOW + 3_600_000), 9, plain, None),
        ("no time", at_time(-1), 9, plain, None),
        (
            "old zstd",
            zstd.clone(),
            6,
            plain,
            Some(E::UnsupportedCompressionType),
        ),
        ("zstd", zstd, 7, plain, None),
    ] {
        let result = check(&bytes, version, &config(overrides), NOW);
        assert_eq!(result.err().map(|refusal| refusal.code), expected, "{what}");
    }
}

#[tokio::test]
async fn a_topic_can_choose_how_batches_are_stored() {
    let bench = bench(&[("compression.type", "lz4")]);
    bench.acked(&sent(&["a", "b"], numbered(0))).await.unwrap();
    let slice = bench
        .partition
        .read(0, 1 << 20, true)
        .unwrap()
        .slice
        .unwrap();
    let stored = slice.read().unwrap();
    let view = BatchView::parse(&stored).unwrap();
    assert_eq!(view.compression(), Ok(Compression::Lz4));
    assert_eq!((view.producer_id(), view.base_sequence()), (9, 0));
    assert_eq!(bench.read(1).last().unwrap(), &(1, Bytes::from("b")));
}
