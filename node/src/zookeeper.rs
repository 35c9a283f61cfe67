//! A ZooKeeper: the coordination service by itself, with a port for ZooKeeper's clients, as a zoo.cfg asks for it.
//! Run by `milena coord ZOO.CFG`. No broker is in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use coord::zoo_cfg::ZooCfg;
use coord::{
    Coord, CoordConfig, Handle, ImportError, Imported, Listener, ListenerConfig, WireConfig,
};
use disk::{Disk, RealDisk};
use tokio::runtime::Builder;

use crate::VERSION;
use crate::error::NodeError;
use crate::limits;
use crate::run::{LEAVES_WITHIN, Signals};

/// Our folder within dataDir, beside `myid` and whatever ZooKeeper has left there.
const FOLDER: &str = "milena";

/// A running ZooKeeper.
pub struct ZooKeeper {
    coord: Coord,
    handle: Handle,
    listener: Listener,
}

/// Runs one until SIGTERM or Ctrl-C. `started` is called once clients are served. An error if it does not start, or
/// failed by itself.
pub fn run(cfg: &ZooCfg, started: impl FnOnce(&ZooKeeper)) -> Result<(), NodeError> {
    let built = Builder::new_multi_thread()
        .thread_name("milena")
        .enable_all()
        .build();
    let runtime = built.map_err(NodeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(NodeError::Runtime)?;
        let zookeeper = ZooKeeper::start(cfg).await?;
        started(&zookeeper);
        let outcome = tokio::select! {
            failure = zookeeper.handle.ended() => Err(NodeError::from(failure)),
            name = signals.next() => {
                tracing::info!("stopping, as {name} asks");
                Ok(())
            }
        };
        zookeeper.stop().await;
        outcome
    });
    runtime.shutdown_timeout(LEAVES_WITHIN);
    outcome
}

impl ZooKeeper {
    /// Starts one. Must be called within a multi-threaded tokio runtime.
    pub async fn start(cfg: &ZooCfg) -> Result<ZooKeeper, NodeError> {
        let began = Instant::now();
        limits::raise_open_files();
        tell_about(cfg);
        if !cfg.is_alone() {
            return Err(NodeError::ZooCfg(format!(
                "it names {} servers, and this version serves alone: leave the server.N lines out",
                cfg.servers.len()
            )));
        }
        let Some(address) = cfg.client else {
            return Err(NodeError::ZooCfg(
                "only secureClientPort is set, and this version serves no TLS: set clientPort"
                    .to_owned(),
            ));
        };
        let dir = cfg.data_dir.join(FOLDER);
        refuse_unimported(&cfg.data_dir, &dir)?;
        let options = CoordConfig {
            sweep_every_ms: cfg.container_check_ms,
            wire: WireConfig {
                super_digest: cfg.super_digest.clone(),
                x509_super: cfg.x509_super.clone(),
                digest_enabled: cfg.digest_enabled,
                skip_acl: cfg.skip_acl,
                enforce_quota: cfg.enforce_quota,
                extended_types: cfg.extended_types,
                ..WireConfig::default()
            },
            ..CoordConfig::default()
        };
        let opening = dir.clone();
        let opened =
            tokio::task::spawn_blocking(move || Coord::start(RealDisk::new(), &opening, options))
                .await;
        let (coord, handle) = opened.expect("a start does not panic")?;
        let config = ListenerConfig {
            data_dir: dir.clone(),
            data_bytes: Arc::new(move || folder_bytes(&dir)),
            ..ListenerConfig::of_zoo_cfg(cfg, address)
        };
        let listener = Listener::start(&handle, config)
            .await
            .map_err(|source| NodeError::ZooKeeperBind { address, source })?;
        tracing::info!(
            "Milena {VERSION} is ready after {} ms: ZooKeeper's clients on {}, data in {}",
            began.elapsed().as_millis(),
            listener.address(),
            cfg.data_dir.display()
        );
        Ok(ZooKeeper {
            coord,
            handle,
            listener,
        })
    }

    /// Where ZooKeeper's clients connect.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Closes the port and finishes what is under way.
    pub async fn stop(self) {
        self.listener.stop().await;
        // It blocks for a few syncs.
        let stopped = tokio::task::spawn_blocking(move || self.coord.stop()).await;
        debug_assert!(stopped.is_ok(), "a stop does not panic");
    }
}

fn tell_about(cfg: &ZooCfg) {
    if !cfg.unknown.is_empty() {
        tracing::warn!(
            "zoo.cfg: nobody knows these keys, and they change nothing: {}",
            cfg.unknown.join(", ")
        );
    }
    if !cfg.passed_over.is_empty() {
        tracing::info!(
            "zoo.cfg: these keys change nothing here: {}",
            cfg.passed_over.join(", ")
        );
    }
    if cfg.client.is_some() && cfg.secure_client.is_some() {
        tracing::warn!("zoo.cfg: secureClientPort is not served yet; clients without TLS are");
    }
}

/// Takes over what a ZooKeeper has left in its `data_dir` and, where it has one, `log_dir`: what [`run`] starts on when
/// `into` is its dataDir. The ZooKeeper must have been stopped.
pub fn import(
    data_dir: &Path,
    log_dir: Option<&Path>,
    into: &Path,
) -> Result<Imported, ImportError> {
    let disk = RealDisk::new();
    disk.create_dir_all(into)
        .map_err(|source| ImportError::Io {
            path: into.to_owned(),
            source,
        })?;
    coord::import(&disk, data_dir, log_dir, &into.join(FOLDER))
}

/// A folder that ZooKeeper has written is somebody's data: starting empty over it would look as if it were lost.
fn refuse_unimported(data_dir: &Path, ours: &Path) -> Result<(), NodeError> {
    let theirs = data_dir.join("version-2");
    if ours.exists() || !theirs.exists() {
        return Ok(());
    }
    Err(NodeError::ZooCfg(format!(
        "{} holds a ZooKeeper's data; stop that one and take it over with `milena coord import {data} --into {data}`, or move it \
         away to start empty",
        theirs.display(),
        data = data_dir.display()
    )))
}

/// Bytes of the files in a folder, as far as they can be seen.
fn folder_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len())
        .sum()
}
