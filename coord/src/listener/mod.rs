//! ZooKeeper's client protocol over TCP: what kazoo, zkCli and Curator talk to.
//!
//! ```text
//! accept ─▶ connection::handshake ─▶ connection::serve ─▶ translate ─▶ wire::Connection (write, read)
//!              │ a word                    ▲                                   │
//!              ▼                           └──── answer ◀──── wire::Outbox ◀───┘  answers and events, in order
//!            words
//! ```
//!
//! `jute` is the encoding, `message` the records, `frame` where one ends: none of them asks the service or knows a
//! socket. What a request does is `crate::wire`'s business.

mod accept;
mod config;
mod connection;
mod frame;
pub(crate) mod jute;
pub(crate) mod message;
mod registry;
mod words;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::ListenerConfig;
use registry::Registry;

use crate::Handle;
use crate::wire::Wire;

/// What ZooKeeper calls its version. The number is the one whose protocol and behaviour this is, as clients that look at
/// it choose by it what they may ask for.
pub(crate) const VERSION: &str = concat!(
    "3.9.5-milena-",
    env!("CARGO_PKG_VERSION"),
    ", built on 11/01/2026 00:00 UTC"
);

/// What all connections of a listener share.
pub(crate) struct Context {
    pub(crate) config: ListenerConfig,
    pub(crate) wire: Wire,
    pub(crate) registry: Arc<Registry>,
    pub(crate) started: Instant,
    read_only: AtomicBool,
}

impl Context {
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }
}

/// The end of a listener, for those who must end with it.
#[derive(Clone)]
struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Completes once the listener is to end. May be cancelled.
    async fn begins(&mut self) {
        // A sender that is gone has stopped, too.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// A port on which ZooKeeper's clients are served. Dropping it closes the port and every connection; the sessions live
/// on until they time out.
pub struct Listener {
    context: Arc<Context>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Opens the port and serves it. Must be called on a tokio runtime.
    pub async fn start(handle: &Handle, config: ListenerConfig) -> io::Result<Listener> {
        let port = accept::bind(config.address).await?;
        let address = port.local_addr()?;
        let context = Arc::new(Context {
            wire: handle.wire(),
            config: ListenerConfig { address, ..config },
            registry: Arc::new(Registry::default()),
            started: Instant::now(),
            read_only: AtomicBool::new(false),
        });
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept::run(Arc::clone(&context), port, Stopping(stopping)));
        Ok(Listener {
            context,
            address,
            stop,
            accepting,
        })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, only clients that said that reading will do are let in, and nobody writes; or back again.
    /// Connections that are open stay.
    pub fn set_read_only(&self, read_only: bool) {
        self.context.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.accepting).await {
            tracing::error!("the listener on {} ended badly: {error}", self.address);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
