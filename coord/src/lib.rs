//! The coordination service: a znode tree like ZooKeeper's, its transactions in a log on disk, and the in-process
//! handle by which the broker reads, writes and watches it.
//!
//! ```text
//! Session::create ─▶ service::core ─▶ tree::Preparer ─▶ service::voter ─▶ storage (log thread: append, one sync)
//!                                                                                   │ durable
//!          answer ◀─ watches ◀─ tree::Tree::apply ◀──────── committed ◀─────────────┘
//! ```
//!
//! ZooKeeper's own clients come in by the `listener`, which reaches the same service over `wire`.
//!
//! The tree knows no disk, the storage no tree but its records, and neither knows who commits: `service::voter` is
//! the quorum of one, where the ZAB quorum goes.

mod auth;
mod error;
mod handle;
mod import;
mod listener;
mod service;
mod session;
mod storage;
mod tree;
mod watch;
mod wire;
pub mod zab;
pub mod zoo_cfg;
mod zxid;

pub use error::{CoordError, ErrorCode, MultiError};
pub use handle::{Handle, Session};
pub use import::{ImportError, Imported, import};
pub use listener::{Listener, ListenerConfig};
pub use service::{Clock, Coord, CoordConfig};
pub use storage::StorageError;
pub use tree::{Acl, CreateMode, Created, Id, Op, OpResult, Stat, perms};
pub use watch::{WATCH_EVENTS_MAX, Watch, WatchEvent, WatchKind, WatchMode};
pub use wire::WireConfig;
pub use zxid::Zxid;
