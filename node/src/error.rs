//! Why a node does not start, or cannot go on, as a sentence for whoever runs it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use coord::{CoordError, StorageError};
use thiserror::Error;

/// What keeps a node from starting or from going on.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error("cannot use the data folder {}: {source}; choose another with --data, or mend its permissions", path.display())]
    DataFolder { path: PathBuf, source: io::Error },
    #[error("{} is in use by another process; stop that one, or choose another folder with --data", path.display())]
    InUse { path: PathBuf },
    #[error("{} was written by a newer version of Milena (format {found}, this one reads up to {known}); run that version, or choose another folder with --data", path.display())]
    NewerFormat {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("cannot open the coordination service's files: {0}")]
    CoordFiles(Arc<StorageError>),
    #[error(
        "no room for the coordination service's files: {0}; free some space on that disk, or raise the quota"
    )]
    CoordNoRoom(Arc<str>),
    #[error("the coordination service: {0}")]
    Coord(CoordError),
    #[error(transparent)]
    Broker(#[from] broker::StartError),
    #[error(
        "cannot resolve the HTTP address {address}: {source}; use an address of this machine, such as 127.0.0.1:9464, or mend its name (/etc/hosts or DNS)"
    )]
    HttpUnresolved { address: String, source: io::Error },
    #[error(
        "cannot serve HTTP on {address}: {source}; another process may have the port (choose another with --http-listen)"
    )]
    HttpBind { address: String, source: io::Error },
    #[error("the disk of {} failed, and nothing more is written to it: {reason}; what was acknowledged before is safe as far as the disk kept it", path.display())]
    DiskFailed { path: PathBuf, reason: Arc<str> },
    #[error("zoo.cfg: {0}")]
    ZooCfg(String),
    #[error(
        "cannot serve ZooKeeper's clients on {address}: {source}; another process may have the port (clientPort names another)"
    )]
    ZooKeeperBind {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the system refuses threads or signals: {0}")]
    Runtime(io::Error),
}

impl From<CoordError> for NodeError {
    fn from(error: CoordError) -> Self {
        let storage = match error {
            CoordError::Storage(storage) => storage,
            CoordError::DiskFull(reason) => return Self::CoordNoRoom(reason),
            other => return Self::Coord(other),
        };
        match &*storage {
            StorageError::InUse { path } => Self::InUse { path: path.clone() },
            StorageError::NewerFormat { path, found, known } => Self::NewerFormat {
                path: path.clone(),
                found: *found,
                known: *known,
            },
            _ => Self::CoordFiles(storage),
        }
    }
}
