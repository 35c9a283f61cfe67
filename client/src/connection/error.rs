//! Why a request got no answer.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use protocol::ApiKey;
use protocol::wire::DecodeError;

/// Why a request on a [`Connection`](super::Connection) got no answer. Whether the broker acted
/// on it is unknown, but where [`was_sent`](Self::was_sent) says that it never left.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The connection could not be opened.
    #[error("{address}: {}{}", reason(source), hint(source))]
    Unreachable {
        /// Host and port.
        address: Arc<str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The connection could not be opened in time.
    #[error("{address}: no connection within {} ms; is the address right, and no firewall in the way?", after.as_millis())]
    ConnectTimeout {
        /// Host and port.
        address: Arc<str>,
        /// How long was waited.
        after: Duration,
    },
    /// It broke while the request was under way.
    #[error("{address}: the connection broke: {reason}")]
    Broken {
        /// Host and port.
        address: Arc<str>,
        /// What happened to it.
        reason: Arc<str>,
    },
    /// No answer came in time; the connection was closed.
    #[error("{address}: no answer to {} within {} ms", api.name(), after.as_millis())]
    RequestTimeout {
        /// Host and port.
        address: Arc<str>,
        /// What was asked.
        api: ApiKey,
        /// How long was waited.
        after: Duration,
    },
    /// The broker serves no version of the request that this client knows.
    #[error("{address}: the broker serves {}, this client needs {} {}-{}", served(*api, theirs.as_ref()), api.name(), ours.start(), ours.end())]
    Unsupported {
        /// Host and port.
        address: Arc<str>,
        /// What was to be asked.
        api: ApiKey,
        /// The versions known here.
        ours: RangeInclusive<i16>,
        /// The versions known there, if any.
        theirs: Option<RangeInclusive<i16>>,
    },
    /// The answer is not one of Kafka's protocol.
    #[error("{address}: the answer to {} cannot be read ({source}); is this a Kafka port?", api.name())]
    Answer {
        /// Host and port.
        address: Arc<str>,
        /// What was asked.
        api: ApiKey,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl ConnectionError {
    /// For a broker that the cluster does not list (any more), and that has no address thus.
    pub(crate) fn unlisted(broker: i32) -> Self {
        let told = "it is not among the cluster's brokers";
        Self::Unreachable {
            address: format!("broker {broker}").into(),
            source: Arc::new(io::Error::new(io::ErrorKind::NotFound, told)),
        }
    }

    /// Whether the request may have reached the broker.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable { .. } | Self::ConnectTimeout { .. } | Self::Unsupported { .. }
        )
    }

    /// Whether the same may succeed later, over a new connection.
    pub fn retriable(&self) -> bool {
        !matches!(self, Self::Unsupported { .. } | Self::Answer { .. })
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is a broker running there?",
        _ if error.to_string().contains("lookup address") => "; does the host name resolve?",
        _ => "",
    }
}

fn served(api: ApiKey, theirs: Option<&RangeInclusive<i16>>) -> String {
    match theirs {
        Some(range) => format!("{} {}-{}", api.name(), range.start(), range.end()),
        None => format!("no {}", api.name()),
    }
}
