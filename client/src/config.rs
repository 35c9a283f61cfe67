//! What every part of the library needs to know to reach a cluster.

use std::time::Duration;

use crate::connection::{Backoff, ConnectionOptions};

/// Where the cluster is and how patiently to talk to it.
///
/// ```
/// use client::ClientConfig;
///
/// let config = ClientConfig::new("kafka-1:9092,kafka-2");
/// assert_eq!(config.brokers, ["kafka-1:9092", "kafka-2:9092"]);
/// assert_eq!(ClientConfig::default().brokers, ["127.0.0.1:9092"]);
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Some of the cluster's brokers, each host and port; the others are learned from them.
    pub brokers: Vec<String>,
    /// How each connection behaves.
    pub connection: ConnectionOptions,
    /// The wait between tries of what failed and may succeed later.
    pub retry: Backoff,
    /// How long to keep trying what may succeed later: a topic that is not there yet, a
    /// partition without a leader, a group without a coordinator.
    pub patience: Duration,
    /// Metadata older than this is fetched anew, so that new partitions are seen.
    pub metadata_max_age: Duration,
    /// Whether asking for a topic may create it, where the broker allows that.
    pub auto_create_topics: bool,
}

impl ClientConfig {
    /// For a cluster with these brokers: `host`, `host:port` or several, separated by commas.
    pub fn new(brokers: impl AsRef<str>) -> Self {
        Self {
            brokers: brokers
                .as_ref()
                .split(',')
                .map(str::trim)
                .filter(|broker| !broker.is_empty())
                .map(with_port)
                .collect(),
            ..Self::default()
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            connection: ConnectionOptions::default(),
            retry: Backoff {
                first: Duration::from_millis(50),
                most: Duration::from_secs(1),
            },
            patience: Duration::from_secs(30),
            metadata_max_age: Duration::from_secs(300),
            auto_create_topics: true,
        }
    }
}

/// Adds Kafka's port to an address without one.
fn with_port(address: &str) -> String {
    let has_port = match address.rsplit_once(':') {
        // An IPv6 address has colons of its own; with a port it stands in brackets.
        Some((host, port)) => {
            (!host.contains(':') || host.ends_with(']')) && port.parse::<u16>().is_ok()
        }
        None => false,
    };
    if has_port {
        address.to_owned()
    } else if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:9092")
    } else {
        format!("{address}:9092")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_kafkas() {
        for (given, expected) in [
            ("host", "host:9092"),
            ("host:1", "host:1"),
            ("::1", "[::1]:9092"),
            ("[::1]", "[::1]:9092"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(with_port(given), expected);
        }
    }
}
