//! Producer state in a file `<offset>.snapshot`, in Kafka's format (version 1): the state as it
//! was when the log ended at that offset.
//!
//! Kafka keeps one entry a producer, its last batch. Here each remembered batch is an entry,
//! oldest first: Kafka's reader lets a later one of the same producer take the earlier's place, so
//! it reads such a file, and we still know all five after a restart, when a client sends again
//! what it had under way.

use std::io;
use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

use super::error::LogError;
use super::producers::{ProducerTable, Remembered};

const VERSION: i16 = 1;
/// The CRC covers everything from here on: the count and the entries.
const CRC_COVERS_FROM: usize = 6;
const ENTRY: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// The file for the state at `offset`.
pub(super) fn path(dir: &Path, offset: i64) -> PathBuf {
    dir.join(format!("{offset:020}.snapshot"))
}

pub(super) fn encode(table: &ProducerTable) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count: i32 = 0;
    let mut entry = |id: i64, epoch: i16, batch: &Remembered, timestamp: i64| {
        entries.extend_from_slice(&id.to_be_bytes());
        entries.extend_from_slice(&epoch.to_be_bytes());
        entries.extend_from_slice(&batch.last_sequence.to_be_bytes());
        entries.extend_from_slice(&batch.last_offset.to_be_bytes());
        entries.extend_from_slice(&batch.offset_delta.to_be_bytes());
        entries.extend_from_slice(&timestamp.to_be_bytes());
        // No coordinator's epoch and no transaction under way.
        entries.extend_from_slice(&(-1_i32).to_be_bytes());
        entries.extend_from_slice(&(-1_i64).to_be_bytes());
        count += 1;
    };
    for (id, producer) in table.by_id() {
        let none = Remembered {
            last_sequence: -1,
            last_offset: -1,
            offset_delta: 0,
            timestamp: -1,
        };
        match producer.batches().split_last() {
            None => entry(id, producer.epoch, &none, producer.last_timestamp),
            Some((last, older)) => {
                for batch in older {
                    entry(id, producer.epoch, batch, batch.timestamp);
                }
                entry(id, producer.epoch, last, producer.last_timestamp);
            }
        }
    }
    let mut covered = count.to_be_bytes().to_vec();
    covered.append(&mut entries);
    let mut bytes = VERSION.to_be_bytes().to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
    bytes.append(&mut covered);
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<ProducerTable, &'static str> {
    let (head, covered) = bytes
        .split_at_checked(CRC_COVERS_FROM)
        .ok_or("it is too short")?;
    if head[..2] != VERSION.to_be_bytes() {
        return Err("its version is not 1");
    }
    if head[2..] != crc32c::crc32c(covered).to_be_bytes() {
        return Err("its CRC is wrong");
    }
    let (count, entries) = covered.split_first_chunk::<4>().ok_or("it has no count")?;
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| "its count is negative")?;
    if count.checked_mul(ENTRY) != Some(entries.len()) {
        return Err("its length is not its count's");
    }
    let mut table = ProducerTable::default();
    for entry in entries.chunks_exact(ENTRY) {
        let int = |at: usize| {
            i32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        let long = |at: usize| (i64::from(int(at)) << 32) | i64::from(int(at + 4) as u32);
        let epoch = i16::from_be_bytes([entry[8], entry[9]]);
        let producer = table.entry(long(0), epoch);
        let batch = Remembered {
            last_sequence: int(10),
            last_offset: long(14),
            offset_delta: int(22),
            timestamp: long(26),
        };
        producer.last_timestamp = batch.timestamp;
        if batch.last_sequence >= 0 && batch.offset_delta >= 0 {
            producer.push(batch);
        }
    }
    Ok(table)
}

/// Writes the state at `offset`; the caller has it synced before it is leant on. A torn file is
/// known by its CRC.
pub(super) fn write<D: Disk>(
    disk: &D,
    dir: &Path,
    offset: i64,
    table: &ProducerTable,
) -> Result<PathBuf, LogError> {
    let path = path(dir, offset);
    let file = disk.open(&path, Open::Create)?;
    file.overwrite(&encode(table))?;
    Ok(path)
}

/// Removes the state at `offset`, if it is there.
pub(super) fn remove<D: Disk>(disk: &D, dir: &Path, offset: i64) -> io::Result<()> {
    match disk.remove(&path(dir, offset)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads the state at `offset`.
pub(super) fn read<D: Disk>(disk: &D, dir: &Path, offset: i64) -> Result<ProducerTable, LogError> {
    let path = path(dir, offset);
    let bytes = disk.read(&path)?;
    decode(&bytes).map_err(|reason| LogError::malformed(&path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::header::tests::Batch;
    use disk::SimulatedDisk;

    fn table() -> ProducerTable {
        let mut table = ProducerTable::default();
        for n in 0..7 {
            let batch = Batch::new(i64::from(n) * 2, 2, vec![])
                .at(50)
                .producer(1, 2, n * 2);
            table.appended(&batch.header, 50);
        }
        let other = Batch::new(14, 1, vec![]).at(60).producer(5, 0, 9);
        table.appended(&other.header, 61);
        table
    }

    #[test]
    fn a_snapshot_brings_all_remembered_batches_back() {
        let disk = SimulatedDisk::new(1);
        let dir = Path::new("/");
        let path = write(&disk, dir, 15, &table()).expect("write");
        assert_eq!(path, Path::new("/00000000000000000015.snapshot"));
        let read = read(&disk, dir, 15).expect("read");
        for n in 2..7 {
            let batch = Batch::new(0, 2, vec![]).producer(1, 2, n * 2).header;
            assert_eq!(read.check(&batch), table().check(&batch), "{n}");
        }
        assert_eq!(read.active(), table().active());
    }

    #[test]
    fn the_layout_is_kafkas() {
        let mut table = ProducerTable::default();
        table.appended(
            &Batch::new(3, 2, vec![]).at(258).producer(1, 2, 5).header,
            258,
        );
        let bytes = encode(&table);
        let crc = crc32c::crc32c(&bytes[6..]).to_be_bytes();
        let expected = [
            &[0, 1][..],
            &crc,
            &[0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 2],
            &[0, 0, 0, 6],
            &[0, 0, 0, 0, 0, 0, 0, 4],
            &[0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[255; 4],
            &[255; 8],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_noticed() {
        let good = encode(&table());
        assert!(decode(&good).is_ok());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "length {at}");
        }
    }
}
