//! One client's connection, from its first four bytes to its end: one task.
//!
//! `handshake` takes the first frame, which opens a session or is a four-letter word; `serve` takes requests and gives
//! answers; `translate` says what a request is to the service, `answer` how its answer looks.

mod answer;
mod handshake;
mod serve;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::Input;
use super::registry::Place;
use super::words;
use super::{Context, Stopping};
use handshake::First;

/// Who says nothing for so long after connecting is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What is left to be sent at a connection's end has so long.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn run(
    context: Arc<Context>,
    stream: TcpStream,
    place: Place,
    mut stopping: Stopping,
) {
    // Answers are small and waited for; where that fails they come a little later.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        biased;
        () = stopping.begins() => {}
        () = begin(&context, stream, &place) => {}
    }
}

async fn begin(context: &Arc<Context>, mut stream: TcpStream, place: &Place) {
    let mut input = Input::default();
    let first = timeout(
        HANDSHAKE,
        handshake::first(context, &mut stream, &mut input),
    );
    match first.await {
        Ok(Ok(First::Word(word))) => {
            place.traffic.received(1, 0);
            context.wire.packets(1, 0);
            let text = words::answer(context, word).await;
            context.wire.packets(0, 1);
            say_farewell(&mut stream, &mut BytesMut::from(text.as_bytes())).await;
        }
        Ok(Ok(First::Connect(request))) => {
            place.traffic.received(1, 0);
            let mut output = BytesMut::new();
            match handshake::open(context, place, &request, &mut output).await {
                Ok(opened) => {
                    serve::serve(context, stream, place, input, output, opened).await;
                }
                Err(reason) => {
                    tracing::debug!("{}: {reason}", place.traffic.peer);
                    say_farewell(&mut stream, &mut output).await;
                }
            }
        }
        Ok(Err(reason)) => tracing::debug!("{}: {reason}", place.traffic.peer),
        Err(_) => tracing::debug!("{}: it sent nothing for 10 s", place.traffic.peer),
    }
}

/// Sends what is left and closes, so that the client sees an end and not a reset.
async fn say_farewell(stream: &mut TcpStream, output: &mut BytesMut) {
    let farewell = async {
        stream.write_all_buf(output).await?;
        stream.shutdown().await?;
        // What the client still sends is taken in, or the reset that answers it may overtake what it has yet to read.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    // However it ends, the connection does.
    let _ = timeout(FAREWELL, farewell).await;
}
