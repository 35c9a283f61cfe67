//! What is on disk: the transaction log, snapshots and the epochs.

mod error;
pub use error::StorageError;
