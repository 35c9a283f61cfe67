//! The first frame, or word.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::super::Context;
use super::super::frame::Input;
use super::super::jute::{Reader, Writer};
use super::super::message::connect::{ConnectRequest, ConnectResponse};
use super::super::registry::Place;
use super::super::words::Word;
use crate::CoordError;
use crate::wire::{Opened, Peer};
use bytes::BytesMut;

/// What a connection begins with.
pub(super) enum First {
    Word(Word),
    Connect(ConnectRequest),
}

/// Waits for the first frame or word. An error is why there is none.
pub(super) async fn first(
    context: &Context,
    stream: &mut TcpStream,
    input: &mut Input,
) -> Result<First, String> {
    loop {
        if let Some(word) = input.first_word().and_then(Word::of_bytes) {
            return Ok(First::Word(word));
        }
        let frame = input.next(context.config.frame_bytes_max);
        if let Some(frame) = frame.map_err(|error| error.to_string())? {
            let request = ConnectRequest::decode(&mut Reader::new(frame));
            return request
                .map(First::Connect)
                .map_err(|error| format!("its first frame is no connect request: {error}"));
        }
        match stream.read_buf(input.room()).await {
            Ok(0) => return Err("it went without a request".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Opens a session or takes one over, and writes the answer. An error is why there is none; what stands in `output` by
/// then is still to be sent.
pub(super) async fn open(
    context: &Context,
    place: &Place,
    request: &ConnectRequest,
    output: &mut BytesMut,
) -> Result<Opened, String> {
    let config = &context.config;
    let read_only = context.is_read_only();
    if read_only && request.read_only != Some(true) {
        return Err("it wants to write, and this server only reads".to_owned());
    }
    let zxid = context.wire.zxid();
    if request.last_zxid_seen > zxid.0 as i64 {
        // Without an answer it tries another server.
        return Err(format!(
            "it has seen zxid 0x{:x}, and this server is at {zxid}",
            request.last_zxid_seen
        ));
    }
    let timeout_ms = u32::try_from(request.timeout_ms)
        .unwrap_or(0)
        .clamp(config.session_timeout_ms_min, config.session_timeout_ms_max);
    let peer = Peer {
        ip: Some(place.traffic.peer.ip()),
        x509: None,
    };
    let (opened, response) = match context.wire.open(peer, request.resume, timeout_ms).await {
        Ok(opened) => {
            let response = ConnectResponse {
                timeout_ms: i32::try_from(opened.timeout_ms).unwrap_or(i32::MAX),
                session: opened.session,
                password: opened.password,
                read_only: request.read_only.map(|_| read_only),
            };
            place.traffic.begins(opened.session, opened.timeout_ms);
            (Ok(opened), response)
        }
        Err(CoordError::SessionExpired { session }) => {
            let response = ConnectResponse {
                timeout_ms: 0,
                session: 0,
                password: [0; 16],
                read_only: request.read_only.map(|_| read_only),
            };
            let reason = format!("session 0x{session:x} has ended, or the password is not its own");
            (Err(reason), response)
        }
        Err(error) => return Err(error.to_string()),
    };
    Writer::frame(output, |writer| response.encode(writer));
    context.wire.packets(1, 1);
    opened
}
