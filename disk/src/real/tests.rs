use super::*;
use crate::{AppendFile, DiskFile, Small, read_range};
use std::io::IoSlice;

#[test]
fn files_are_written_replaced_renamed_and_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = RealDisk::new();
    let dir = folder.path().join("a/b");
    disk.create_dir_all(&dir).expect("create");
    let path = dir.join("file");
    disk.replace(&path, b"one").expect("replace");
    disk.replace(&path, b"three").expect("replace");
    assert_eq!(disk.read(&path).expect("read"), b"three");
    assert_eq!(disk.file_len(&path).expect("len"), 5);
    disk.rename(&path, &dir.join("other")).expect("rename");
    disk.sync_dir(&dir).expect("sync");
    let names: Vec<_> = disk
        .read_dir(&dir)
        .expect("list")
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["other"]);
    disk.remove(&dir.join("other")).expect("remove");
    let error = disk.read(&path).expect_err("gone");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("a/b/file"), "{error}");
    assert!(disk.space(&dir).expect("space").total > 0);
    assert_eq!(disk.health().failure(), None);
}

#[test]
fn a_lock_is_held_once() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(".lock");
    let disk = RealDisk::new();
    let held = disk.lock(&path).expect("lock");
    assert!(held.is_some());
    assert!(disk.lock(&path).expect("lock").is_none());
    drop(held);
    assert!(disk.lock(&path).expect("lock").is_some());
}

/// Appends of both kinds through a disk with this bound on windows, then reads all back.
fn appended(mapped_max: usize, small: Small) {
    let folder = tempfile::tempdir().expect("folder");
    let disk = RealDisk::with_mapped_max(mapped_max);
    let path = folder.path().join("log");
    let file = disk.open(&path, Open::Create).expect("open");
    let mut appender = AppendFile::new(file, 0, 8 << 20).expect("appender");
    let mut expected = Vec::new();
    for turn in 0..3000_u32 {
        let len = match turn % 97 {
            0 => 70_000,
            other => other as usize * 7,
        };
        let head = turn.to_be_bytes();
        let body = vec![turn as u8; len];
        appender.append(&head, &body, small).expect("append");
        expected.extend_from_slice(&head);
        expected.extend_from_slice(&body);
        if turn % 50 == 0 {
            let synced = appender.sync_range().and_then(|range| range.run());
            synced.expect("sync");
            assert_eq!(appender.segment().published(), expected.len() as u64);
        }
    }
    let sealed = appender.seal().expect("seal");
    assert_eq!(disk.file_len(&path).expect("len"), expected.len() as u64);
    assert_eq!(
        read_range(sealed.file(), 0, usize::MAX).expect("read"),
        expected
    );
    assert!(sealed.file().is_cached(0, expected.len() as u64));
    let mut past = [0; 8];
    assert_eq!(
        sealed
            .read_at(&mut past, expected.len() as u64)
            .expect("read"),
        0
    );
    assert_eq!(
        disk.shared
            .mapped
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn what_is_appended_by_window_or_by_write_reads_back() {
    appended(64 << 20, Small::Stored);
    appended(64 << 20, Small::Gathered);
}

#[test]
fn without_room_for_windows_every_append_is_written() {
    appended(0, Small::Stored);
    appended(32 << 10, Small::Stored);
}

#[test]
fn a_full_device_is_an_error_that_makes_the_disk_final() {
    let disk = RealDisk::new();
    let Ok(file) = disk.open(Path::new("/dev/full"), Open::Write) else {
        return;
    };
    assert!(file.write_at(&[IoSlice::new(b"x")], 0).is_err());
    let reason = disk.health().failure().expect("failed");
    assert!(reason.contains("/dev/full"), "{reason}");
    assert!(disk.replace(Path::new("/tmp/never"), b"x").is_err());
}

#[test]
fn reserved_room_is_passed_over_without_reading_it() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = RealDisk::new();
    let path = folder.path().join("f");
    let file = disk.open(&path, Open::Create).expect("open");
    file.write_at(&[IoSlice::new(&[7; 100])], 0).expect("write");
    if file.allocate(100, 1 << 20).is_err() {
        return;
    }
    file.write_at(&[IoSlice::new(&[7; 100])], 1 << 19)
        .expect("write");
    file.sync().expect("sync");
    assert_eq!(file.next_data(50).expect("seek"), Some(50));
    let next = file.next_data(1 << 17).expect("seek").expect("data");
    assert!((1 << 17..=1 << 19).contains(&next));
    let last = file.next_data((1 << 19) + 100).expect("seek");
    assert!(last.is_none_or(|at| at >= (1 << 19) + 100));
    assert_eq!(file.next_data(2 << 20).expect("seek"), None);
}
