//! The log on this machine's file system, by windows and by writes.

use disk::{DiskFile, RealDisk};

use super::*;

fn filled(disk: &RealDisk, dir: PathBuf) -> (Log<RealDisk>, Vec<u8>) {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..LogConfig::default()
    };
    let (mut log, _) = Log::open(disk.clone(), dir, config, hints(0, false), 0).expect("open");
    let mut random = Random(1);
    let mut bytes = Vec::new();
    for turn in 0..2000 {
        let len = match random.below(50) {
            0 => 60_000,
            _ => random.below(2000) as usize,
        };
        bytes.extend(push(&mut log, 1 + turn % 3, len).bytes());
        if turn % 100 == 0 {
            flush(&mut log);
        }
    }
    (log, bytes)
}

#[test]
fn a_log_reads_back_after_a_clean_stop_and_after_none() {
    for mapped in [0, 64 << 20] {
        let folder = tempfile::tempdir().expect("folder");
        let disk = RealDisk::with_mapped_max(mapped);
        let path = folder.path().join("topic-0");
        let (mut log, bytes) = filled(&disk, path.clone());
        let end = log.end_offset();
        assert!(log.segment_count() > 2);
        assert_eq!(read_all(&mut log, 0, end), bytes);
        let slice = log
            .read(0, 1 << 20, end, true)
            .expect("read")
            .expect("some");
        assert!(slice.file().fd().is_some());
        let checkpoint = log.flushed();
        drop(log);
        let open = |point, clean| {
            Log::open(
                disk.clone(),
                path.clone(),
                LogConfig::default(),
                hints(point, clean),
                0,
            )
        };
        let (mut log, recovered) = open(checkpoint, false).expect("open");
        assert_eq!((log.end_offset(), recovered.cuts.len()), (end, 0));
        assert_eq!(read_all(&mut log, 0, end), bytes);
        log.close_clean().expect("close");
        let (mut log, recovered) = open(end, true).expect("open");
        assert!(!recovered.scanned && log.is_parked());
        assert_eq!(read_all(&mut log, 0, end), bytes);
        assert_eq!(log.size_bytes(), bytes.len() as u64);
        assert_eq!(
            log.append(&Batch::new(end, 1, vec![5; 9]).head(), &[5; 9], 0)
                .expect("append")
                .base_offset,
            end
        );
    }
}

#[test]
fn an_idle_log_gives_its_room_map_and_descriptors_back() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = RealDisk::new();
    let path = folder.path().join("topic-0");
    let (mut log, _) =
        Log::open(disk.clone(), path.clone(), config(), hints(0, false), 0).expect("open");
    assert!(
        !disk.exists(&path).expect("exists"),
        "no files before the first append"
    );
    push(&mut log, 1, 100);
    let file = path.join("00000000000000000000.log");
    assert!(disk.file_len(&file).expect("len") > 161);
    log.park().expect("park");
    assert!(!log.is_parked(), "not while something is unflushed");
    flush(&mut log);
    log.park().expect("park");
    assert!(log.is_parked());
    assert_eq!(disk.file_len(&file).expect("len"), 161);
    push(&mut log, 1, 100);
    assert_eq!(read_all(&mut log, 0, 2).len(), 322);
}
