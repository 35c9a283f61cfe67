//! The log directory over its lives: what the checkpoint files say at every turn.

use std::fs;

use disk::SyncPool;
use protocol::records::{BatchBuilder, BatchIdentity, Compression};

use super::*;
use crate::config::BrokerConfig;
use crate::metadata::{PartitionInfo, Topic};
use crate::partition::check;

const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// One run of a broker over a folder, without the broker.
struct Life {
    path: PathBuf,
    storage: Arc<Storage>,
    pool: SyncPool,
    config: Arc<TopicConfig>,
}

impl Life {
    fn begin(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            storage: Storage::open(RealDisk::new(), path.to_owned(), "c", 1).expect("open"),
            pool: SyncPool::start("sync", 1).expect("threads"),
            config: Arc::new(TopicConfig::new(
                &BrokerConfig::default(),
                &[("segment.bytes".to_owned(), "1048576".to_owned())].into(),
            )),
        }
    }

    fn open(&self, topic: &str, id: u128) -> Arc<Partition> {
        Partition::open(
            topic.into(),
            Uuid::from_u128(id),
            0,
            Arc::clone(&self.config),
            &self.storage,
            &self.pool,
            now_ms(),
        )
    }

    fn view(&self, partitions: &[&Arc<Partition>]) -> View {
        let mut view = View::at(1);
        for &partition in partitions {
            let info = PartitionInfo {
                leader: 1,
                leader_epoch: 0,
                replicas: vec![1],
                isr: vec![1],
                local: Some(Arc::clone(partition)),
            };
            view.put(Arc::new(Topic {
                name: Arc::clone(&partition.topic),
                wire_name: (&*partition.topic).into(),
                id: Uuid::from_u128(1),
                overrides: [].into(),
                config: Arc::clone(&self.config),
                partitions: vec![info],
            }));
        }
        view
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap_or_default()
    }

    /// Lets no checkpoint be written, as a full disk does.
    fn jam(&self) -> PathBuf {
        let jam = self.path.join(format!("{RECOVERY_POINTS}.tmp"));
        fs::create_dir(&jam).expect("jam");
        jam
    }

    fn delete(&self, partition: &Partition) {
        partition.end_service(ErrorCode::UnknownTopicOrPartition, "deleted");
        let removed =
            self.storage
                .remove_partitions(&partition.topic, &[partition.index], now_ms());
        assert!(removed);
    }

    fn stop(self, partitions: &[&Arc<Partition>]) {
        let clean = partitions.iter().all(|partition| partition.close(false));
        self.pool.stop();
        self.storage.close(&self.view(partitions), clean);
    }

    /// Ends without closing anything, and frees the folder for the next life.
    fn kill(self) {
        self.pool.stop();
        self.storage.dir.unlock();
    }
}

/// Appends so many records and syncs them.
fn append(partition: &Partition, records: i32) {
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(now_ms(), None, Some(b"value"), &[]);
    }
    let bytes = builder.build(&BatchIdentity::default());
    let batch = check(&bytes, 9, &partition.config(), now_ms()).expect("check");
    partition.append(&batch, 1, None, now_ms()).expect("append");
    partition
        .with_log(|log| {
            if let Some(flush) = log.unflushed().expect("write") {
                flush.run().expect("flush");
                log.flushed_to(&flush);
            }
        })
        .expect("online");
}

fn end(partition: &Partition) -> i64 {
    partition.with_log(|log| log.end_offset()).expect("online")
}

#[test]
fn a_deleted_topics_entry_is_struck_and_no_older_view_brings_it_back() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let old = life.open("t", 1);
    append(&old, 5);
    let before = life.view(&[&old]);
    life.storage.checkpoint(&before).expect("write");
    assert_eq!(life.file(RECOVERY_POINTS), "0\n1\nt 0 5\n");
    life.delete(&old);
    assert_eq!(life.file(RECOVERY_POINTS), "0\n0\n");
    let new = life.open("t", 2);
    append(&new, 2);
    life.storage.checkpoint(&before).expect("write");
    assert_eq!(life.file(RECOVERY_POINTS), "0\n0\n");
    life.kill();

    let life = Life::begin(folder.path());
    let new = life.open("t", 2);
    assert_eq!(end(&new), 2);
}

#[test]
fn an_entry_that_outlived_its_folder_is_not_believed_of_the_next() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let old = life.open("t", 1);
    append(&old, 5);
    life.storage.checkpoint(&life.view(&[&old])).expect("write");
    // The crash came after the folder was renamed, and before the entry was struck.
    old.end_service(ErrorCode::UnknownTopicOrPartition, "deleted");
    life.storage.doom(&[("t", 0)], 0).expect("doom");
    life.kill();

    let life = Life::begin(folder.path());
    let new = life.open("t", 2);
    append(&new, 2);
    assert_eq!(life.file(RECOVERY_POINTS), "0\n0\n");
    life.kill();
    assert_eq!(end(&Life::begin(folder.path()).open("t", 2)), 2);
}

#[test]
fn deleting_gives_room_back_also_when_the_checkpoints_cannot_be_written() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let old = life.open("t", 1);
    append(&old, 5);
    life.storage.checkpoint(&life.view(&[&old])).expect("write");
    let jam = life.jam();
    life.delete(&old);
    life.storage.remove_due(now_ms(), || false);
    let left = fs::read_dir(folder.path()).expect("list");
    let left: Vec<_> = left
        .map(|entry| entry.expect("entry").file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("t-")),
        "{left:?}"
    );
    // The files still say that t-0 reached offset 5, so nobody may write to a new one.
    let new = life.open("t", 2);
    assert!(new.with_log(|_| ()).is_err());
    fs::remove_dir(jam).expect("unjam");
    append(&life.open("t", 2), 1);
    assert_eq!(life.file(RECOVERY_POINTS), "0\n0\n");
}

#[test]
fn a_folder_that_the_last_deletion_left_behind_is_not_served() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let old = life.open("t", 1);
    append(&old, 5);
    old.end_service(ErrorCode::UnknownTopicOrPartition, "deleted");
    assert_eq!(end(&life.open("t", 2)), 0);
    // The same topic's folder is its own, also when it is opened a second time.
    append(&life.open("u", 3), 5);
    assert_eq!(end(&life.open("u", 3)), 5);
}

#[test]
fn entries_of_unclaimed_and_offline_partitions_stay() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let all = ["a", "b", "c"].map(|topic| life.open(topic, 1));
    for partition in &all {
        append(partition, 5);
    }
    life.stop(&all.each_ref());

    let log = folder.path().join("b-0/00000000000000000000.log");
    fs::write(&log, b"damaged").expect("write");
    let life = Life::begin(folder.path());
    let (a, b) = (life.open("a", 1), life.open("b", 1));
    assert!(b.with_log(|_| ()).is_err());
    append(&a, 1);
    life.storage
        .checkpoint(&life.view(&[&a, &b]))
        .expect("write");
    assert_eq!(life.file(RECOVERY_POINTS), "0\n3\na 0 6\nb 0 5\nc 0 5\n");
    life.stop(&[&a, &b]);

    let life = Life::begin(folder.path());
    assert!(life.open("b", 1).with_log(|_| ()).is_err(), "still damaged");
    assert_eq!(end(&life.open("c", 1)), 5);
}

#[test]
fn no_view_however_old_takes_back_a_log_start_that_was_answered() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let partition = life.open("t", 1);
    append(&partition, 20);
    let (empty, full) = (life.view(&[]), life.view(&[&partition]));
    std::thread::scope(|scope| {
        for view in [&empty, &full] {
            let life = &life;
            scope.spawn(move || {
                for _ in 0..20 {
                    life.storage.checkpoint(view).expect("write");
                }
            });
        }
        for start in 1..20 {
            partition
                .with_log(|log| log.delete_before(start).expect("delete"))
                .expect("online");
            life.storage.checkpoint(&full).expect("write");
            assert_eq!(life.file(LOG_STARTS), format!("0\n1\nt 0 {start}\n"));
        }
    });
}

#[test]
fn nothing_is_written_after_the_marker_of_a_clean_stop() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let (t, u) = (life.open("t", 1), life.open("u", 1));
    append(&t, 5);
    append(&u, 1);
    let storage = Arc::clone(&life.storage);
    let view = life.view(&[&t, &u]);
    // One that was opened and is in nobody's view can still move.
    life.stop(&[&t]);
    assert!(storage.checkpoint(&view).is_err());
    let said = fs::read_to_string(folder.path().join(RECOVERY_POINTS));
    assert_eq!(said.expect("read"), "0\n1\nt 0 5\n");
    assert!(Storage::open(RealDisk::new(), folder.path().to_owned(), "c", 1).is_ok());
}

#[test]
fn a_clean_marker_beside_an_older_recovery_point_is_not_believed() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let partition = life.open("t", 1);
    append(&partition, 5);
    append(&partition, 5);
    life.stop(&[&partition]);
    let points = folder.path().join(RECOVERY_POINTS);
    for stale in ["0\n1\nt 0 5\n", "0\n1\nt 0 7\n", "0\n0\n"] {
        fs::write(&points, stale).expect("write");
        let life = Life::begin(folder.path());
        assert!(life.storage.clean);
        let partition = life.open("t", 1);
        assert_eq!(end(&partition), 10, "{stale:?}");
        life.stop(&[&partition]);
    }
}

#[test]
fn a_failed_checkpoint_is_told_and_made_up_for() {
    let folder = tempfile::tempdir().expect("folder");
    let life = Life::begin(folder.path());
    let partition = life.open("t", 1);
    append(&partition, 5);
    let view = life.view(&[&partition]);
    let jam = life.jam();
    assert!(life.storage.checkpoint(&view).is_err());
    assert!(life.storage.checkpoint(&view).is_err());
    fs::remove_dir(jam).expect("unjam");
    life.storage.checkpoint(&view).expect("write");
    assert_eq!(life.file(RECOVERY_POINTS), "0\n1\nt 0 5\n");
}

#[test]
fn records_in_a_folder_that_lost_its_topics_id_are_not_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let metadata = folder.path().join("t-0/partition.metadata");
    let life = Life::begin(folder.path());
    let partition = life.open("t", 1);
    append(&partition, 5);
    life.storage
        .checkpoint(&life.view(&[&partition]))
        .expect("write");
    life.kill();
    let good = fs::read(&metadata).expect("read");
    fs::write(&metadata, vec![0; good.len()]).expect("write");

    let life = Life::begin(folder.path());
    let partition = life.open("t", 1);
    assert!(partition.with_log(|_| ()).is_err(), "offline");
    assert!(life.storage.remove_unclaimed("t", Uuid::from_u128(1)));
    life.storage.remove_due(now_ms(), || false);
    life.kill();
    fs::write(&metadata, good).expect("write");
    assert_eq!(end(&Life::begin(folder.path()).open("t", 1)), 5);
}

#[test]
fn a_clean_stop_does_not_vouch_for_what_was_not_opened_since_a_crash() {
    let folder = tempfile::tempdir().expect("folder");
    let clean = folder.path().join(".kafka_cleanshutdown");
    let life = Life::begin(folder.path());
    let (t, u) = (life.open("t", 1), life.open("u", 1));
    append(&t, 5);
    append(&u, 5);
    life.kill();

    let life = Life::begin(folder.path());
    let t = life.open("t", 1);
    life.stop(&[&t]);
    assert!(!clean.exists());

    // A folder of no topic is nobody's to open.
    let life = Life::begin(folder.path());
    let t = life.open("t", 1);
    life.storage.report_strays(&["t".to_owned()]);
    life.stop(&[&t]);
    assert!(clean.exists());
}
