//! The broker: what it is made of, and how it starts and stops.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use coord::Session;
use disk::{RealDisk, SyncPool};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::api::Sessions;
use crate::config::BrokerConfig;
use crate::error::StartError;
use crate::group::{GroupConfig, GroupCoordinator};
use crate::log::LogError;
use crate::metadata::{
    self, Follower, Metadata, OFFSETS_TOPIC, Registration, Reign, View, WriteError,
};
use crate::metrics::Metrics;
use crate::net::{self, Limits};
use crate::offsets::OffsetsTopic;
use crate::producer_ids::ProducerIds;
use crate::storage::Storage;
use crate::time::now_ms;

/// How often partitions are looked after.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before groups that could not be loaded are tried again.
const LOAD_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long a partition without appends keeps its map and descriptor.
const REST_AFTER_MS: i64 = 60_000;
/// From so many logs on, a stop syncs the file system instead of each file.
const SYNC_ALL_FROM: usize = 64;

/// How a broker is to run.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// The folder of the logs.
    pub data: PathBuf,
    /// Where to listen, `HOST:PORT`.
    pub listen: String,
    /// What clients are told to connect to, if it is not the bound address.
    pub advertise: Option<(String, u16)>,
    pub rack: Option<String>,
    pub config: BrokerConfig,
}

/// A running broker.
pub struct Broker {
    pub(crate) inner: Arc<Inner>,
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
    listening: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    pool: SyncPool,
}

/// What requests reach.
pub(crate) struct Inner {
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) id: i32,
    pub(crate) cluster_id: String,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) groups: GroupCoordinator<OffsetsTopic>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: Sessions,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Metrics,
    pub(crate) session: Session,
    pub(crate) reign: Reign,
    /// Whose turn it is to lead a new topic's first partition.
    pub(crate) turn: AtomicUsize,
}

impl Broker {
    /// Opens the logs, recovers what the last run did not close, registers, and serves.
    pub async fn start(options: BrokerOptions, session: Session) -> Result<Self, StartError> {
        let listener = net::bind(&options.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Bind {
            address: options.listen.clone(),
            source,
        })?;
        let (host, port) = advertised(options.advertise, address)?;
        let mut config = options.config;
        // Admin clients look for these two where Kafka has them.
        for (key, host, port) in [
            ("listeners", address.ip().to_string(), address.port()),
            ("advertised.listeners", host.clone(), port),
        ] {
            let bracketed = if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            };
            let shown = config.set(key, &format!("PLAINTEXT://{bracketed}:{port}"));
            debug_assert!(shown.is_ok(), "any text is a listener");
        }
        let config = Arc::new(config);
        let id = config.number("broker.id") as i32;
        let registration = Registration {
            id,
            host,
            port,
            rack: options.rack,
        };
        let cluster_id = metadata::scaffold(&session).await.map_err(coord_error)?;
        let storage = Storage::open(RealDisk::new(), options.data, &cluster_id, id)?;
        let pool = SyncPool::start("milena-sync", SYNC_THREADS_MAX).map_err(StartError::Thread)?;
        let follower = Follower::new(
            session.clone(),
            id,
            Arc::clone(&config),
            Arc::clone(&storage),
            pool.clone(),
        );
        let reign = metadata::register(&session, &registration)
            .await
            .map_err(coord_error)?;
        let (view, first) = tokio::task::block_in_place(|| follower.load()).map_err(coord_error)?;
        let metadata = Arc::new(Metadata::new(view));
        let offsets = Arc::new(OffsetsTopic::new(Arc::clone(&metadata), &config));
        let inner = Arc::new(Inner {
            id,
            cluster_id,
            groups: GroupCoordinator::new(offsets, group_config(&config)),
            producer_ids: ProducerIds::new(session.clone(), id),
            fetch_sessions: Sessions::new(
                config.number("max.incremental.fetch.session.cache.slots") as usize,
            ),
            limits: Limits::new(
                config.number("max.connections") as usize,
                config.number("max.connections.per.ip") as usize,
                config.number("queued.max.request.bytes") as usize,
                config.number("fetch.max.bytes") as usize,
            ),
            metrics: Metrics::default(),
            turn: AtomicUsize::new(metadata.view().topic_count()),
            config,
            metadata,
            storage,
            session,
            reign,
        });
        let (stopping, stop) = watch::channel(false);
        let mut tasks = JoinSet::new();
        inner.adopt(first);
        tasks.spawn(follow(Arc::clone(&inner), follower));
        let maintenance = tokio::spawn(maintain(Arc::clone(&inner), stop.clone()));
        let listening = tokio::spawn(net::listen(Arc::clone(&inner), listener, stop));
        Ok(Self {
            inner,
            address,
            stopping,
            tasks,
            listening,
            maintenance,
            pool,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Ends all connections, syncs and closes every log, and marks the folder clean.
    pub async fn stop(mut self) {
        let _ = self.stopping.send(true);
        if let Err(error) = self.listening.await {
            tracing::error!("the listener: {error}");
        }
        self.tasks.shutdown().await;
        // Waited for rather than aborted: what runs on a thread cannot be, and nothing of it may
        // come after the logs are closed.
        if let Err(error) = self.maintenance.await {
            tracing::error!("looking after the logs: {error}");
        }
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || {
            inner.close_logs(&self.pool);
        });
        if let Err(error) = closed.await {
            tracing::error!("closing the logs: {error}");
        }
    }
}

/// Syncs of different files run side by side, as a disk takes many at once and the flushes of
/// its cache are merged: measured with 64 files, 13,000 syncs a second by 4 threads, 38,000 by
/// 16, 56,000 by 32, 62,000 by 64.
const SYNC_THREADS_MAX: usize = 32;
/// So many logs are closed side by side, for the same reason.
const CLOSERS: usize = 8;

fn coord_error(error: WriteError) -> StartError {
    StartError::Coord(error.to_string())
}

/// What clients are told to connect to.
fn advertised(
    asked: Option<(String, u16)>,
    bound: SocketAddr,
) -> Result<(String, u16), StartError> {
    let (host, port) = match asked {
        Some((host, 0)) => (host, bound.port()),
        Some(asked) => asked,
        // Bound to every address: say one that works on this machine.
        None if bound.ip().is_unspecified() => ("localhost".to_owned(), bound.port()),
        None => (bound.ip().to_string(), bound.port()),
    };
    let unspecified = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_unspecified());
    if unspecified || host.is_empty() {
        return Err(StartError::Advertised(host));
    }
    Ok((host, port))
}

async fn follow(inner: Arc<Inner>, mut follower: Follower) {
    while let Some(change) = follower.next(&inner.metadata).await {
        inner.adopt(change);
        inner.metadata.announce();
    }
    tracing::error!("the session with the coordination service has ended");
}

async fn load_groups(groups: GroupCoordinator<OffsetsTopic>, partition: i32) {
    while let Err(code) = groups.load(partition).await {
        tracing::error!(
            "the groups of {OFFSETS_TOPIC}-{partition} could not be loaded ({}); trying again",
            code.name()
        );
        tokio::time::sleep(LOAD_AGAIN_AFTER).await;
    }
}

async fn maintain(inner: Arc<Inner>, mut stopping: watch::Receiver<bool>) {
    let retention_every = inner.config.number("log.retention.check.interval.ms");
    let mut retention_due = now_ms() + retention_every;
    let mut tick = tokio::time::interval(MAINTENANCE_EVERY);
    let mut checkpoints_from = Instant::now();
    loop {
        let seen = stopping.clone();
        let flushed = async {
            tokio::time::sleep_until(checkpoints_from.into()).await;
            inner.storage.checkpoint_due().await;
        };
        let by_size = tokio::select! {
            _ = tick.tick() => false,
            () = flushed => true,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        if by_size {
            checkpoints_from = checkpoint(&inner).await;
            continue;
        }
        let now = now_ms();
        let retention = now >= retention_due;
        if retention {
            retention_due = now + retention_every;
        }
        let inner = Arc::clone(&inner);
        let done = tokio::task::spawn_blocking(move || {
            inner.look_after_logs(now, retention, || *seen.borrow());
        });
        if let Err(error) = done.await {
            tracing::error!("looking after the logs: {error}");
        }
    }
}

/// Writes the checkpoints between two rounds of maintenance. Tells from when on that may be done
/// again: with many partitions it takes long, and must not take all of a processor.
async fn checkpoint(inner: &Arc<Inner>) -> Instant {
    let started = Instant::now();
    let inner = Arc::clone(inner);
    let done = tokio::task::spawn_blocking(move || report(inner.storage.checkpoint(&inner.view())));
    if let Err(error) = done.await {
        tracing::error!("writing the checkpoints: {error}");
    }
    Instant::now() + started.elapsed() * 9
}

/// Does `each` on a few threads, as it waits for the disk.
fn side_by_side<T: Sync>(all: &[T], each: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLOSERS.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(one);
                }
            });
        }
    });
}

fn report(checkpointed: Result<(), LogError>) {
    if let Err(error) = checkpointed {
        tracing::error!("the checkpoints could not be written: {error}");
    }
}

impl Inner {
    pub(crate) fn view(&self) -> Arc<View> {
        self.metadata.view()
    }

    /// Tells the group coordinator what changed for it.
    fn adopt(&self, change: metadata::Change) {
        for partition in change.offsets_gained {
            let mut load = Box::pin(load_groups(self.groups.clone(), partition));
            // The first step makes the partition known as loading: nobody who waits for the
            // view is told that it has no coordinator.
            let mut context = Context::from_waker(Waker::noop());
            if load.as_mut().poll(&mut context).is_pending() {
                tokio::spawn(load);
            }
        }
        for topic in change.deleted {
            self.groups.topic_deleted(&topic);
        }
    }

    fn look_after_logs(&self, now: i64, retention: bool, stopping: impl Fn() -> bool) {
        let view = self.view();
        for partition in view.local_partitions() {
            if stopping() {
                return;
            }
            partition.maintain(now, REST_AFTER_MS, retention);
        }
        self.storage.remove_due(now, stopping);
        report(self.storage.checkpoint(&view));
    }

    /// Closes every log, several side by side, and then the folder.
    fn close_logs(&self, pool: &SyncPool) {
        let view = self.view();
        let partitions: Vec<_> = view.local_partitions().collect();
        let unsynced = AtomicUsize::new(0);
        side_by_side(&partitions, |partition| {
            if partition.stage_close() {
                unsynced.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Each log has a few small files to sync: for many, the whole file system at once.
        let at_once = unsynced.into_inner() >= SYNC_ALL_FROM && self.storage.sync_everything();
        let clean = AtomicBool::new(true);
        side_by_side(&partitions, |partition| {
            if !partition.close(at_once) {
                clean.store(false, Ordering::Relaxed);
            }
        });
        // What is queued finds its log closed.
        pool.stop();
        let clean = clean.into_inner() && (!at_once || self.storage.sync_everything());
        self.storage.close(&view, clean);
    }
}

/// The group coordinator's settings, from the broker's.
fn group_config(config: &BrokerConfig) -> GroupConfig {
    let int = |name| config.number(name) as i32;
    let defaults = GroupConfig::default();
    GroupConfig {
        session_timeout_ms_min: int("group.min.session.timeout.ms"),
        session_timeout_ms_max: int("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms"),
        group_members_max: config.number("group.max.size") as usize,
        offset_metadata_max: config.number("offset.metadata.max.bytes") as usize,
        offsets_retention_ms: config.number("offsets.retention.minutes") * 60_000,
        offsets_retention_check_interval_ms: config.number("offsets.retention.check.interval.ms"),
        ..defaults
    }
}
