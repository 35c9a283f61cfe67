//! Binds the Kafka port and takes connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::watch;

use super::connection;
use crate::broker::Inner;
use crate::error::StartError;

/// How many connections may wait to be taken.
const BACKLOG: u32 = 1024;

/// Binds `address` (`HOST:PORT`), or says what keeps it from being bound.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, StartError> {
    let mut resolved = lookup_host(address)
        .await
        .map_err(|source| StartError::Unresolved {
            address: address.to_owned(),
            source,
        })?;
    let first: SocketAddr = resolved.next().ok_or_else(|| StartError::Unresolved {
        address: address.to_owned(),
        source: std::io::Error::other("the name has no address"),
    })?;
    let failed = |source| StartError::Bind {
        address: address.to_owned(),
        source,
    };
    let socket = if first.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .map_err(failed)?;
    // A restart must not wait for the last run's connections to leave TIME_WAIT.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(first).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

/// Takes connections until the broker stops.
pub(crate) async fn listen(
    broker: Arc<Inner>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) {
    let seen = stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: those that are connected go on, and a
                // moment later there may be one.
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match broker.limits.admit(address.ip()) {
            Ok(place) => {
                let _ = socket.set_nodelay(true);
                tokio::spawn(connection::serve(
                    Arc::clone(&broker),
                    socket,
                    address,
                    place,
                    seen.clone(),
                ));
            }
            Err(limit) => {
                broker.metrics.refused.add(1);
                tracing::warn!("refusing {address}: {limit} is reached");
            }
        }
    }
}
