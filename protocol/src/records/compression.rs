//! The compressions' names and ids, and compressing.

use std::{cell::RefCell, fmt, io::Write, str::FromStr};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::{BatchError, snappy};

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// All of them, by id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The id in a batch's attributes, 0 to 4.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The compression of an id.
    pub fn from_id(id: u8) -> Result<Self, BatchError> {
        Self::ALL
            .get(usize::from(id))
            .copied()
            .ok_or(BatchError::UnsupportedCompression(id))
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses `records`, at the level that Kafka's producers have by default, and appends
    /// them to `out`.
    pub(super) fn compress(self, records: &[u8], out: &mut Vec<u8>) {
        const IN_MEMORY: &str = "writing to memory does not fail";
        match self {
            Self::None => out.extend_from_slice(records),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(records).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY);
            }
            Self::Snappy => snappy::compress(records, out),
            Self::Lz4 => {
                // Kafka's Java client reads independent blocks only.
                let info = FrameInfo::new()
                    .block_size(BlockSize::Max64KB)
                    .block_mode(BlockMode::Independent);
                let mut encoder = FrameEncoder::with_frame_info(info, out);
                encoder.write_all(records).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY);
            }
            Self::Zstd => {
                let start = out.len();
                out.resize(start + zstd::zstd_safe::compress_bound(records.len()), 0);
                let len = ZSTD.with_borrow_mut(|zstd| {
                    zstd.compress_to_buffer(records, &mut out[start..])
                        .expect("the bound holds whatever comes out")
                });
                out.truncate(start + len);
            }
        }
    }
}

thread_local! {
    /// A compressor's tables take longer to make than a small batch to compress.
    static ZSTD: RefCell<zstd::bulk::Compressor<'static>> = RefCell::new(
        zstd::bulk::Compressor::new(3).expect("a level that zstd knows"),
    );
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is none of the compressions'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no compression; known are none, gzip, snappy, lz4 and zstd")]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|compression| compression.name() == name)
            .ok_or_else(|| UnknownCompression(name.to_owned()))
    }
}
