//! The service: three threads around a pure core. Started by whoever runs a node; used through the [`Handle`].
//!
//! - the **core thread** (`shell` around `core`) decides, commits and delivers, and never touches a file;
//! - the **log thread** appends and syncs, many transactions at once;
//! - the **snapshot thread** writes the tree out now and then.

pub(crate) mod core;
mod event;
mod inbox;
mod log_thread;
pub(crate) mod shared;
mod shell;
mod snapshot_thread;
mod voter;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod shell_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use disk::Disk;

use self::core::{Core, Event, Now, Run};
use crate::error::CoordError;
use crate::handle::Handle;
use crate::storage::{self, Epochs, Opened, StorageError, encode_txn};
use crate::tree::{Request, SessionRecord};
use crate::wire::WireConfig;
use inbox::Inbox;
use log_thread::LogThread;
use shared::Shared;
use shell::Shell;
use snapshot_thread::{SnapshotCommand, SnapshotThread};

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How the service runs; the default is what a node wants.
#[derive(Clone)]
pub struct CoordConfig {
    /// This member's id, 1 to 127: the first byte of the ids of its sessions.
    pub member: u8,
    /// How often container and TTL znodes are swept, in milliseconds (ZooKeeper's
    /// `znode.container.checkIntervalMs`).
    pub sweep_every_ms: i64,
    /// A snapshot is taken after so many transactions, or 64 MiB of them.
    pub snapshot_txns: usize,
    /// The time, which becomes ctime and mtime.
    pub clock: Clock,
    /// How clients on the wire are served.
    pub wire: WireConfig,
}

impl Default for CoordConfig {
    fn default() -> Self {
        CoordConfig {
            member: 1,
            sweep_every_ms: 60_000,
            snapshot_txns: 100_000,
            clock: Arc::new(|| {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }),
            wire: WireConfig::default(),
        }
    }
}

/// A running service. Dropping it stops it, too.
pub struct Coord {
    shared: Arc<Shared>,
    log: Arc<Inbox<self::core::LogCommand>>,
    snapshots: Arc<Inbox<SnapshotCommand>>,
    stopping: Arc<AtomicBool>,
    /// Core, snapshot and log thread, which end in this order.
    threads: Option<[JoinHandle<()>; 3]>,
    /// The folder's lock, given back when no thread touches the folder any more.
    _lock: Box<dyn Send + Sync>,
}

impl Coord {
    /// Opens the folder (making it if need be), brings the tree back, enters a new epoch and, as its first
    /// transaction, closes the sessions that this member's previous run left. All that is done when this returns; it
    /// blocks for as long as it takes to read the log. It needs a little room on the disk; without it
    /// [`CoordError::DiskFull`] is returned, and nothing was lost.
    pub fn start<D: Disk>(
        disk: D,
        dir: &Path,
        config: CoordConfig,
    ) -> Result<(Coord, Handle), CoordError> {
        let failed = |error: StorageError| {
            if error.is_full() {
                CoordError::DiskFull(error.to_string().into())
            } else {
                CoordError::Storage(Arc::new(error))
            }
        };
        let Opened {
            mut tree,
            mut log,
            epochs,
            replayed,
            lock,
        } = storage::open(&disk, dir).map_err(failed)?;
        let last = tree.applied();
        let before = epochs.accepted.max(epochs.current).max(last.epoch());
        let epoch = before
            .checked_add(1)
            .ok_or_else(|| CoordError::BadArguments {
                path: dir.display().to_string(),
                reason: "its epochs are used up",
            })?;
        Epochs::enter(&disk, dir, epoch).map_err(failed)?;

        let started = Instant::now();
        let now = Now {
            wall: (config.clock)(),
            steady: 0,
        };
        let run = Run {
            member: config.member,
            incarnation: incarnation()?,
        };
        let left = |(id, session): (i64, SessionRecord)| run.left(&session).then_some(id);
        let ids: Vec<i64> = tree.sessions().filter_map(left).collect();
        let rules = config.wire.rules();
        let mut core = Core::new(&tree, run, epoch, rules, config.sweep_every_ms, now);
        if !ids.is_empty() {
            let request = Request::CloseSessions { ids };
            let txn = core
                .propose_first(&tree, &request, now)
                .map_err(|e| e.error)?;
            log.append(&[(txn.zxid, encode_txn(&txn))])
                .map_err(failed)?;
            log.sync().map_err(failed)?;
            tree.apply(&txn);
            core.close_first(now, &txn);
        }
        tracing::info!(
            "the coordination service is up in epoch {epoch}, after transaction {last} ({} replayed), with {} znodes; digest {:016x}",
            replayed.txns,
            tree.node_count(),
            tree.digest()
        );

        let events = Arc::new(Inbox::new());
        let commands = Arc::new(Inbox::new());
        let snapshots = Arc::new(Inbox::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let crowded = replayed.files > storage::FILES_MAX;
        if crowded {
            snapshots.push(SnapshotCommand::Take);
        }
        let busy = Arc::new(AtomicBool::new(crowded));
        let shared = Arc::new(Shared::new(tree, Arc::clone(&events), config.wire.clone()));
        let snapshot_thread = SnapshotThread {
            disk: disk.clone(),
            dir: dir.to_owned(),
            shared: Arc::clone(&shared),
            log: Arc::clone(&commands),
            commands: Arc::clone(&snapshots),
            stopping: Arc::clone(&stopping),
            busy: Arc::clone(&busy),
        };
        let log_thread = LogThread {
            disk,
            log,
            commands: Arc::clone(&commands),
            events,
        };
        let shell = Shell {
            core,
            shared: Arc::clone(&shared),
            log: Arc::clone(&commands),
            snapshots: Arc::clone(&snapshots),
            snapshot_busy: busy,
            config,
            started,
            stopping: false,
            run,
            warned_at: None,
            since_snapshot: (replayed.txns, 0),
        };
        let log_thread = spawn("coord-log", move || log_thread.run())?;
        let snapshot_thread = spawn("coord-snapshot", move || snapshot_thread.run())?;
        let core_thread = spawn("coord-core", move || shell.run())?;
        let handle = Handle::new(Arc::clone(&shared));
        let coord = Coord {
            shared,
            log: commands,
            snapshots,
            stopping,
            threads: Some([core_thread, snapshot_thread, log_thread]),
            _lock: Box::new(lock),
        };
        Ok((coord, handle))
    }

    /// Finishes what is under way and ends. Later requests are answered with [`CoordError::Stopped`]; reads go on.
    /// Blocks for as long as a few syncs.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some([core, snapshot, log]) = self.threads.take() else {
            return;
        };
        self.stopping.store(true, Ordering::Release);
        // A thread that panicked has said so, and there is nothing more to end in it.
        self.shared.events.push(Event::Stop);
        let _ = core.join();
        self.snapshots.push(SnapshotCommand::Stop);
        let _ = snapshot.join();
        self.log.push(self::core::LogCommand::Stop);
        let _ = log.join();
    }
}

impl Drop for Coord {
    fn drop(&mut self) {
        self.end();
    }
}

/// A number that no other run of this member has.
fn incarnation() -> Result<u64, CoordError> {
    getrandom::u64().map_err(|error| {
        let error = std::io::Error::other(format!("no random number: {error}"));
        CoordError::Storage(Arc::new(error.into()))
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, CoordError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| CoordError::Storage(Arc::new(error.into())))
}
