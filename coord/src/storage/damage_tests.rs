//! What is damaged, torn or missing: told where it is known to have been on disk, cut where it may be a torn write.

use disk::{DiskFile, Open, SimulatedDisk, read_range};

use super::tests::{Dice, Node, dir};
use super::*;
use crate::tree::{Acl, AclList, NodeRecord};

/// A closed log of five synced groups of two records in one file; returns the disk and the length of its records.
fn five_groups() -> (SimulatedDisk, u64) {
    let mut node = Node::fresh(9);
    for i in 0..5_u8 {
        node.set("/a", vec![i; 100]).unwrap();
        node.set("/b", vec![i; 100]).unwrap();
        node.sync().unwrap();
    }
    node.opened.log.roll().unwrap();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let len = node.disk.file_len(&path).unwrap();
    (node.disk.crash(), len)
}

#[test]
fn a_flipped_bit_is_told_with_file_and_position_and_nothing_is_cut() {
    let (disk, len) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let whole = open(&disk.crash(), &dir()).unwrap().tree;
    let (mut told, mut cut) = (0, 0);
    for position in 0..len {
        let disk = disk.crash();
        disk.flip_bit(&path, position, (position % 8) as u8)
            .unwrap();
        let before = disk.read(&path).unwrap();
        match open(&disk, &dir()).map(|opened| opened.tree) {
            Err(StorageError::Corrupt {
                path: told_path,
                position: at,
                ..
            }) => {
                assert_eq!(told_path, path);
                assert!(
                    at <= position && position < at + 300,
                    "{position} was told as {at}"
                );
                assert_eq!(disk.read(&path).unwrap(), before);
                told += 1;
            }
            Err(error) => panic!("{position}: {error}"),
            // Padding means nothing; and of the last group nothing says whether its sync was answered: what cannot
            // be read of it is kept aside.
            Ok(tree) if tree == whole => {}
            Ok(_) => {
                assert!(position > len - 400, "{position} of {len} was cut");
                assert_eq!(names(&disk, &dir()).unwrap().torn.len(), 1);
                cut += 1;
            }
        }
    }
    assert!(told > 1_000 && cut > 100, "{told} told, {cut} cut");
}

#[test]
fn a_torn_tail_is_cut_and_kept_aside() {
    let (disk, len) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let file = disk.open(&path, Open::Write).unwrap();
    file.write_at(&[std::io::IoSlice::new(b"half a record of some sort")], len)
        .unwrap();
    file.sync().unwrap();
    let opened = open(&disk, &dir()).unwrap();
    assert_eq!(opened.tree.applied(), Zxid::new(1, 10));
    assert_eq!(disk.file_len(&path).unwrap(), len);
    let torn = disk.read(&dir().join(torn_name(Zxid::new(1, 1)))).unwrap();
    assert_eq!(torn, b"half a record of some sort");
}

#[test]
fn a_missing_log_file_is_told() {
    let mut node = Node::fresh(3);
    for i in 0..3_u8 {
        node.set("/a", vec![i]).unwrap();
        node.sync().unwrap();
        node.opened.log.roll().unwrap();
    }
    let disk = node.disk.crash();
    for missing in 1..3 {
        let disk = disk.crash();
        disk.remove(&dir().join(log_name(Zxid::new(1, missing))))
            .unwrap();
        let error = open(&disk, &dir()).err().unwrap();
        let after = Zxid::new(1, missing - 1).0 & if missing == 1 { 0 } else { u64::MAX };
        assert!(
            matches!(error, StorageError::Missing { after: a, before, .. } if a.0 == after && before == Zxid::new(1, missing)),
            "{missing}: {error}"
        );
    }
}

fn snapshot(node: &Node) {
    let start = node.opened.tree.applied();
    let mut writer = SnapshotWriter::begin(&node.disk, &dir(), start).unwrap();
    let mut nodes = Vec::new();
    node.opened.tree.walk(None, &mut |record| {
        nodes.push(record);
        true
    });
    writer.nodes(&nodes).unwrap();
    writer.finish(start).unwrap();
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_an_older_one() {
    let mut node = Node::fresh(4);
    for i in 0..4_u8 {
        node.set("/a", vec![i]).unwrap();
        node.sync().unwrap();
        snapshot(&node);
        node.opened.log.roll().unwrap();
        Log::purge(&node.disk, &dir(), 3).unwrap();
    }
    let names = names(&node.disk, &dir()).unwrap();
    assert_eq!(names.snapshots.len(), 3, "three snapshots are kept,");
    assert_eq!(
        names.logs.len(),
        2,
        "and the logs that the oldest of them needs"
    );
    for damaged in [1, 2, 3] {
        let disk = node.disk.crash();
        for zxid in names.snapshots.iter().rev().take(damaged) {
            disk.flip_bit(&dir().join(snapshot_name(*zxid)), 40, 3)
                .unwrap();
        }
        match open(&disk, &dir()) {
            Ok(opened) => {
                assert!(damaged < 3);
                assert_eq!(opened.tree, node.opened.tree);
            }
            Err(error) => assert!(
                damaged == 3 && matches!(error, StorageError::Missing { .. }),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_log_that_ends_before_a_snapshots_fuzzy_part_is_told() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1]).unwrap();
    node.sync().unwrap();
    bare_snapshot(&node, Zxid::new(1, 7));
    let error = refusal(&node.disk);
    assert!(
        matches!(error, StorageError::Missing { before, .. } if before == Zxid::new(1, 7)),
        "{error}"
    );
}

#[test]
fn a_newer_format_and_damaged_epochs_are_told() {
    let (disk, _) = five_groups();
    let path = dir().join(log_name(Zxid::new(1, 1)));
    let file = disk.open(&path, Open::Write).unwrap();
    let mut head = read_range(&file, 0, 32).unwrap();
    head[11] = 9;
    let crc = crc32c::crc32c(&head[..24]);
    head[24..28].copy_from_slice(&crc.to_be_bytes());
    file.write_at(&[std::io::IoSlice::new(&head)], 0).unwrap();
    let error = open(&disk, &dir()).err().unwrap();
    assert!(
        matches!(error, StorageError::NewerFormat { found: 9, .. }),
        "{error}"
    );

    let (disk, _) = five_groups();
    disk.replace(&dir().join("currentEpoch"), b"no number")
        .unwrap();
    let error = open(&disk, &dir()).err().unwrap();
    assert!(
        error.to_string().contains("currentEpoch is corrupt"),
        "{error}"
    );
}

/// A snapshot without znodes, of this start and reach.
fn bare_snapshot(node: &Node, reached: Zxid) {
    let start = node.opened.tree.applied();
    let writer = SnapshotWriter::begin(&node.disk, &dir(), start).unwrap();
    writer.finish(reached).unwrap();
}

fn path_of(first: Zxid) -> std::path::PathBuf {
    dir().join(log_name(first))
}

/// Opens what is left of a disk, which must fail and change nothing.
fn refusal(disk: &SimulatedDisk) -> StorageError {
    let disk = disk.crash();
    let contents = |disk: &SimulatedDisk| {
        let names = disk.read_dir(&dir()).unwrap().into_iter();
        let read = |name: String| (disk.read(&dir().join(&name)).unwrap(), name);
        names
            .map(|entry| read(entry.name))
            .filter(|(_, name)| name != "lock")
            .collect::<Vec<_>>()
    };
    let before = contents(&disk);
    let error = open(&disk, &dir()).err().expect("is refused");
    assert_eq!(contents(&disk), before);
    error
}

#[test]
fn a_damaged_end_that_a_snapshot_reaches_past_is_told_and_not_cut() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1]).unwrap();
    node.sync().unwrap();
    let start = node.opened.tree.applied();
    for i in 2..5 {
        node.set("/a", vec![i; 100]).unwrap();
    }
    node.sync().unwrap();
    let reached = node.opened.tree.applied();
    node.opened.log.roll().unwrap();
    let path = path_of(start);
    let len = node.disk.file_len(&path).unwrap();
    node.disk.flip_bit(&path, len - 300, 0).unwrap();
    bare_snapshot(&node, reached);
    let error = refusal(&node.disk);
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert!(
        error.to_string().contains("a snapshot reaches up to 0x"),
        "{error}"
    );
}

#[test]
fn a_snapshot_that_cannot_be_read_still_says_how_far_the_log_went() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1]).unwrap();
    node.sync().unwrap();
    node.opened.log.roll().unwrap();
    snapshot(&node);
    let last = node.opened.tree.applied();
    node.disk
        .flip_bit(&dir().join(snapshot_name(last)), 40, 3)
        .unwrap();
    node.disk.remove(&path_of(last)).unwrap();
    node.disk.sync_dir(&dir()).unwrap();
    let error = refusal(&node.disk);
    assert!(
        matches!(error, StorageError::Missing { before, .. } if before == last),
        "{error}"
    );
}

#[test]
fn after_a_clean_end_damage_in_the_last_group_is_told() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1; 100]).unwrap();
    node.sync().unwrap();
    node.opened.log.seal().unwrap();
    let (first, disk) = (node.opened.tree.applied(), node.disk.crash());
    let opened = open(&disk.crash(), &dir()).unwrap();
    assert_eq!(opened.tree, node.opened.tree);
    disk.flip_bit(&path_of(first), 60, 0).unwrap();
    let error = refusal(&disk);
    assert!(
        error.to_string().contains("another file follows"),
        "{error}"
    );
    let files = |disk: &SimulatedDisk| names(disk, &dir()).unwrap().logs.len();
    let before = files(&node.disk);
    node.opened.log.seal().unwrap();
    assert_eq!(files(&node.disk), before, "one empty file is enough");
}

#[test]
fn a_file_without_a_header_goes_only_if_nothing_was_ever_in_it() {
    let mut node = Node::fresh(4);
    node.set("/a", vec![1; 100]).unwrap();
    node.sync().unwrap();
    let first = node.opened.tree.applied();
    // The header and the record's own head are lost, so that no record can be found.
    for position in [0, 34] {
        node.disk.flip_bit(&path_of(first), position, 0).unwrap();
    }
    let error = refusal(&node.disk);
    assert!(error.to_string().contains("header"), "{error}");

    let disk = Node::fresh(5).disk;
    let file = disk.open(&path_of(first), Open::Create).unwrap();
    file.allocate(0, 4096).unwrap();
    file.sync().unwrap();
    disk.sync_dir(&dir()).unwrap();
    let disk = disk.crash();
    open(&disk, &dir()).unwrap();
    assert!(!disk.exists(&path_of(first)).unwrap());
}

/// Took minutes while every place that looked like a record's head had its checksum reckoned.
#[test]
fn a_long_torn_write_of_noise_is_cut_within_a_moment() {
    let (disk, len) = five_groups();
    let path = path_of(Zxid::new(1, 1));
    let mut dice = Dice(7);
    let noise: Vec<u8> = (0..8 << 20).map(|_| dice.roll(256) as u8).collect();
    let file = disk.open(&path, Open::Write).unwrap();
    file.write_at(&[std::io::IoSlice::new(&noise)], len)
        .unwrap();
    file.sync().unwrap();
    open(&disk, &dir()).unwrap();
    assert_eq!(disk.file_len(&path).unwrap(), len);
}

#[test]
fn a_snapshot_holds_znodes_of_any_lists_side_by_side() {
    let mut node = Node::fresh(1);
    node.set("/a", vec![]).unwrap();
    node.sync().unwrap();
    let mut records = Vec::new();
    node.opened.tree.walk(None, &mut |record| {
        records.push(record);
        true
    });
    let sample = records.iter().find(|r| r.path == "/a").unwrap().clone();
    let with_list = |n: usize, bytes: usize| {
        let id = format!("u{n}:{}", "x".repeat(bytes));
        let acl = AclList::of(vec![Acl::new(31, "digest", id)]);
        let path = format!("/b{n:05}");
        NodeRecord {
            path,
            acl,
            ..sample.clone()
        }
    };
    // A few lists of a megabyte, and more lists than are looked at for a second use.
    records.extend((0..5).map(|n| with_list(n, 1 << 20)));
    records.extend((5..4_000).map(|n| with_list(n, 1_200)));
    let start = node.opened.tree.applied();
    let mut writer = SnapshotWriter::begin(&node.disk, &dir(), start).unwrap();
    writer.nodes(&records).unwrap();
    writer.finish(start).unwrap();
    let tree = snapshot::load(&node.disk, &dir(), start).unwrap().tree;
    let held = |record: &NodeRecord| tree.acl(&record.path) == Some(&record.acl);
    assert!(records.iter().all(held));
    let mut writer = SnapshotWriter::begin(&node.disk, &dir(), start).unwrap();
    let huge = [with_list(0, 5 << 20)];
    let refused = writer.nodes(&huge).unwrap_err().to_string();
    assert!(refused.contains("4194304"), "{refused}");
}
