//! Decompressing in chunks, within a cap and in buffers that are used again.

use std::{cell::RefCell, io::Read};

use flate2::bufread::MultiGzDecoder;
use zstd::{stream::read::Decoder as ZstdDecoder, zstd_safe::DCtx};

use super::{BatchError, Compression, lz4, snappy};

/// How much comes out of gzip and zstd at a time.
const CHUNK: usize = 32 * 1024;
/// What a thread keeps between batches of its buffer, which the largest block of lz4 fills, and of
/// zstd's, which a window of the size that Kafka's levels up to 19 ask for does not fill. A zstd
/// frame may claim 128 MiB; they are reserved, but touched only as far as the content goes.
const KEPT: usize = 4 << 20;
const KEPT_ZSTD: usize = 16 << 20;

/// What decompression needs besides the bytes; a thread has one and uses it again.
struct Scratch {
    buf: Vec<u8>,
    zstd: DCtx<'static>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        buf: Vec::new(),
        zstd: DCtx::create(),
    });
}

enum Codec<'a> {
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Blocks<'a>),
    Zstd(ZstdDecoder<'a, &'a [u8]>),
}

/// Decompressed bytes, a chunk at a time.
pub(super) struct Inflate<'a> {
    codec: Codec<'a>,
    compression: Compression,
    buf: &'a mut Vec<u8>,
    len: usize,
    limit: usize,
    /// What is left of the limit.
    left: usize,
}

impl Inflate<'_> {
    /// Runs `use_it` on what decompresses `bytes` to at most `limit` bytes. Not to be nested.
    pub(super) fn with<T>(
        compression: Compression,
        bytes: &[u8],
        limit: usize,
        use_it: impl FnOnce(Inflate<'_>) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        SCRATCH.with_borrow_mut(|Scratch { buf, zstd }| {
            let codec = match compression {
                Compression::None => return Err(BatchError::Invalid("it is not compressed")),
                Compression::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(bytes))),
                Compression::Snappy => Codec::Snappy(snappy::Blocks::new(bytes)),
                Compression::Lz4 => Codec::Lz4(lz4::Blocks::new(bytes)?),
                Compression::Zstd => Codec::Zstd(ZstdDecoder::with_context(bytes, zstd)),
            };
            let result = use_it(Inflate {
                codec,
                compression,
                buf,
                len: 0,
                limit,
                left: limit,
            });
            buf.truncate(KEPT);
            buf.shrink_to(KEPT);
            if zstd.sizeof() > KEPT_ZSTD {
                *zstd = DCtx::create();
            }
            result
        })
    }

    /// The chunk at hand; empty before the first [`Inflate::advance`].
    pub(super) fn chunk(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// Goes to the next chunk; false if there is none.
    pub(super) fn advance(&mut self) -> Result<bool, BatchError> {
        self.len = match &mut self.codec {
            Codec::Snappy(blocks) => blocks.next(self.buf, self.limit)?,
            Codec::Lz4(blocks) => blocks.next(self.buf)?,
            Codec::Gzip(reader) => read(reader, self.buf, self.compression)?,
            Codec::Zstd(reader) => read(reader, self.buf, self.compression)?,
        };
        match self.left.checked_sub(self.len) {
            Some(left) => self.left = left,
            None => return Err(BatchError::TooLarge { limit: self.limit }),
        }
        Ok(self.len > 0)
    }
}

fn read(
    reader: &mut impl Read,
    buf: &mut Vec<u8>,
    compression: Compression,
) -> Result<usize, BatchError> {
    if buf.len() < CHUNK {
        buf.resize(CHUNK, 0);
    }
    reader
        .read(&mut buf[..CHUNK])
        .map_err(|_| BatchError::Undecodable { compression })
}

/// Decompresses all of `bytes`, which must come to at most `limit` bytes.
pub(super) fn decompress(
    compression: Compression,
    bytes: &[u8],
    limit: usize,
) -> Result<Vec<u8>, BatchError> {
    Inflate::with(compression, bytes, limit, |mut inflate| {
        let mut all = Vec::new();
        while inflate.advance()? {
            all.extend_from_slice(inflate.chunk());
        }
        Ok(all)
    })
}
