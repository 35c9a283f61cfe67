//! Why a batch is refused.

use thiserror::Error;

use super::Compression;
use crate::error::ErrorCode;

/// Why bytes are not a batch that may be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// The bytes end before the batch does. At the end of a Fetch response this is usual.
    #[error("the batch needs {needed} bytes where {left} are left")]
    Truncated { needed: usize, left: usize },
    /// A message format of Kafka before 0.11, or of the future.
    #[error("the batch has message format {0}; only 2 is supported")]
    UnsupportedMagic(i8),
    /// The CRC in the header is not that of the batch.
    #[error("the batch's checksum is {computed:#010x}, its header says {stored:#010x}")]
    Corrupt { stored: u32, computed: u32 },
    /// A length, count, offset or other field that contradicts the rest.
    #[error("the batch is invalid: {0}")]
    Invalid(&'static str),
    /// A compression id that is not known.
    #[error("compression id {0} is not known")]
    UnsupportedCompression(u8),
    /// The decompressor gave up.
    #[error("the batch's {compression} content cannot be decompressed")]
    Undecodable { compression: Compression },
    /// Decompression came to more than the caller's limit, in bytes.
    #[error("the batch holds more than {limit} bytes once decompressed")]
    TooLarge { limit: usize },
}

impl BatchError {
    /// What a broker answers to a producer.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Truncated { .. } | Self::Corrupt { .. } | Self::Undecodable { .. } => {
                ErrorCode::CorruptMessage
            }
            Self::UnsupportedMagic(_) | Self::Invalid(_) => ErrorCode::InvalidRecord,
            Self::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
        }
    }
}
