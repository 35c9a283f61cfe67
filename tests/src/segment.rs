//! A partition's files, for those who damage them.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::records::{BatchView, batches};

/// The folder of a partition.
pub fn partition_folder(data: &Path, topic: &str, partition: i32) -> PathBuf {
    data.join("logs").join(format!("{topic}-{partition}"))
}

/// The files of a folder with this ending, by name.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

/// Where each batch of a segment begins, and at last where they end.
pub fn positions(segment: &[u8]) -> Vec<usize> {
    let mut found = vec![0];
    let mut end = 0;
    for batch in batches(segment).map_while(Result::ok) {
        if !batch.crc_ok() || batch.record_count() == 0 {
            break;
        }
        end += BatchView::size(&batch);
        found.push(end);
    }
    found
}

/// Flips one bit of a file.
pub fn flip_bit(file: &Path, position: usize) {
    let mut bytes = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    bytes[position] ^= 1;
    fs::write(file, bytes).expect("a file that can be read can be written");
}

/// The offset that a checkpoint file of the log directory has for a partition.
pub fn checkpoint(data: &Path, file: &str, topic: &str, partition: i32) -> Option<i64> {
    let text = fs::read_to_string(data.join("logs").join(file)).ok()?;
    let name = format!("{topic} {partition} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
    line.parse().ok()
}
