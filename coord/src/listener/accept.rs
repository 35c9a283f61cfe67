//! The port: who may come in.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Context, Stopping, connection};

/// After an error that does not go by itself (no descriptors are left), so long nobody is let in.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Between two lines of the log on clients that were not let in.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Clients that were not let in, told together: one that comes again and again must not fill the log.
#[derive(Default)]
struct Refused {
    untold: u64,
    told: Option<Instant>,
}

impl Refused {
    /// One more, at `now`; how many are to be told of, if it is time.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let waits = |told: Instant| now.duration_since(told) < TOLD_EVERY;
        if self.told.is_some_and(waits) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

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
    let mut refused = Refused::default();
    loop {
        tokio::select! {
            () = stopping.begins() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a client's connection ended badly: {error}");
                }
            }
            accepted = port.accept() => match accepted {
                Ok((stream, peer)) => {
                    if !let_in(&context, stream, peer, &stopping, &mut connections)
                        && let Some(count) = refused.count(Instant::now())
                    {
                        tell(&context, peer, count);
                    }
                }
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
) -> bool {
    let config = &context.config;
    let place = context.registry.enter(
        peer,
        config.connections_per_address_max,
        config.connections_max,
    );
    let Some(place) = place else {
        return false;
    };
    let context = Arc::clone(context);
    connections.spawn(connection::run(context, stream, place, stopping.clone()));
    true
}

fn tell(context: &Context, peer: SocketAddr, count: u64) {
    let config = &context.config;
    tracing::warn!(
        "{peer} is not let in: there are too many connections, from its address (maxClientCnxns is {}) or at all \
         (maxCnxns is {}); {count} since this was last said",
        config.connections_per_address_max,
        config.connections_max
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refused_clients_are_told_of_once_a_second() {
        let mut refused = Refused::default();
        let start = Instant::now();
        assert_eq!(refused.count(start), Some(1));
        for _ in 0..5 {
            assert_eq!(refused.count(start + TOLD_EVERY / 2), None);
        }
        assert_eq!(refused.count(start + TOLD_EVERY), Some(6));
    }
}
