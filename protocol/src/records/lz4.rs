//! LZ4 frames, read block by block.
//!
//! The usual decoder makes room for the largest block that a frame's header allows. Go's clients
//! allow 4 MiB whatever they send, so that each small batch would cost 4 MiB of cleared memory;
//! this one asks the compressed block how large it can come out.

use twox_hash::XxHash32;

use super::{BatchError, Compression};

const MAGIC: u32 = 0x184d_2204;
/// How far back a linked block may refer.
const WINDOW: usize = 64 * 1024;

const BROKEN: BatchError = BatchError::Undecodable {
    compression: Compression::Lz4,
};

/// Reads the blocks of one frame.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    max_block: usize,
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    /// The end of what came before, where blocks are linked.
    window: Vec<u8>,
    ended: bool,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let mut rest = bytes;
        if u32::from_le_bytes(take(&mut rest)?) != MAGIC {
            return Err(BROKEN);
        }
        let descriptor = rest;
        let [flags, block_size] = take(&mut rest)?;
        let version = flags >> 6;
        let dictionary = flags & 1 != 0;
        if version != 1 || dictionary {
            return Err(BROKEN);
        }
        if flags & 0b1000 != 0 {
            // The content's size: a claim that nobody needs.
            take::<8>(&mut rest)?;
        }
        let descriptor = &descriptor[..descriptor.len() - rest.len()];
        let [checksum] = take(&mut rest)?;
        if checksum != (XxHash32::oneshot(0, descriptor) >> 8) as u8 {
            return Err(BROKEN);
        }
        let max_block = match (block_size >> 4) & 0b111 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            _ => return Err(BROKEN),
        };
        Ok(Self {
            rest,
            max_block,
            linked: flags & 0b10_0000 == 0,
            block_checksums: flags & 0b1_0000 != 0,
            content_checksum: flags & 0b100 != 0,
            window: Vec::new(),
            ended: false,
        })
    }

    /// Decompresses the next block into `out` and returns its length; 0 at the end.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<usize, BatchError> {
        while !self.ended {
            let head = u32::from_le_bytes(take(&mut self.rest)?);
            if head == 0 {
                self.end()?;
                break;
            }
            let stored = head >> 31 != 0;
            let len = (head & 0x7fff_ffff) as usize;
            let (block, rest) = self.rest.split_at_checked(len).ok_or(BROKEN)?;
            self.rest = rest;
            if self.block_checksums {
                let checksum = u32::from_le_bytes(take(&mut self.rest)?);
                if checksum != XxHash32::oneshot(0, block) {
                    return Err(BROKEN);
                }
            }
            let len = self.decompress(block, stored, out)?;
            if len > 0 {
                return Ok(len);
            }
        }
        Ok(0)
    }

    fn decompress(
        &mut self,
        block: &[u8],
        stored: bool,
        out: &mut Vec<u8>,
    ) -> Result<usize, BatchError> {
        // A byte of a block stands for 255 at most.
        let bound = if stored {
            block.len()
        } else {
            block.len().saturating_mul(255).min(self.max_block)
        };
        if block.len() > self.max_block {
            return Err(BROKEN);
        }
        if out.len() < bound {
            out.resize(bound, 0);
        }
        let room = &mut out[..bound];
        let len = if stored {
            room.copy_from_slice(block);
            Ok(bound)
        } else if self.linked {
            lz4_flex::block::decompress_into_with_dict(block, room, &self.window)
        } else {
            lz4_flex::block::decompress_into(block, room)
        }
        .map_err(|_| BROKEN)?;
        if self.linked {
            let new = &out[len.saturating_sub(WINDOW)..len];
            let past = (self.window.len() + new.len()).saturating_sub(WINDOW);
            self.window.drain(..past);
            self.window.extend_from_slice(new);
        }
        Ok(len)
    }

    /// The content's checksum is passed over: the batch's own CRC has covered these bytes, and
    /// Kafka's clients pass over it, too. Nothing may follow.
    fn end(&mut self) -> Result<(), BatchError> {
        if self.content_checksum {
            take::<4>(&mut self.rest)?;
        }
        self.ended = true;
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BROKEN)
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], BatchError> {
    let (chunk, rest) = bytes.split_first_chunk().ok_or(BROKEN)?;
    *bytes = rest;
    Ok(*chunk)
}
