//! The port: who may come in.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Context, Stopping, connection};

/// After an error that does not go by itself (no descriptors are left), so long nobody is let in.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Opens the port. Of a machine with IPv6 every address means those, too: `localhost` is `::1` to many.
pub(super) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip().is_unspecified() && address.is_ipv4() {
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), address.port());
        if let Ok(port) = TcpListener::bind(both).await {
            return Ok(port);
        }
    }
    TcpListener::bind(address).await
}

/// Lets clients in until the listener stops, and then waits for their connections' ends.
pub(super) async fn run(context: Arc<Context>, port: TcpListener, mut stopping: Stopping) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.begins() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a client's connection ended badly: {error}");
                }
            }
            accepted = port.accept() => match accepted {
                Ok((stream, peer)) => let_in(&context, stream, peer, &stopping, &mut connections),
                Err(error) => {
                    tracing::warn!("a client cannot be let in on {}: {error}", context.config.address);
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            },
        }
    }
    drop(port);
    while connections.join_next().await.is_some() {}
}

fn let_in(
    context: &Arc<Context>,
    stream: TcpStream,
    peer: SocketAddr,
    stopping: &Stopping,
    connections: &mut JoinSet<()>,
) {
    let config = &context.config;
    let place = context.registry.enter(
        peer,
        config.connections_per_address_max,
        config.connections_max,
    );
    let Some(place) = place else {
        tracing::warn!(
            "{peer} is not let in: there are too many connections, from its address (maxClientCnxns is {}) or at all \
             (maxCnxns is {})",
            config.connections_per_address_max,
            config.connections_max
        );
        return;
    };
    let context = Arc::clone(context);
    connections.spawn(connection::run(context, stream, place, stopping.clone()));
}
