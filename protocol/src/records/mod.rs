//! Record batches of magic 2: the view over a header, the check of what a producer sent, the
//! iterator over records, and the builder.
//!
//! A batch is a header of [`HEADER_LEN`] bytes and records behind it, which may be compressed as a
//! whole. Base offset, length and partition leader epoch lie outside the CRC and may be patched.

mod builder;
mod check;
mod codec;
mod compression;
mod error;
mod grammar;
mod header;
mod iter;
mod lz4;
mod snappy;
#[cfg(test)]
mod tests;
mod varint;
mod view;

pub use builder::{BatchBuilder, BatchIdentity};
pub use check::{CheckedBatch, check_batch};
pub use compression::{Compression, UnknownCompression};
pub use error::BatchError;
pub use header::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, COUNT, CRC, HEADER_LEN,
    LAST_OFFSET_DELTA, LEADER_EPOCH, LENGTH, LOG_OVERHEAD, MAGIC, MAX_TIMESTAMP, PRODUCER_EPOCH,
    PRODUCER_ID, seal, set_append_time, set_base_offset, set_leader_epoch, set_max_timestamp,
};
pub use iter::{Record, RecordIter, records};
pub use view::{BatchView, TimestampType, batches};
