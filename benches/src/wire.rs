//! Requests outside a load: on the tests' blocking connection, which makes one at a time.

use anyhow::{Context, Result};
use bytes::Bytes;
use protocol::wire::Str;
use protocol::{Request, RequestHeader, encode_request};
use std::net::ToSocketAddrs;
use std::time::Duration;

pub use milena_tests::raw::Connection;

/// The client id of all the benches.
pub const CLIENT_ID: &str = "bench";

/// Making thousands of topics takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Connects to `HOST:PORT`.
pub fn connect(broker: &str) -> Result<Connection> {
    let connected = || {
        let mut addresses = broker.to_socket_addrs()?;
        let address = addresses.next().context("it has no address")?;
        let mut connection = Connection::open(address)?;
        connection.socket().set_read_timeout(Some(PATIENCE))?;
        anyhow::Ok(connection)
    };
    connected().with_context(|| format!("cannot connect to {broker}"))
}

/// A request's whole frame, with its length.
pub fn encode<R: Request>(request: &R, version: i16, correlation: i32) -> Bytes {
    let header = RequestHeader {
        api_key: R::KEY as i16,
        api_version: version,
        correlation_id: correlation,
        client_id: Some(Str::from(CLIENT_ID)),
    };
    encode_request(&header, request)
}
