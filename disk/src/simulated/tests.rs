use super::*;
use crate::{DiskFile, read_range};
use std::collections::BTreeSet;
use std::io::IoSlice;

fn written(disk: &SimulatedDisk, path: &str, bytes: &[u8]) -> SimulatedFile {
    let file = disk.open(Path::new(path), Open::Create).expect("open");
    file.write_at(&[IoSlice::new(bytes)], 0).expect("write");
    file
}

#[test]
fn what_was_synced_with_its_folder_survives_every_crash() {
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed);
        written(&disk, "/a", &[7; 2000]).sync().expect("sync");
        disk.sync_dir(Path::new("/")).expect("sync");
        assert_eq!(disk.crash().read(Path::new("/a")).expect("read"), [7; 2000]);
    }
}

#[test]
fn what_was_not_synced_is_kept_or_lost_by_sector_size_and_name() {
    let (mut lengths, mut patterns, mut names) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..2000 {
        let disk = SimulatedDisk::new(seed);
        let file = written(&disk, "/a", &[1; 1024]);
        file.sync().expect("sync");
        disk.sync_dir(Path::new("/")).expect("sync");
        file.write_at(&[IoSlice::new(&[2; 2048])], 0)
            .expect("write");
        written(&disk, "/b", &[]);
        let left = disk.crash();
        let bytes = left.read(Path::new("/a")).expect("read");
        lengths.insert(bytes.len());
        patterns.insert(
            bytes
                .chunks(512)
                .map(|sector| sector[0])
                .collect::<Vec<_>>(),
        );
        names.insert(left.exists(Path::new("/b")).expect("exists"));
    }
    assert_eq!(lengths, BTreeSet::from([1024, 2048]));
    assert_eq!(patterns.len(), 4 + 16);
    assert_eq!(names.len(), 2);
}

#[test]
fn a_replacement_is_the_old_or_the_new_file_whatever_fails() {
    let path = Path::new("/state");
    let (mut old, mut new) = (0, 0);
    for seed in 0..400 {
        let disk = SimulatedDisk::new(seed);
        disk.replace(path, &[1; 900]).expect("replace");
        disk.set_faults(Faults {
            syncs_until_failure: (seed % 3 < 2).then_some(seed % 3),
            ..Faults::default()
        });
        let replaced = disk.replace(path, &[2; 1800]).is_ok();
        match disk.crash().read(path).expect("read").as_slice() {
            bytes if bytes == [1; 900] && !replaced => old += 1,
            bytes if bytes == [2; 1800] => new += 1,
            bytes => panic!("seed {seed}: {} bytes that nobody wrote", bytes.len()),
        }
    }
    assert!(old > 0 && new > 0);
}

#[test]
fn a_failed_sync_is_final_and_its_pages_show_once_the_cache_is_dropped() {
    let disk = SimulatedDisk::new(3);
    let file = written(&disk, "/a", &[5; 32 * 512]);
    disk.set_faults(Faults {
        syncs_until_failure: Some(0),
        ..Faults::default()
    });
    assert!(file.sync().is_err());
    let again = file.sync().expect_err("final").to_string();
    assert!(again.contains("earlier failure"), "{again}");
    assert!(file.write_at(&[IoSlice::new(b"x")], 0).is_err());
    assert_eq!(read_range(&file, 0, 1 << 20).expect("read"), [5; 32 * 512]);
    file.drop_cache(0).expect("drop");
    assert_ne!(read_range(&file, 0, 1 << 20).expect("read"), [5; 32 * 512]);
}

#[test]
fn a_full_disk_refuses_room_and_recovers() {
    let disk = SimulatedDisk::new(1);
    disk.set_faults(Faults {
        space: Some(1000),
        ..Faults::default()
    });
    let file = written(&disk, "/a", &[1; 600]);
    let error = file.allocate(600, 600).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.health().failure(), None);
    disk.set_faults(Faults::default());
    file.allocate(600, 600).expect("room again");
}

#[test]
fn a_lock_is_held_once() {
    let disk = SimulatedDisk::new(1);
    let held = disk.lock(Path::new("/.lock")).expect("lock");
    assert!(held.is_some());
    assert!(disk.lock(Path::new("/.lock")).expect("lock").is_none());
    drop(held);
    assert!(disk.lock(Path::new("/.lock")).expect("lock").is_some());
}
