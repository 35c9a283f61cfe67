//! The bytes of a log's files, as Kafka's own tools read them.

use std::fmt::Write as _;

use super::*;
use expect_test::expect;

#[test]
fn a_stopped_log_leaves_kafkas_files() {
    let disk = disk(1);
    let mut log = opened(&disk, 0, false);
    for n in 0..30 {
        let batch = Batch::new(n * 2, 2, vec![1; 139])
            .at(1000 + (n * 7) % 40)
            .epoch(4);
        append(&mut log, &batch);
    }
    log.close_clean().expect("close");
    let mut listing = String::new();
    for entry in disk.read_dir(&dir()).expect("list") {
        let bytes = disk.read(&dir().join(&entry.name)).expect("read");
        let _ = writeln!(listing, "{} {}", entry.name, bytes.len());
        let width = match entry.name.rsplit_once('.') {
            Some((_, "index")) => 8,
            Some((_, "timeindex")) => 12,
            _ => continue,
        };
        for chunk in bytes.chunks(width) {
            listing.push_str("  ");
            for byte in chunk {
                let _ = write!(listing, "{byte:02x}");
            }
            listing.push('\n');
        }
    }
    expect![[r"
        00000000000000000000.index 72
          0000000500000190
          0000000900000320
          0000000d000004b0
          0000001100000640
          00000015000007d0
          0000001900000960
          0000001d00000af0
          0000002100000c80
          0000002500000e10
        00000000000000000000.log 4000
        00000000000000000000.timeindex 60
          00000000000003f600000005
          000000000000040400000009
          000000000000040b0000000b
          000000000000040d00000017
          000000000000040f00000023
        00000000000000000040.index 32
          0000000500000190
          0000000900000320
          0000000d000004b0
          0000001100000640
        00000000000000000040.log 2000
        00000000000000000040.snapshot 10
        00000000000000000040.timeindex 24
          000000000000040a00000005
          000000000000040c00000011
        00000000000000000060.snapshot 10
        leader-epoch-checkpoint 8
        partition.metadata 44
    "]]
    .assert_eq(&listing);
}
