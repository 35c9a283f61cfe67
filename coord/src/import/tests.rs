//! What a ZooKeeper 3.9 has written, under `tests/fixtures/zookeeper`, whole and damaged.

use std::fs;
use std::path::{Path, PathBuf};

use disk::RealDisk;
use tempfile::TempDir;

use super::adler::adler32;
use super::{ImportError, import, snapshot, versioned};
use crate::Zxid;
use crate::storage;
use crate::tree::{Acl, AclList, Stat, Tree, perms};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zookeeper")
}

/// A copy of the recorded files that may be damaged.
fn copy() -> TempDir {
    let dir = TempDir::new().unwrap();
    for entry in fs::read_dir(recorded().join("version-2")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// Imports, opens what was written as the service does, and gives the tree.
fn imported(from: &Path) -> Result<(super::Imported, Tree), ImportError> {
    let room = TempDir::new().unwrap();
    let into = room.path().join("milena");
    let disk = RealDisk::new();
    let outcome = import(&disk, from, None, &into);
    if outcome.is_err() {
        assert_eq!(
            fs::read_dir(room.path()).unwrap().count(),
            0,
            "nothing is left"
        );
    }
    let imported = outcome?;
    let opened = storage::open(&disk, &into).unwrap();
    Ok((imported, opened.tree))
}

/// All that clients can see. What is stored of a quota's counts is not: they are reckoned.
fn seen(tree: &Tree) -> Vec<(String, bytes::Bytes, Stat, AclList)> {
    let mut seen = Vec::new();
    tree.walk(None, &mut |node| {
        let (data, stat) = tree.get(&node.path).unwrap();
        seen.push((node.path, data, stat, node.acl));
        true
    });
    seen
}

fn refused(from: &Path) -> String {
    imported(from).unwrap_err().to_string()
}

#[test]
fn what_a_zookeeper_has_written_is_taken_over_with_all_its_numbers() {
    let (imported, tree) = imported(&recorded()).unwrap();
    assert_eq!(imported.snapshot, Some(Zxid(0x2e)));
    assert_eq!(imported.znodes, 31);
    assert_eq!(imported.ephemerals, 1);
    assert_eq!(imported.torn, None);
    assert_eq!(tree.applied(), imported.zxid);

    let (data, stat) = tree.get("/app/a").unwrap();
    assert_eq!(&data[..], b"one-again");
    let numbers = (stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.version);
    assert_eq!(numbers, (3, 7, 3, 2));
    assert_eq!(
        (stat.ctime, stat.mtime),
        (1_795_457_292_405, 1_795_457_292_418)
    );
    let app = tree.exists("/app").unwrap();
    assert_eq!(
        (app.cversion, app.num_children, app.pzxid),
        (16, 12, Zxid(0x1b))
    );
    assert_eq!(tree.exists("/app/gone"), None);
    assert_eq!(tree.exists("/n/3"), None, "of a multi that failed");
    assert_eq!(tree.exists("/n").unwrap().version, 1);
    assert_eq!(
        tree.acl("/app/mixed").unwrap().lines(),
        [
            Acl::new(perms::READ, "world", "anyone"),
            Acl::new(perms::READ | perms::WRITE, "ip", "10.0.0.0/8"),
            Acl::new(perms::ALL, "digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="),
        ]
    );
    let (stats, _) = tree
        .get("/zookeeper/quota/app/box2/zookeeper_stats")
        .unwrap();
    assert_eq!(&stats[..], b"count=2,bytes=2");
}

#[test]
fn a_session_is_carried_over_with_the_password_that_its_client_has() {
    let (_, tree) = imported(&recorded()).unwrap();
    let id = 0x0100_0122_636d_0000;
    assert_eq!(tree.ephemerals(id).collect::<Vec<_>>(), ["/n/e"]);
    let session = tree.session(id).unwrap();
    assert_eq!(session.timeout_ms, 30_000);
    assert_eq!(
        session.password.0,
        0x09d2_59f4_62b5_d3f7_8f12_7394_7ba9_214b_u128.to_be_bytes()
    );
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_an_older_one_and_the_log() {
    let (_, whole) = imported(&recorded()).unwrap();
    let dir = copy();
    let path = dir.path().join("snapshot.2e");
    let bytes = fs::read(&path).unwrap();
    for at in [0, 30, 500, bytes.len() / 2, bytes.len() - 100] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let (outcome, tree) = imported(dir.path()).unwrap();
        assert_eq!(outcome.snapshot, Some(Zxid::ZERO), "byte {at}");
        assert_eq!(seen(&tree), seen(&whole), "byte {at}");
    }
}

#[test]
fn replay_over_a_snapshot_and_from_the_first_transaction_on_ends_in_the_same_tree() {
    let (_, whole) = imported(&recorded()).unwrap();
    let dir = copy();
    fs::remove_file(dir.path().join("snapshot.2e")).unwrap();
    let (_, replayed) = imported(dir.path()).unwrap();
    assert_eq!(seen(&replayed), seen(&whole));
}

#[test]
fn a_torn_last_record_is_the_end_and_damage_before_sound_records_is_an_error_with_its_place() {
    let dir = copy();
    let path = dir.path().join("log.2f");
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = bytes.clone();
    torn[end - 5..].fill(0);
    fs::write(&path, &torn).unwrap();
    let (outcome, tree) = imported(dir.path()).unwrap();
    let (_, whole) = imported(&recorded()).unwrap();
    assert_eq!(tree.applied().0, whole.applied().0 - 1);
    assert_eq!(outcome.torn.unwrap().0, path);

    let mut damaged = bytes;
    damaged[60] ^= 1;
    fs::write(&path, damaged).unwrap();
    let error = refused(dir.path());
    assert!(error.contains("log.2f is damaged at byte 16"), "{error}");
}

#[test]
fn a_log_that_is_not_there_is_missed() {
    let dir = copy();
    fs::remove_file(dir.path().join("log.1")).unwrap();
    fs::remove_file(dir.path().join("snapshot.2e")).unwrap();
    let error = refused(dir.path());
    assert!(error.contains("after 0x0 up to 0x2f is missing"), "{error}");

    let dir = copy();
    fs::remove_file(dir.path().join("log.1")).unwrap();
    fs::remove_file(dir.path().join("log.2f")).unwrap();
    assert!(refused(dir.path()).contains("--logs"));
    let empty = TempDir::new().unwrap();
    assert!(refused(empty.path()).contains("name ZooKeeper's dataDir"));
    fs::write(dir.path().join("snapshot.ff.gz"), b"x").unwrap();
    assert!(refused(dir.path()).contains("is compressed"));
}

#[test]
fn a_gap_behind_an_older_snapshot_or_between_epochs_is_an_error() {
    let dir = copy();
    let newest = dir.path().join("snapshot.2e");
    let whole = fs::read(&newest).unwrap();
    fs::write(&newest, b"ZKSN").unwrap();
    fs::rename(dir.path().join("log.1"), dir.path().join("kept")).unwrap();
    let error = refused(dir.path());
    assert!(error.contains("after 0x0 up to 0x2f is missing"), "{error}");

    // The log ends before what the damaged snapshot is known to have held.
    fs::remove_file(dir.path().join("log.2f")).unwrap();
    let log = fs::read(dir.path().join("kept")).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(dir.path().join("log.1"), &log[..end - 4]).unwrap();
    let error = refused(dir.path());
    assert!(
        error.contains("log.1 is damaged at byte") && error.contains("0x2e is known to have been"),
        "{error}"
    );

    // An epoch begins at 1.
    fs::write(dir.path().join("log.1"), log).unwrap();
    fs::write(&newest, whole).unwrap();
    let later = dir.path().join("log.100000005");
    fs::copy(recorded().join("version-2/log.2f"), later).unwrap();
    let error = refused(dir.path());
    assert!(error.contains("up to 0x100000005 is missing"), "{error}");
}

/// The newest recorded snapshot, where `/app/a` has an access control list of a number that is not in it.
fn with_unknown_list() -> Vec<u8> {
    let mut bytes = fs::read(recorded().join("version-2/snapshot.2e")).unwrap();
    let znode = b"/app/a\0\0\0\x09one-again\0\0\0\0\0\0\0\x02";
    let at = place(&bytes, znode) + znode.len();
    bytes[at - 1] = 99;
    sealed(bytes)
}

fn place(bytes: &[u8], part: &[u8]) -> usize {
    let found = bytes.windows(part.len()).position(|window| window == part);
    found.unwrap()
}

/// With the sum that it should have.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mark = b"\0\0\0\x01/";
    let is_end = |at: &usize| bytes[*at..].starts_with(mark) && bytes[at + 13..].starts_with(mark);
    let end = (0..bytes.len() - 18).find(is_end).unwrap() + mark.len();
    let sum = u64::from(adler32(&bytes[..end]));
    bytes[end..end + 8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn an_unknown_list_permits_nothing_and_is_an_error_where_the_log_never_brings_it() {
    let dir = copy();
    let path = dir.path().join("snapshot.2e");
    fs::write(&path, with_unknown_list()).unwrap();
    let loaded = snapshot::load(&path, Zxid(0x2e)).unwrap_or_else(|error| panic!("{error}"));
    let list = loaded.tree.acl("/app/a").unwrap();
    assert!(!list.is_open() && !list.lines().is_empty());
    assert!(list.lines().iter().all(|line| line.perms == 0));
    let error = refused(dir.path());
    assert!(
        error.contains("\"/app/a\": the snapshot does not have its access control list"),
        "{error}"
    );
}

#[test]
fn an_unknown_list_of_a_fuzzy_snapshot_comes_with_the_log() {
    let (_, whole) = imported(&recorded()).unwrap();
    let dir = copy();
    fs::remove_file(dir.path().join("snapshot.2e")).unwrap();
    // It was begun after transaction 2 and shows all that came until 0x2e.
    fs::write(dir.path().join("snapshot.2"), with_unknown_list()).unwrap();
    let (outcome, tree) = imported(dir.path()).unwrap();
    assert_eq!(outcome.snapshot, Some(Zxid(2)));
    assert_eq!(seen(&tree), seen(&whole));
}

#[test]
fn lengths_that_are_longer_than_their_file_are_damage() {
    let bytes = fs::read(recorded().join("version-2/snapshot.2e")).unwrap();
    let dir = copy();
    let path = dir.path().join("snapshot.2e");
    let data = place(&bytes, b"/app/a\0\0\0\x09") + 6;
    let sessions = 16;
    for at in [sessions, data] {
        for length in [i32::MAX, i32::MIN, 1 << 24] {
            let mut hostile = bytes.clone();
            hostile[at..at + 4].copy_from_slice(&length.to_be_bytes());
            fs::write(&path, hostile).unwrap();
            let error = snapshot::load(&path, Zxid(0x2e)).err().unwrap().to_string();
            assert!(
                error.contains("are left") || error.contains("a length of"),
                "{error}"
            );
        }
    }
    let dir = copy();
    let path = dir.path().join("log.2f");
    let mut log = fs::read(&path).unwrap();
    // The first record's length.
    log[24..28].copy_from_slice(&i32::MAX.to_be_bytes());
    fs::write(&path, log).unwrap();
    let error = refused(dir.path());
    assert!(error.contains("log.2f is damaged at byte 16"), "{error}");
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let room = TempDir::new().unwrap();
    fs::write(room.path().join("mine"), b"x").unwrap();
    let outcome = import(&RealDisk::new(), &recorded(), None, room.path());
    assert!(matches!(outcome, Err(ImportError::NotEmpty { .. })));
}

#[test]
fn damage_anywhere_gives_an_error_or_a_tree_and_no_panic() {
    for name in ["snapshot.2e", "log.1", "log.2f"] {
        let dir = copy();
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] = !damaged[at];
            fs::write(&path, damaged).unwrap();
            let source = versioned(dir.path());
            let _ = super::replay(&source, &source, false);
        }
    }
}

#[test]
fn large_znodes_side_by_side_can_be_started_from() {
    const LEN: usize = 1 << 20;
    let dir = copy();
    let path = dir.path().join("snapshot.2e");
    let mut bytes = fs::read(&path).unwrap();
    let end = place(&bytes, b"\0\0\0\x01/");
    let mut znodes = Vec::new();
    for n in 0..6 {
        let path = format!("/large{n}");
        znodes.extend((path.len() as u32).to_be_bytes());
        znodes.extend(path.as_bytes());
        znodes.extend((LEN as u32).to_be_bytes());
        znodes.extend(vec![b'x'; LEN]);
        znodes.extend((-1_i64).to_be_bytes());
        znodes.extend([0; 60]);
    }
    bytes.splice(end..end, znodes);
    fs::write(&path, sealed(bytes)).unwrap();
    let (outcome, tree) = imported(dir.path()).unwrap();
    assert_eq!(outcome.snapshot, Some(Zxid(0x2e)));
    assert_eq!(tree.get("/large5").unwrap().0.len(), LEN);
}
