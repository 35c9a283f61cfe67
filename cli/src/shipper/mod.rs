//! The file shipper behind `logship`: follows files and turns their lines into records.
//!
//! Three things are kept apart. [`scan`], [`lines`] and [`place`] decide and are pure: what a look at the
//! file system means, where a line ends, whether a file is still the one that was read. [`follow`],
//! [`checkpoint`] and [`watch`] touch files. [`ship`] is the loop that joins them to a [`sink::Sink`].
//!
//! The promise is *at least once*: a checkpoint never moves past a line that the sink has not taken, so a
//! line may come twice after a crash, and is never lost while its bytes can still be read.

pub mod broker;
pub mod checkpoint;
pub mod follow;
pub mod followed;
pub mod lines;
pub mod look;
pub mod place;
pub mod reader;
pub mod scan;
pub mod ship;
pub mod sink;
pub mod stdin;
pub mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

/// Where to begin in files that exist at the first start and have no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Begin {
    Start,
    End,
}

/// What to follow, and the limits that keep it small.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files and glob patterns.
    pub patterns: Vec<String>,
    pub begin: Begin,
    /// Ship what is there and leave.
    pub once: bool,
    /// The longest line in bytes; of a longer one the first `line_limit` bytes are shipped.
    pub line_limit: usize,
    /// A batch is closed at this many bytes, or after a single longer read.
    pub batch_bytes: usize,
    /// A batch is closed at this many lines.
    pub batch_lines: usize,
    /// Globs are looked at again at least this often, whatever the file system tells.
    pub poll: Duration,
    /// How long a rotated or deleted file is still watched for late writes.
    pub drain: Duration,
    /// How long a new file that begins like a known one waits to be told from a copy in the making.
    pub hold: Duration,
    /// Idle files beyond this many open ones are closed, and opened again when they grow.
    pub open_limit: usize,
    /// The least time between two checkpoints.
    pub checkpoint_every: Duration,
    /// How long a stop waits for lines under way.
    pub grace: Duration,
}

impl Settings {
    pub fn new(patterns: Vec<String>) -> Self {
        Self {
            patterns,
            begin: Begin::Start,
            once: false,
            line_limit: 1_000_000,
            batch_bytes: 1 << 20,
            batch_lines: 10_000,
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(30),
            hold: Duration::from_secs(5),
            open_limit: 4096,
            checkpoint_every: Duration::from_millis(250),
            grace: Duration::from_secs(5),
        }
    }
}

/// A file as the file system names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

/// What is remembered of a file between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub id: FileId,
    /// Where the file was last seen.
    pub path: PathBuf,
    /// The path under which it was first found: what its records carry, also after a rotation.
    pub name: PathBuf,
    pub place: place::Place,
    /// Its modification time when last seen, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// When it was last seen, in seconds since 1970.
    pub seen_s: i64,
}
