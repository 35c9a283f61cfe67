//! `partition.metadata`: which topic a folder belongs to, so that a folder of a deleted topic is
//! never served under a new one of the same name.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use disk::{Disk, DiskFile, Open};
use uuid::Uuid;

use super::error::LogError;

const FILE: &str = "partition.metadata";

/// The file of a partition's folder.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Writes the file, unless an earlier run did, and tells which is to be synced: what that run wrote
/// may not be on disk yet.
pub(super) fn write<D: Disk>(disk: &D, dir: &Path, topic_id: Uuid) -> io::Result<PathBuf> {
    let path = path(dir);
    let id = URL_SAFE_NO_PAD.encode(topic_id.as_bytes());
    let text = format!("version: 0\ntopic_id: {id}\n");
    let file = disk.open(&path, Open::Create)?;
    if disk::read_range(&file, 0, text.len() + 1)? != text.as_bytes() {
        file.write_with_room(text.as_bytes(), 0)?;
    }
    Ok(path)
}

/// Reads the topic's id; `None` where there is no file.
pub(super) fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Uuid>, LogError> {
    let path = path(dir);
    let Some(text) = disk.read_if_there(&path)? else {
        return Ok(None);
    };
    let id = std::str::from_utf8(&text).ok().and_then(|text| {
        let mut lines = text.lines();
        (lines.next() == Some("version: 0")).then_some(())?;
        let id = lines.next()?.strip_prefix("topic_id: ")?;
        Uuid::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()
    });
    match id {
        Some(id) => Ok(Some(id)),
        // Torn by a crash right after it was made, before anything in the folder was acked.
        None if text.iter().all(|&byte| byte == 0) => Ok(None),
        None => Err(LogError::malformed(&path, "it holds no topic id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimulatedDisk;

    #[test]
    fn the_file_is_kafkas_and_reads_back() {
        let disk = SimulatedDisk::new(1);
        let dir = Path::new("/t-0");
        disk.create_dir_all(dir).expect("create");
        assert_eq!(read(&disk, dir).expect("none"), None);
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        write(&disk, dir, id).expect("write");
        write(&disk, dir, id).expect("again");
        let text = disk.read(&dir.join(FILE)).expect("read");
        assert_eq!(text, b"version: 0\ntopic_id: ASNFZ4mrze8BI0VniavN7w\n");
        assert_eq!(read(&disk, dir).expect("read"), Some(id));
        disk.replace(&dir.join(FILE), b"version: 1\n")
            .expect("write");
        assert!(read(&disk, dir).is_err());
    }
}
