//! A blocking connection that makes one request at a time: for creating topics and waiting, never under a load.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use protocol::wire::{Reader, Str};
use protocol::{Message, Request, RequestHeader, ResponseHeader, encode_request};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The client id of all the benches.
pub const CLIENT_ID: &str = "bench";

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub fn open(broker: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(broker).with_context(|| format!("cannot connect to {broker}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self {
            stream,
            correlation: 0,
        })
    }

    /// Sends a request at this version and waits for its response.
    pub fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.correlation += 1;
        self.stream
            .write_all(&encode(request, version, self.correlation))?;
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len) as usize;
        ensure!(len <= 256 << 20, "a response of {len} bytes");
        let mut frame = vec![0; len];
        self.stream.read_exact(&mut frame)?;
        let mut reader = Reader::new(Bytes::from(frame));
        let header = ResponseHeader::decode(&mut reader, R::KEY, version)?;
        ensure!(
            header.correlation_id == self.correlation,
            "an answer to another request"
        );
        Ok(R::Response::decode(&mut reader, version)?)
    }
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
