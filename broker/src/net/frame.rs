//! Requests out of a byte stream: a 4-byte length, then as many bytes. Memory grows with
//! what has arrived, never with what was announced.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, Sleep};

use super::limits::{FREE_BYTES, Place};

/// How long a request that has begun may stall before its connection is closed.
const STALL_MAX: Duration = Duration::from_secs(30);
/// What a connection's buffer starts with, in bytes.
const BUFFER_MIN: usize = 8 * 1024;
/// A larger buffer is given back as soon as its request is handled.
const KEPT_BUFFER_MAX: usize = 4 * 1024 * 1024;
/// How long a silent connection keeps a buffer of more than [`FREE_BYTES`].
const REST_AFTER: Duration = Duration::from_secs(1);
/// The smallest request: key, version, correlation id.
const REQUEST_MIN: usize = 8;

/// Why no further request comes from a connection.
#[derive(Debug, Error)]
pub(super) enum FrameError {
    #[error("the client hung up within a request")]
    Truncated,
    #[error("a request of {0} bytes was announced; socket.request.max.bytes is {1}")]
    TooLarge(i64, usize),
    #[error("it speaks HTTP; this is the Kafka port (metrics and health are on the HTTP port)")]
    Http,
    #[error("it speaks TLS; this listener is plaintext")]
    Tls,
    #[error("a request of {0} bytes cannot be one")]
    TooSmall(i32),
    #[error("it was silent for {0:?} within a request")]
    Stalled(Duration),
    #[error("it was silent for {0:?}")]
    Idle(Duration),
    #[error(
        "unfinished requests hold all of queued.max.request.bytes, and this one was silent longest"
    )]
    CutOff,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads requests from one socket.
pub(super) struct Frames {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    frame_max: usize,
    idle_max: Duration,
    timer: std::pin::Pin<Box<Sleep>>,
    /// The largest request that this connection has sent whole: it may have as much again
    /// at once.
    earned: usize,
    /// Bytes of this connection that count against the budget of all.
    held: usize,
    /// Bytes of memory behind `buffer`, of which it may show only the rest.
    allocated: usize,
    last_frame: Instant,
    last_bytes: Instant,
}

impl Frames {
    pub(super) fn new(socket: OwnedReadHalf, frame_max: usize, idle_max: Duration) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            frame_max,
            idle_max,
            timer: Box::pin(tokio::time::sleep(idle_max)),
            earned: 0,
            held: 0,
            allocated: 0,
            last_frame: Instant::now(),
            last_bytes: Instant::now(),
        }
    }

    /// The next request without its length; none once the client has hung up between two.
    pub(super) async fn next(&mut self, place: &Place) -> Result<Option<Bytes>, FrameError> {
        loop {
            let wanted = self.wanted()?;
            if let Some(length) = wanted
                && self.buffer.len() >= 4 + length
            {
                self.buffer.advance(4);
                let frame = self.buffer.split_to(length).freeze();
                self.earned = self.earned.max(length + 4);
                self.last_frame = Instant::now();
                return Ok(Some(frame));
            }
            self.make_room(wanted, place)?;
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::Truncated)
                };
            }
        }
    }

    /// The last request has been handled: what it held counts no more, and a buffer of
    /// unusual size is given back.
    pub(super) fn handled(&mut self, place: &Place) {
        self.release(place);
        // With much left in it, it would be copied again and again.
        if self.allocated > KEPT_BUFFER_MAX && self.buffer.len() <= KEPT_BUFFER_MAX / 2 {
            self.shrink();
        }
    }

    /// What the last request held counts no more.
    pub(super) fn release(&mut self, place: &Place) {
        if std::mem::take(&mut self.held) > 0 {
            place.release();
        }
    }

    /// Nothing is read for a while: a large buffer with little in it is given back.
    pub(super) fn rest(&mut self) {
        if self.is_large() {
            self.shrink();
        }
    }

    fn is_large(&self) -> bool {
        self.allocated > FREE_BYTES && self.buffer.len() < FREE_BYTES
    }

    /// Moves what little is buffered into a buffer of the size that a connection begins
    /// with. What the old one once held stays allocated as long as any of it is in use.
    fn shrink(&mut self) {
        let mut small = BytesMut::with_capacity(self.buffer.len().max(BUFFER_MIN));
        small.extend_from_slice(&self.buffer);
        self.allocated = small.capacity();
        self.buffer = small;
    }

    /// Whether [`Frames::next`] has a request, or an error, without reading.
    pub(super) fn has_whole(&self) -> bool {
        match self.wanted() {
            Ok(wanted) => wanted.is_some_and(|length| self.buffer.len() >= 4 + length),
            Err(_) => true,
        }
    }

    /// The announced length of the request at the head of the buffer, once it is there.
    fn wanted(&self) -> Result<Option<usize>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*head);
        match usize::try_from(length) {
            Ok(length) if length > self.frame_max => Err(match head {
                b"GET " | b"POST" | b"HEAD" | b"PUT " => FrameError::Http,
                [0x16, 0x03, ..] => FrameError::Tls,
                _ => FrameError::TooLarge(length as i64, self.frame_max),
            }),
            Ok(length) if length >= REQUEST_MIN => Ok(Some(length)),
            _ => Err(FrameError::TooSmall(length)),
        }
    }

    /// Room for the next read: twice what has arrived, or what the connection has shown
    /// that it sends, but not past the request's end by much.
    fn make_room(&mut self, wanted: Option<usize>, place: &Place) -> Result<(), FrameError> {
        let have = self.buffer.len();
        let missing = wanted.map_or(BUFFER_MIN, |length| (4 + length).saturating_sub(have));
        let step = missing.min(have.max(self.earned)).max(BUFFER_MIN);
        if have + step > FREE_BYTES && have + step != self.held {
            self.held = have + step;
            if !place.hold(self.held, self.last_bytes.into_std()) {
                return Err(FrameError::CutOff);
            }
        }
        // Once the requests before are done with, this takes their memory again.
        if self.buffer.capacity() - have < step.min(BUFFER_MIN / 2).max(missing.min(step)) {
            self.buffer.reserve(step);
            self.allocated = self.allocated.max(self.buffer.capacity());
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<usize, FrameError> {
        let within = !self.buffer.is_empty();
        let (limit, since) = if within {
            (STALL_MAX, self.last_bytes)
        } else {
            (self.idle_max, Instant::now())
        };
        let give_up = since + limit;
        loop {
            // A silent connection, or one that sends a byte now and then, keeps no more than
            // it began with.
            let rest = self.is_large().then(|| self.last_frame + REST_AFTER);
            let due = rest.map_or(give_up, |rest| rest.min(give_up));
            // The timer is touched only when it must ring earlier: most reads leave it alone.
            if self.timer.deadline() > due {
                self.timer.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                read = self.socket.read_buf(&mut self.buffer) => {
                    self.last_bytes = Instant::now();
                    return Ok(read?);
                }
                () = &mut self.timer => {
                    let now = Instant::now();
                    self.timer.as_mut().reset(give_up);
                    if rest.is_some_and(|rest| now >= rest) {
                        self.shrink();
                    } else if now >= give_up {
                        return Err(if within {
                            FrameError::Stalled(limit)
                        } else {
                            FrameError::Idle(limit)
                        });
                    }
                }
            }
        }
    }
}
