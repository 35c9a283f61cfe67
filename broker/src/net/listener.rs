//! Binds the Kafka port and takes connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection;
use crate::broker::Inner;
use crate::error::StartError;

/// How many connections may wait to be taken.
const BACKLOG: u32 = 1024;
/// Refused clients come again and again; the log hears of them no more often than this.
const TELL_EACH: Duration = Duration::from_secs(1);
/// More than Kafka's `socket.send.buffer.bytes` of 102,400, by measurement: fetches over loopback
/// run at 3.2 GB/s with this on one connection where they run at 2.1 with that, and from 165,000
/// on they need twice the CPU.
const SEND_BUFFER: u32 = 150_000;

/// Binds `address` (`HOST:PORT`), or says what keeps it from being bound.
pub(crate) async fn bind(address: &str) -> Result<TcpListener, StartError> {
    let resolved = lookup_host(address)
        .await
        .map_err(|source| StartError::Unresolved {
            address: address.to_owned(),
            source,
        })?;
    let mut last = std::io::Error::other("the name has no address");
    // A name may have an address of a family that this machine does not use.
    for candidate in resolved {
        match bind_one(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(StartError::Bind {
        address: address.to_owned(),
        source: last,
    })
}

fn bind_one(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for the last run's connections to leave TIME_WAIT.
    socket.set_reuseaddr(true)?;
    // Connections inherit it. What is sent is in the page cache, so a larger buffer only
    // costs: over loopback the kernel's own choice halves the rate of sendfile.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    // A peer that lost its power is noticed also while a request of it waits.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes connections until the broker stops, and ends them then.
pub(crate) async fn listen(
    broker: Arc<Inner>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut refused: u64 = 0;
    let mut told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stopping.wait_for(|stopping| *stopping) => break,
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
                connections.spawn(connection::serve(
                    Arc::clone(&broker),
                    socket,
                    address,
                    place,
                ));
            }
            Err(limit) => {
                broker.metrics.refused.add(1);
                refused += 1;
                if told.is_none_or(|told| told.elapsed() >= TELL_EACH) {
                    tracing::warn!(
                        "refusing {address}: {limit} is reached ({refused} refused so far)"
                    );
                    told = Some(Instant::now());
                }
            }
        }
    }
    // None of them starts anything more: the logs are about to be closed.
    connections.shutdown().await;
}
