//! How a listener behaves; the default is ZooKeeper's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::zoo_cfg::ZooCfg;

/// The settings of a [`super::Listener`].
#[derive(Clone)]
pub struct ListenerConfig {
    /// Where clients connect. `0.0.0.0` is every address, of IPv6 too.
    pub address: SocketAddr,
    /// The unit of time-outs, in milliseconds; only to be shown.
    pub tick_ms: u32,
    /// The shortest timeout that a session may have, in milliseconds.
    pub session_timeout_ms_min: u32,
    /// The longest.
    pub session_timeout_ms_max: u32,
    /// Connections from one address at most; 0 is no limit.
    pub connections_per_address_max: usize,
    /// Connections at all at most; 0 is no limit.
    pub connections_max: usize,
    /// The longest frame, in bytes: ZooKeeper's `jute.maxbuffer`.
    pub frame_bytes_max: usize,
    /// The four-letter words that are answered, beside `srvr`; `*` is all.
    pub words: Vec<String>,
    /// Whether changes of the membership are taken at all.
    pub reconfig: bool,
    /// The member's id; only to be shown.
    pub server_id: u64,
    /// The data's folder; only to be shown.
    pub data_dir: PathBuf,
    /// Bytes of files in the data's folder.
    pub data_bytes: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl ListenerConfig {
    /// The defaults, at an address.
    pub fn new(address: SocketAddr) -> ListenerConfig {
        ListenerConfig {
            address,
            tick_ms: 3_000,
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 60_000,
            connections_per_address_max: 60,
            connections_max: 0,
            frame_bytes_max: 0xf_ffff,
            words: Vec::new(),
            reconfig: false,
            server_id: 0,
            data_dir: PathBuf::new(),
            data_bytes: Arc::new(|| 0),
        }
    }

    /// The settings of a zoo.cfg, at the address that it names for clients.
    pub fn of_zoo_cfg(cfg: &ZooCfg, address: SocketAddr) -> ListenerConfig {
        ListenerConfig {
            tick_ms: cfg.tick_ms,
            session_timeout_ms_min: cfg.session_timeout_ms_min,
            session_timeout_ms_max: cfg.session_timeout_ms_max,
            connections_per_address_max: cfg.client_connections_max,
            connections_max: cfg.connections_max,
            frame_bytes_max: cfg.frame_bytes_max,
            words: cfg.words.clone(),
            reconfig: cfg.reconfig,
            server_id: if cfg.is_alone() {
                0
            } else {
                cfg.my_id.unwrap_or(0)
            },
            data_dir: cfg.data_dir.clone(),
            ..ListenerConfig::new(address)
        }
    }
}
