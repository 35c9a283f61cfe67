//! The limits of a request, checked before it becomes a transaction.

/// The most bytes of one znode's data: ZooKeeper's `jute.maxbuffer`.
pub(crate) const DATA_BYTES_MAX: usize = 1_048_575;
/// The most bytes of a path.
pub(crate) const PATH_BYTES_MAX: usize = 4_096;
/// The most operations of a multi.
pub(crate) const MULTI_OPS_MAX: usize = 100_000;
/// The most bytes of paths and data together that one multi may carry.
pub(crate) const MULTI_BYTES_MAX: usize = 32 << 20;
/// The longest TTL in milliseconds, as ZooKeeper keeps it in 40 bits.
pub(crate) const TTL_MS_MAX: i64 = 0xff_ffff_ffff;
