//! Snappy as Kafka's clients frame it.
//!
//! Java's clients (and most after them) write the blocks of the xerial library: a header of 16
//! bytes, then blocks, each an `int32` length and a raw snappy block. Some write one raw block.

use super::{BatchError, Compression};

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// The magic, the version and the oldest compatible version.
const HEADER: usize = 16;
/// What a block holds before compression, as Java's clients have it.
const BLOCK: usize = 32 * 1024;

const BROKEN: BatchError = BatchError::Undecodable {
    compression: Compression::Snappy,
};

/// Reads block after block.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    framed: bool,
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let framed = bytes.starts_with(MAGIC) && bytes.len() >= HEADER;
        let rest = if framed { &bytes[HEADER..] } else { bytes };
        Self { framed, rest }
    }

    /// Decompresses the next block into `out` and returns its length; 0 at the end.
    pub(super) fn next(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<usize, BatchError> {
        while !self.rest.is_empty() {
            let block = self.block()?;
            let len = snap::raw::decompress_len(block).map_err(|_| BROKEN)?;
            if len > limit {
                return Err(BatchError::TooLarge { limit });
            }
            // Three bytes copy at most 64, so a greater claim is a lie.
            if len > block.len().saturating_mul(22) {
                return Err(BROKEN);
            }
            if out.len() < len {
                out.resize(len, 0);
            }
            let len = snap::raw::Decoder::new()
                .decompress(block, out)
                .map_err(|_| BROKEN)?;
            if len > 0 {
                return Ok(len);
            }
        }
        Ok(0)
    }

    fn block(&mut self) -> Result<&'a [u8], BatchError> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let (len, rest) = self.rest.split_first_chunk().ok_or(BROKEN)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, rest) = rest.split_at_checked(len).ok_or(BROKEN)?;
        self.rest = rest;
        Ok(block)
    }
}

/// Appends `bytes` to `out` in xerial's framing.
pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(BLOCK) {
        let start = out.len();
        out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
        let len = encoder
            .compress(block, &mut out[start + 4..])
            .expect("the bound holds whatever comes out");
        out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
        out.truncate(start + 4 + len);
    }
}
