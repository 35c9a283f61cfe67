//! Files made by hand, as ZooKeeper 3.9 writes them.

use std::path::Path;

use bytes::BytesMut;
use disk::{Disk, SimulatedDisk};

use super::*;
use crate::listener::jute::Writer;
use crate::{Coord, CoordConfig};

const FROM: &str = "/zk";
const INTO: &str = "/data/milena";

fn write(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    fill(&mut Writer::new(&mut out));
    out.to_vec()
}

fn open_acl(w: &mut Writer<'_>) {
    w.int(1);
    w.int(31);
    w.string("world");
    w.string("anyone");
}

/// A snapshot with these znodes: path, data, owner and children ever created.
fn snapshot(nodes: &[(&str, &str, i64, i32)]) -> Vec<u8> {
    let mut bytes = write(|w| {
        w.int(i32::from_be_bytes(*b"ZKSN"));
        w.int(2);
        w.long(-1);
        w.int(1);
        w.long(77);
        w.int(4_000);
        w.int(1);
        w.long(1);
        w.int(1);
        w.int(1);
        w.string("digest");
        w.string("u:x");
        for (path, data, owner, children) in nodes {
            w.string(path);
            w.buffer(data.as_bytes());
            w.long(if path.contains("secret") { 1 } else { -1 });
            for number in [2, 3, 10, 11] {
                w.long(number);
            }
            w.int(4);
            w.int(*children);
            w.int(6);
            w.long(*owner);
            w.long(5);
        }
        w.string("/");
    });
    let sum = adler32(&bytes);
    bytes.extend(i64::from(sum).to_be_bytes());
    bytes.extend(write(|w| w.string("/")));
    bytes
}

fn txn(zxid: i64, kind: i32, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let txn = write(|w| {
        w.long(77);
        w.int(1);
        w.long(zxid);
        w.long(1_000 + zxid);
        w.int(kind);
        body(w);
    });
    let mut bytes = u64::from(adler32(&txn)).to_be_bytes().to_vec();
    bytes.extend(write(|w| w.buffer(&txn)));
    bytes.push(0x42);
    bytes
}

fn log(txns: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = write(|w| {
        w.int(i32::from_be_bytes(*b"ZKLG"));
        w.int(2);
        w.long(0);
    });
    bytes.extend(txns.concat());
    bytes.extend([0; 100]);
    bytes
}

fn create(zxid: i64, path: &str, ephemeral: bool, children: i32) -> Vec<u8> {
    txn(zxid, 1, |w| {
        w.string(path);
        w.buffer(b"new");
        open_acl(w);
        w.bool(ephemeral);
        w.int(children);
    })
}

fn disk(files: &[(&str, Vec<u8>)]) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    disk.create_dir_all(Path::new(FROM)).unwrap();
    disk.create_dir_all(Path::new("/data")).unwrap();
    for (name, bytes) in files {
        disk.replace(&Path::new(FROM).join(name), bytes).unwrap();
    }
    disk
}

fn run(disk: &SimulatedDisk) -> Result<Imported, ImportError> {
    import(disk, Path::new(FROM), Path::new(FROM), Path::new(INTO))
}

#[tokio::test]
async fn a_snapshot_and_the_logs_after_it_become_a_tree() {
    let nodes = [
        ("", "", 0, 9),
        ("/a", "old", 0, 3),
        ("/a/secret", "s", 0, 0),
        ("/e", "", 77, 0),
        ("/zookeeper", "", 0, 0),
    ];
    let multi = txn(8, 14, |w| {
        w.int(2);
        w.int(5);
        w.buffer(&write(|w| {
            w.string("/a");
            w.buffer(b"set");
            w.int(9);
        }));
        w.int(2);
        w.buffer(&write(|w| w.string("/b")));
    });
    let failed = txn(9, 14, |w| {
        w.int(1);
        w.int(-1);
        w.buffer(&write(|w| w.int(-101)));
    });
    let files = [
        ("snapshot.3", snapshot(&nodes[..1])),
        ("snapshot.5", snapshot(&nodes)),
        ("snapshot.7", b"ZKSN damaged".to_vec()),
        (
            "log.4",
            log(&[
                create(4, "/not-again", false, 5),
                create(6, "/b", false, 10),
            ]),
        ),
        (
            "log.7",
            log(&[
                create(7, "/a/c", false, 4),
                multi,
                failed,
                create(10, "/e2", true, 11),
            ]),
        ),
    ];
    let disk = disk(&files);
    let imported = run(&disk).unwrap();
    assert_eq!(
        (imported.znodes, imported.ephemerals, imported.zxid),
        (5, 2, Zxid(10))
    );
    assert!(matches!(run(&disk), Err(ImportError::NotEmpty(_))));
    let (_coord, handle) = Coord::start(disk, Path::new(INTO), CoordConfig::default()).unwrap();
    let session = handle
        .open_session(std::time::Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(session.children("/").unwrap(), ["a", "zookeeper"]);
    assert_eq!(session.children("/a").unwrap(), ["c", "secret"]);
    let (data, stat) = session.get("/a").unwrap();
    assert_eq!(
        (&data[..], stat.version, stat.mtime),
        (&b"set"[..], 9, 1_008)
    );
    assert_eq!(
        (stat.cversion, stat.num_children, stat.pzxid),
        (2 * 4 - 2, 2, Zxid(7))
    );
    assert!(session.zxid() > Zxid(10));
}

#[test]
fn what_cannot_be_read_leaves_nothing_behind() {
    assert!(matches!(run(&disk(&[])), Err(ImportError::Nothing(_))));
    assert!(matches!(
        run(&disk(&[("log.5", log(&[]))])),
        Err(ImportError::Nothing(_))
    ));
    let compressed = disk(&[("snapshot.5.gz", vec![1])]);
    assert!(
        run(&compressed)
            .unwrap_err()
            .to_string()
            .contains("compressed")
    );
    let mut torn = log(&[create(1, "/a", false, 1), create(2, "/b", false, 2)]);
    let at = torn.len() - 105;
    torn[at] ^= 1;
    let whole = log(&[create(3, "/c", false, 3)]);
    let in_the_middle = disk(&[("log.1", torn.clone()), ("log.3", whole)]);
    assert!(matches!(
        run(&in_the_middle),
        Err(ImportError::Damaged { .. })
    ));
    assert!(!in_the_middle.exists(Path::new(INTO)).unwrap());
    assert_eq!(run(&disk(&[("log.1", torn)])).unwrap().zxid, Zxid(1));
}

#[tokio::test]
async fn large_znodes_side_by_side_can_be_started_from() {
    let large = "x".repeat(1 << 20);
    let names: Vec<String> = (0..6).map(|n| format!("/n{n}")).collect();
    let mut nodes = vec![("", "", 0, 6)];
    nodes.extend(
        names
            .iter()
            .map(|name| (name.as_str(), large.as_str(), 0, 0)),
    );
    let disk = disk(&[("snapshot.5", snapshot(&nodes))]);
    run(&disk).unwrap();
    let (_coord, handle) = Coord::start(disk, Path::new(INTO), CoordConfig::default()).unwrap();
    let timeout = std::time::Duration::from_secs(5);
    let session = handle.open_session(timeout).await.unwrap();
    assert_eq!(session.get("/n5").unwrap().0.len(), large.len());
}
