//! Start and stop in order: the coordination service, a session with it, the broker; and
//! back. The HTTP port is there before all of them, to say how far they are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerOptions, Observer};
use coord::{Coord, CoordConfig, Handle, Session};
use disk::RealDisk;

use crate::VERSION;
use crate::config::Config;
use crate::error::NodeError;
use crate::http::{self, Http};
use crate::limits;

/// The broker's session lives in this process and needs no pings; this is only what
/// others see.
const SESSION_TIMEOUT: Duration = Duration::from_secs(18);

/// How often a node looks whether its disk still keeps its word.
const DISK_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// A running node.
pub struct Node {
    coord: Coord,
    handle: Handle,
    session: Session,
    broker: Broker,
    http: Http,
    data: PathBuf,
}

impl Node {
    /// Starts everything, and gives the node once it takes records. Must be called within a
    /// multi-threaded tokio runtime.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let began = Instant::now();
        limits::raise_open_files();
        let data = data_folder(&config.data)?;
        let http = Http::start(&config.http_listen).await?;

        let coord_dir = data.join("coord");
        let opened =
            blocking(move || Coord::start(RealDisk::new(), &coord_dir, CoordConfig::default()));
        let (coord, handle) = opened.await?;
        let session = handle.open_session(SESSION_TIMEOUT).await?;

        let logs = data.join("logs");
        let mut kafka = config.kafka;
        let shown = kafka.set("log.dirs", &logs.to_string_lossy());
        debug_assert!(shown.is_ok(), "any text is a folder");
        if let Some((host, _)) = &config.advertise {
            warn_if_unresolved(host.clone());
        }
        let options = BrokerOptions {
            data: logs,
            listen: config.listen,
            advertise: config.advertise,
            rack: config.rack,
            config: kafka,
        };
        let broker = Broker::start(options, session.clone()).await?;
        http.serves(http::Serving {
            observer: broker.observer(),
            coord: handle.clone(),
        });
        let node = Self {
            coord,
            handle,
            session,
            broker,
            http,
            data,
        };
        tracing::info!(
            "Milena {VERSION} is ready after {} ms: Kafka on {}, HTTP on {}, data in {}",
            began.elapsed().as_millis(),
            node.address(),
            node.http_address(),
            node.data.display()
        );
        Ok(node)
    }

    /// Where Kafka clients connect.
    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// Where metrics and health are served.
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// A view of the broker.
    pub fn observer(&self) -> Observer {
        self.broker.observer()
    }

    /// Waits until the node cannot go on: its coordination service ended, or its disk failed
    /// for good.
    pub async fn failed(&self) -> NodeError {
        let observer = self.broker.observer();
        let disk = async {
            loop {
                if let Some(reason) = observer.storage_failure() {
                    let path = self.data.join("logs");
                    return NodeError::DiskFailed { path, reason };
                }
                tokio::time::sleep(DISK_LOOKED_AT_EVERY).await;
            }
        };
        tokio::select! {
            ended = self.handle.ended() => NodeError::Coord(ended),
            failed = disk => failed,
        }
    }

    /// Stops in order: whoever asks learns that it is not ready, connections end, logs are
    /// synced and marked clean, the session closes, the coordination service ends.
    pub async fn stop(self) {
        let began = Instant::now();
        self.http.stopping();
        self.broker.stop().await;
        if let Err(error) = self.session.close().await {
            tracing::warn!("the session could not be closed: {error}");
        }
        let coord = self.coord;
        blocking(move || coord.stop()).await;
        self.http.stop().await;
        tracing::info!("stopped after {} ms", began.elapsed().as_millis());
    }
}

/// Runs what reads files away from the workers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Makes the folder if need be, and gives its absolute path, which does not depend on where
/// the process was started.
fn data_folder(path: &Path) -> Result<PathBuf, NodeError> {
    let failed = |source| NodeError::DataFolder {
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(path).map_err(failed)?;
    path.canonicalize().map_err(failed)
}

/// A name that does not resolve here may resolve where the clients are, so it is only told;
/// and aside, as a name service may take its time to say no.
fn warn_if_unresolved(host: String) {
    tokio::spawn(async move {
        if let Err(error) = tokio::net::lookup_host((host.as_str(), 0)).await {
            tracing::warn!(
                "the advertised name {host} does not resolve on this machine ({error}): clients that cannot resolve it either cannot connect"
            );
        }
    });
}
