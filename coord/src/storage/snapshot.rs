//! Snapshots: the whole tree in one file, written piece by piece beside running transactions.
//!
//! ```text
//! header: magic (8) · format (4) · 0 (4) · zxid (8)
//! piece:  length (4) · crc (4) · kind (1) · sessions or znodes (length - 1)
//! ```
//! Each piece's CRC goes on from the one before, so that none can be missing. The last piece is the end and says which
//! transaction the fuzzy part reaches up to. A snapshot takes its name when it is whole and on disk.

use std::path::{Path, PathBuf};

use disk::{Disk, DiskFile, Open};

use super::codec::{PieceAcls, Reader, decode_node, decode_session, encode_node, encode_session};
use super::error::StorageError;
use super::snapshot_name;
use crate::Zxid;
use crate::tree::{NodeRecord, SessionRecord, Tree};

const MAGIC: &[u8; 8] = b"MLNSNAPS";
const FORMAT: u32 = 2;
const HEADER_LEN: usize = 24;
const SESSIONS: u8 = 1;
const NODES: u8 = 2;
const END: u8 = 3;
/// Bytes after which a piece ends.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// No piece is longer: [`PIECE_BYTES`], and one znode with its access control list past that.
const PIECE_MAX: u32 = 4 << 20;
pub(crate) const TEMPORARY: &str = "snapshot.tmp";

/// A snapshot being written.
pub(crate) struct SnapshotWriter<D: Disk> {
    disk: D,
    dir: PathBuf,
    file: D::File,
    start: Zxid,
    end: u64,
    crc: u32,
    piece: Vec<u8>,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins one that holds everything up to `start`.
    pub(crate) fn begin(disk: &D, dir: &Path, start: Zxid) -> Result<Self, StorageError> {
        let temporary = dir.join(TEMPORARY);
        if disk.exists(&temporary)? {
            disk.remove(&temporary)?;
        }
        let file = disk.open(&temporary, Open::Create)?;
        let mut head = [0; HEADER_LEN];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&FORMAT.to_be_bytes());
        head[16..].copy_from_slice(&start.0.to_be_bytes());
        let mut writer = SnapshotWriter {
            disk: disk.clone(),
            dir: dir.to_owned(),
            file,
            start,
            end: 0,
            crc: crc32c::crc32c(&head),
            piece: Vec::new(),
        };
        writer.write(&head)?;
        Ok(writer)
    }

    /// Writes sessions; any number of times, before the znodes.
    pub(crate) fn sessions(
        &mut self,
        sessions: &[(i64, SessionRecord)],
    ) -> Result<(), StorageError> {
        for part in sessions.chunks(4096) {
            let mut piece = self.start_piece(SESSIONS);
            for (id, record) in part {
                encode_session(&mut piece, *id, record);
            }
            self.end_piece(piece)?;
        }
        Ok(())
    }

    /// Writes the next znodes of the walk, in as many pieces as they need.
    pub(crate) fn nodes(&mut self, nodes: &[NodeRecord]) -> Result<(), StorageError> {
        let mut left = nodes.iter().peekable();
        while left.peek().is_some() {
            let mut piece = self.start_piece(NODES);
            let mut acls = PieceAcls::default();
            while piece.len() < PIECE_BYTES
                && let Some(node) = left.next()
            {
                encode_node(&mut piece, node, &mut acls);
            }
            self.end_piece(piece)?;
        }
        Ok(())
    }

    /// Ends it and gives it its name. `reached` is the last transaction that any piece may show a part of.
    pub(crate) fn finish(mut self, reached: Zxid) -> Result<(), StorageError> {
        let mut piece = self.start_piece(END);
        piece.extend_from_slice(&reached.0.to_be_bytes());
        self.end_piece(piece)?;
        self.file.sync()?;
        self.disk.rename(
            &self.dir.join(TEMPORARY),
            &self.dir.join(snapshot_name(self.start)),
        )?;
        self.disk.sync_dir(&self.dir)?;
        Ok(())
    }

    fn start_piece(&mut self, kind: u8) -> Vec<u8> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.clear();
        piece.extend_from_slice(&[0; 8]);
        piece.push(kind);
        piece
    }

    fn end_piece(&mut self, mut piece: Vec<u8>) -> Result<(), StorageError> {
        let len = piece.len() - 8;
        // Nobody could read it back, and the logs would be purged for it.
        let len = u32::try_from(len).ok().filter(|len| *len <= PIECE_MAX);
        let Some(len) = len else {
            return Err(StorageError::Io(std::io::Error::other(format!(
                "{}: a znode with its access control list takes more than {PIECE_MAX} bytes, the most that a snapshot \
                 holds of one",
                self.dir.display()
            ))));
        };
        self.crc = crc32c::crc32c_append(self.crc, &piece[8..]);
        piece[..4].copy_from_slice(&len.to_be_bytes());
        piece[4..8].copy_from_slice(&self.crc.to_be_bytes());
        self.write(&piece)?;
        self.piece = piece;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_with_room(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// A tree from a snapshot, and the transaction up to which the log must be replayed at least.
pub(crate) struct Loaded {
    pub(crate) tree: Tree,
    pub(crate) reached: Zxid,
}

/// Reads the snapshot of this zxid.
pub(crate) fn load<D: Disk>(disk: &D, dir: &Path, start: Zxid) -> Result<Loaded, StorageError> {
    let path = dir.join(snapshot_name(start));
    let file = disk.open(&path, Open::Read)?;
    let len = file.len()?;
    let mut position = 0;
    let corrupt = |position: u64, reason: String| StorageError::Corrupt {
        path: path.clone(),
        position,
        reason,
    };
    let mut read = |count: u32| -> Result<(u64, Vec<u8>), StorageError> {
        let at = position;
        if u64::from(count) > len - at {
            return Err(corrupt(at, "the snapshot is cut off".to_owned()));
        }
        let mut bytes = vec![0; count as usize];
        file.read_exact_at(&mut bytes, at)?;
        position += u64::from(count);
        Ok((at, bytes))
    };
    let (_, head) = read(HEADER_LEN as u32)?;
    let found = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    if &head[..8] != MAGIC || head[16..] != start.0.to_be_bytes() {
        return Err(corrupt(
            0,
            "this is no snapshot of this transaction".to_owned(),
        ));
    }
    if found != FORMAT {
        return Err(StorageError::of_format(&path, found, FORMAT));
    }
    let mut crc = crc32c::crc32c(&head);
    let mut tree = Tree::bare();
    loop {
        let (at, head) = read(8)?;
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        if len == 0 || len > PIECE_MAX {
            return Err(corrupt(at, format!("a piece of {len} bytes")));
        }
        let (_, piece) = read(len)?;
        crc = crc32c::crc32c_append(crc, &piece);
        if head[4..] != crc.to_be_bytes() {
            return Err(corrupt(at, "a piece's checksum is wrong".to_owned()));
        }
        let mut r = Reader::new(&piece[1..]);
        match piece[0] {
            SESSIONS => {
                while !r.is_empty() {
                    let (id, record) =
                        decode_session(&mut r).map_err(|e| corrupt(at, e.to_string()))?;
                    tree.restore_session(id, record);
                }
            }
            NODES => {
                let mut acls = PieceAcls::default();
                while !r.is_empty() {
                    let node =
                        decode_node(&mut r, &mut acls).map_err(|e| corrupt(at, e.to_string()))?;
                    tree.restore(node).map_err(|e| corrupt(at, e.to_string()))?;
                }
            }
            END => {
                let reached = r.zxid().map_err(|e| corrupt(at, e.to_string()))?;
                tree.restored_to(start);
                return Ok(Loaded { tree, reached });
            }
            kind => return Err(corrupt(at, format!("a piece of unknown kind {kind}"))),
        }
    }
}
