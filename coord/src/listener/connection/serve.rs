//! Requests and answers, once there is a session.
//!
//! Answers leave in the order of the requests. Writes overlap; a read, and whatever is answered here, waits until every
//! write before it is answered, and so sees what they did. Nothing more is taken in while too much is under way or the
//! client does not take its answers.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use super::super::Context;
use super::super::frame::Input;
use super::super::jute::{Reader, Writer};
use super::super::message::header::RequestHeader;
use super::super::message::multi::MultiOp;
use super::super::message::{OpCode, Request, watch};
use super::super::registry::Place;
use super::answer::{self, Asked};
use super::say_farewell;
use super::translate::{Allowed, Task, task};
use crate::ErrorCode;
use crate::wire::{Connection, Ending, Opened, Outbox, Outgoing, Token};

/// Requests under way on one connection at most.
const REQUESTS_MAX: usize = 256;
/// Bytes of requests under way on one connection at most, but for the one that exceeds it.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of answers that wait for the client at most, but for the one that exceeds it.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Room that an idle connection keeps for its next answers.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

/// A request that was handed to the service and is not answered.
struct UnderWay {
    asked: Asked,
    bytes: usize,
}

/// A request that was read and waits for those before it.
struct Held {
    asked: Asked,
    task: Task,
    bytes: usize,
    received: Instant,
}

struct Serving<'a> {
    context: &'a Context,
    place: &'a Place,
    connection: Connection,
    outbox: Outbox,
    input: Input,
    output: BytesMut,
    under_way: VecDeque<UnderWay>,
    under_way_bytes: usize,
    held: Option<Held>,
    /// How many requests were handed to the service: their tags.
    handed: u64,
    /// Nothing more comes in: the client has gone.
    input_ended: bool,
    /// The connection ends once the output is sent.
    ending: bool,
}

/// Serves a session's connection to its end.
pub(super) async fn serve(
    context: &Arc<Context>,
    mut stream: TcpStream,
    place: &Place,
    input: Input,
    output: BytesMut,
    opened: Opened,
) {
    let patience = Duration::from_millis(opened.timeout_ms.into());
    let mut serving = Serving {
        context,
        place,
        connection: opened.connection,
        outbox: opened.outbox,
        input,
        output,
        under_way: VecDeque::new(),
        under_way_bytes: 0,
        held: None,
        handed: 0,
        input_ended: false,
        ending: false,
    };
    // When the client last took something, while there is something to take.
    let mut taken = Instant::now();
    loop {
        serving.proceed().await;
        if serving.output.is_empty() || serving.send(&stream) {
            taken = Instant::now();
        }
        if serving.ending || (serving.input_ended && serving.has_read_all()) {
            break;
        }
        let stalled = sleep_until((taken + patience).into());
        let wants = serving.wants();
        tokio::select! {
            outgoing = serving.outbox.next(), if serving.output.len() < OUTPUT_BYTES_MAX => {
                serving.give(outgoing);
            }
            ready = ready(&stream, wants) => serving.receive(&stream, ready),
            () = stalled, if wants.is_some_and(Interest::is_writable) => {
                tracing::debug!("{}: it does not take its answers", place.traffic.peer);
                return;
            }
        }
    }
    // A session that was closed is not to wait for the client's answer to that.
    let Serving {
        connection,
        outbox,
        mut output,
        ..
    } = serving;
    drop((connection, outbox));
    say_farewell(&mut stream, &mut output).await;
}

async fn ready(stream: &TcpStream, interest: Option<Interest>) -> bool {
    match interest {
        // Whatever error comes with readiness comes with the read or write, too.
        Some(interest) => stream
            .ready(interest)
            .await
            .is_ok_and(|ready| ready.is_readable() || ready.is_read_closed()),
        None => pending().await,
    }
}

impl Serving<'_> {
    /// Takes in and gives out whatever can be without the socket.
    async fn proceed(&mut self) {
        loop {
            let mut progress = false;
            while !self.ending
                && self.output.len() < OUTPUT_BYTES_MAX
                && let Some(outgoing) = self.outbox.try_next()
            {
                self.give(Some(outgoing));
                progress = true;
            }
            while !self.ending && self.may_take() {
                let Some(held) = self.held.take().or_else(|| self.next_request()) else {
                    break;
                };
                progress = true;
                self.take(held).await;
            }
            if self.ending || !progress {
                return;
            }
        }
    }

    fn may_take(&self) -> bool {
        let room = self.under_way.len() < REQUESTS_MAX && self.under_way_bytes < REQUEST_BYTES_MAX;
        let is_behind_writes = self
            .held
            .as_ref()
            .is_some_and(|held| !matches!(held.task, Task::Write(_)) && !self.under_way.is_empty());
        room && self.output.len() < OUTPUT_BYTES_MAX && !is_behind_writes
    }

    /// Whether a client that has gone has left nothing to be done.
    fn has_read_all(&self) -> bool {
        // With room for more there would be something held, or taken, were there another frame.
        self.held.is_none() && self.may_take()
    }

    fn wants(&self) -> Option<Interest> {
        // A client that has gone is heard of once; then what it left is worked off.
        let reads = !self.input_ended && self.held.is_none() && self.may_take();
        match (reads, !self.output.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    fn receive(&mut self, stream: &TcpStream, readable: bool) {
        if !readable || self.input_ended {
            return;
        }
        match stream.try_read_buf(self.input.room()) {
            Ok(0) => self.input_ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.input_ended = true,
        }
    }

    /// Sends what the socket takes, and says whether it took anything.
    fn send(&mut self, stream: &TcpStream) -> bool {
        let before = self.output.len();
        while !self.output.is_empty() {
            match stream.try_write(&self.output) {
                Ok(0) => break,
                Ok(sent) => self.output.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // The client has gone. What it asked for before is done all the same: it may have ended its session.
                    self.output.clear();
                    self.input_ended = true;
                }
            }
        }
        if self.output.is_empty() && self.output.capacity() > OUTPUT_BYTES_KEPT {
            self.output = BytesMut::new();
        }
        self.output.len() < before
    }

    /// The next request of what has come in.
    fn next_request(&mut self) -> Option<Held> {
        let frame = match self.input.next(self.context.config.frame_bytes_max) {
            Ok(frame) => frame?,
            Err(error) => {
                tracing::warn!("{}: {error}", self.place.traffic.peer);
                self.ending = true;
                return None;
            }
        };
        self.connection.touch();
        self.context.wire.packets(1, 0);
        self.place.traffic.received(1, self.under_way.len());
        let held = self.request(frame);
        if held.is_none() {
            self.ending = true;
        }
        held
    }

    /// A frame's request; none where it has not even a header.
    fn request(&self, frame: Bytes) -> Option<Held> {
        let (bytes, received) = (frame.len(), Instant::now());
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).ok()?;
        let op = OpCode::of_number(header.op);
        let request = op.map(|op| Request::decode(op, &mut reader).map(|request| (op, request)));
        let plain_creates = match &request {
            Some(Ok((_, Request::Multi(ops)))) => ops
                .iter()
                .map(|op| matches!(op, MultiOp::Create(OpCode::Create, _)))
                .collect(),
            _ => Vec::new(),
        };
        let allowed = Allowed {
            writes: !self.context.is_read_only(),
            reconfig: self.context.config.reconfig,
        };
        let task = match request {
            Some(Ok((op, request))) => task(op, request, allowed),
            Some(Err(error)) => {
                tracing::debug!("{}: {:?}: {error}", self.place.traffic.peer, op);
                Task::Answer(ErrorCode::MarshallingError)
            }
            None => Task::Refuse(ErrorCode::Unimplemented),
        };
        Some(Held {
            asked: Asked {
                xid: header.xid,
                op,
                plain_creates,
            },
            task,
            bytes,
            received,
        })
    }

    /// Does a request, or holds it back while it would not see the writes before it.
    async fn take(&mut self, held: Held) {
        if !matches!(held.task, Task::Write(_)) && !self.under_way.is_empty() {
            self.held = Some(held);
            return;
        }
        let Held {
            asked,
            task,
            bytes,
            received,
        } = held;
        let token = Token {
            tag: self.handed,
            received,
        };
        match task {
            Task::Write(write) => {
                self.hand_over(asked, bytes);
                self.connection.write(token, write).await;
            }
            Task::Read(read) => {
                debug_assert_eq!(self.connection.writes_under_way(), 0, "reads see writes");
                self.hand_over(asked, bytes);
                self.connection.read(token, read);
                // Its answer is there: taken now, so that the next read is held against what the client has yet to take.
                while let Some(outgoing) = self.outbox.try_next() {
                    self.give(Some(outgoing));
                }
            }
            Task::Auth(auth) => match self.connection.add_auth(&auth.scheme, &auth.auth) {
                Ok(()) => self.answer_here(&asked, 0, ErrorCode::Ok, received),
                Err(error) => {
                    tracing::debug!("{}: {}: {error}", self.place.traffic.peer, auth.scheme);
                    self.answer_here(&asked, 0, ErrorCode::AuthFailed, received);
                    self.ending = true;
                }
            },
            Task::Answer(error) => {
                let zxid = self.context.wire.zxid().0 as i64;
                self.answer_here(&asked, zxid, error, received);
            }
            Task::Refuse(error) => {
                self.answer_here(&asked, -1, error, received);
                self.ending = true;
            }
        }
    }

    fn hand_over(&mut self, asked: Asked, bytes: usize) {
        self.handed += 1;
        self.under_way_bytes += bytes;
        self.under_way.push_back(UnderWay { asked, bytes });
    }

    /// Answers what needs nothing of the service. Clients do not look at the zxid of an identity's or a refusal's answer;
    /// it is ZooKeeper's all the same.
    fn answer_here(&mut self, asked: &Asked, zxid: i64, error: ErrorCode, received: Instant) {
        Writer::frame(&mut self.output, |writer| {
            answer::header(asked, zxid, error, writer);
        });
        self.context.wire.packets(0, 1);
        let took = received.elapsed();
        self.place
            .traffic
            .answered(asked.op, asked.xid, zxid, took, 0);
    }

    /// Writes what came out of the outbox.
    fn give(&mut self, outgoing: Option<Outgoing>) {
        match outgoing {
            Some(Outgoing::Event { kind, path, zxid }) => {
                Writer::frame(&mut self.output, |writer| {
                    watch::encode_event(kind, &path, zxid, writer);
                });
                self.context.wire.packets(0, 1);
                self.place.traffic.sent_event();
            }
            Some(Outgoing::Answer {
                token,
                zxid,
                result,
            }) => {
                let first = self.handed - self.under_way.len() as u64;
                let of_first = self.under_way.pop_front();
                let Some(UnderWay { asked, bytes }) = of_first.filter(|_| token.tag == first)
                else {
                    let peer = self.place.traffic.peer;
                    tracing::error!(
                        "{peer}: request {} was answered before request {first}; the connection ends",
                        token.tag
                    );
                    self.ending = true;
                    return;
                };
                self.under_way_bytes -= bytes;
                let zxid = zxid.0 as i64;
                Writer::frame(&mut self.output, |writer| {
                    answer::encode(&asked, zxid, &result, writer);
                });
                self.context.wire.packets(0, 1);
                let (took, queued) = (token.received.elapsed(), self.under_way.len());
                self.place
                    .traffic
                    .answered(asked.op, asked.xid, zxid, took, queued);
            }
            Some(Outgoing::Ended(ending)) => {
                let (peer, session) = (self.place.traffic.peer, self.connection.session());
                match ending {
                    Ending::Closed => {}
                    Ending::TooSlow => tracing::warn!(
                        "{peer}: session 0x{session:x} does not take its watches' events"
                    ),
                    Ending::TooManyWatches => tracing::warn!(
                        "{peer}: session 0x{session:x} cannot have all the watches back that it had"
                    ),
                    other => tracing::debug!("{peer}: session 0x{session:x}: {other:?}"),
                }
                self.ending = true;
            }
            None => self.ending = true,
        }
    }
}
