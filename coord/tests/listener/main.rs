//! The listener over real sockets, as ZooKeeper's clients use it.

mod bounds;
mod client;
mod requests;
mod sessions;
mod words;

use disk::SimulatedDisk;
use milena_coord::{Coord, CoordConfig, Listener, ListenerConfig};

/// A server that is alone, with its data in memory.
pub(crate) struct Server {
    pub(crate) listener: Listener,
    pub(crate) address: std::net::SocketAddr,
    _coord: Coord,
}

pub(crate) async fn start() -> Server {
    start_with(|_| ()).await
}

pub(crate) async fn start_with(set: impl FnOnce(&mut ListenerConfig)) -> Server {
    let (coord, handle) = Coord::start(
        SimulatedDisk::new(1),
        std::path::Path::new("/coord"),
        CoordConfig::default(),
    )
    .expect("the service starts");
    let mut config = ListenerConfig::new("127.0.0.1:0".parse().unwrap());
    config.session_timeout_ms_min = 100;
    set(&mut config);
    let listener = Listener::start(&handle, config).await.expect("a free port");
    Server {
        address: listener.address(),
        listener,
        _coord: coord,
    }
}
