//! Why a broker does not start, as a sentence for whoever started it; and why a request is
//! refused, as an answer's fields.

use std::io;
use std::path::PathBuf;

use protocol::ErrorCode;
use protocol::records::BatchError;
use thiserror::Error;

/// What keeps a broker from starting.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(
        "cannot resolve the listener address {address}: {source}; use an address of this machine, such as 127.0.0.1:9092, or mend its name (/etc/hosts or DNS)"
    )]
    Unresolved { address: String, source: io::Error },
    #[error(
        "cannot listen on {address}: {source}; another process may have the port (choose another with --listen)"
    )]
    Bind { address: String, source: io::Error },
    #[error(
        "the advertised address {0} is none that a client could connect to; advertise a name or address of this machine"
    )]
    Advertised(String),
    #[error(transparent)]
    LogDir(#[from] crate::log::LogDirError),
    #[error("{} holds the logs of cluster {theirs}, and this is cluster {ours}; start it with the data that belongs to it, or choose another folder with --data", path.display())]
    OtherCluster {
        path: PathBuf,
        theirs: String,
        ours: String,
    },
    #[error("{} holds the logs of broker {theirs}, and this is broker {ours}; set broker.id to {theirs}, or choose another folder with --data", path.display())]
    OtherBroker {
        path: PathBuf,
        theirs: i32,
        ours: i32,
    },
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
    #[error("the coordination service: {0}")]
    Coord(String),
}

/// Why something that was asked for is not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Index in the batch and reason, of the records to blame (KIP-467).
    pub(crate) records: Vec<(i32, String)>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            records: Vec::new(),
        }
    }
}

/// In Kafka's own words for the error.
impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
