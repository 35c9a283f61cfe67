//! One client's connection, as one task: it takes requests, starts them, and sends the
//! answers in the order of the requests.
//!
//! Several requests may be under way, so that one sync serves many of them. Only Produce
//! and Fetch overlap; every other request is a barrier, which starts when all before it
//! are answered and before anything after it is read.
//!
//! One task and not two, a reader and a writer: a hand-over between tasks for each request
//! cost a third of what a small Produce costs here. So nothing is read while an answer
//! waits for a client that does not take it, which is back-pressure, and right.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{ApiKey, Reader, RequestHeader};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frame::{FrameError, Frames};
use super::limits::Place;
use super::queue::{Answer, Answered, Pending, Queue};
use super::writer::Writer;
use crate::api;
use crate::broker::Inner;

/// How long the last answers may take once a client has shut its sending side.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Who asks: what a request may know of its connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// True once the client has hung up, so that nothing waits for it.
    pub(crate) gone: watch::Receiver<bool>,
}

/// Why a connection ends before its client hangs up.
enum End {
    /// The network, or a client that went away: of no concern to an operator.
    Quiet(String),
    /// An answer could not be sent, perhaps not whole, so nothing can follow it.
    Unsent(std::io::Error),
    /// What the client sent.
    Hostile(String),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) | FrameError::Truncated | FrameError::Idle(_) => {
                Self::Quiet(error.to_string())
            }
            reason => Self::Hostile(reason.to_string()),
        }
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Unsent(error)
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(
    broker: Arc<Inner>,
    socket: TcpStream,
    address: SocketAddr,
    place: Place,
) {
    let (read, write) = socket.into_split();
    let (gone, gone_seen) = watch::channel(false);
    let frames = Frames::new(
        read,
        broker.config.number("socket.request.max.bytes") as usize,
        Duration::from_millis(broker.config.number("connections.max.idle.ms") as u64),
    );
    let mut connection = Connection {
        client: Client {
            address,
            gone: gone_seen,
        },
        gone,
        frames,
        queue: Queue::new(),
        writer: Writer::new(Arc::clone(&broker), write),
        place: &place,
        broker: Arc::clone(&broker),
    };
    let ended = tokio::select! {
        biased;
        ended = connection.run() => ended,
        () = place.cut_off() => Err(FrameError::CutOff.into()),
    };
    match ended {
        Ok(()) => {}
        Err(End::Quiet(reason)) => tracing::debug!("closing {address}: {reason}"),
        Err(End::Unsent(error)) => {
            tracing::debug!("closing {address}: an answer could not be sent: {error}");
        }
        Err(End::Hostile(reason)) => {
            broker.metrics.hostile.add(1);
            tracing::warn!("closing {address}: {reason}");
        }
    }
}

struct Connection<'a> {
    broker: Arc<Inner>,
    client: Client,
    gone: watch::Sender<bool>,
    frames: Frames,
    queue: Queue,
    writer: Writer,
    place: &'a Place,
}

/// What comes next on a connection.
enum Event {
    Answered(Answered),
    /// No further answer is ready to go with those that are gathered.
    Gathered,
    /// A request, or none: the client has hung up.
    Frame(Option<Bytes>),
}

impl Connection<'_> {
    async fn run(&mut self) -> Result<(), End> {
        let ended = self.take_requests().await;
        if !matches!(ended, Err(End::Unsent(_))) {
            self.last_answers().await;
        }
        ended
    }

    /// Takes and answers requests until the client hangs up.
    async fn take_requests(&mut self) -> Result<(), End> {
        loop {
            match self.next_event(true).await? {
                Event::Answered(answered) => self.send(answered).await?,
                Event::Gathered => self.writer.flush().await?,
                Event::Frame(Some(frame)) => self.request(frame).await?,
                Event::Frame(None) => return Ok(()),
            }
        }
    }

    /// What comes next; there must be something under way or `reading`.
    async fn next_event(&mut self, reading: bool) -> Result<Event, End> {
        let reading = reading && self.queue.has_room();
        // What is there already is taken before answers leave, so that more of them leave at once.
        let more = reading && self.frames.has_whole();
        Ok(tokio::select! {
            biased;
            answered = self.queue.next(), if !self.queue.is_empty() => Event::Answered(answered),
            () = ready(()), if self.writer.has_gathered() && !more => Event::Gathered,
            frame = self.frames.next(self.place), if reading => Event::Frame(frame?),
        })
    }

    async fn send(&mut self, answered: Answered) -> Result<(), End> {
        self.writer.send(answered.outgoing).await?;
        let took = answered.started.elapsed();
        self.broker.metrics.requests.observe(answered.key, took);
        Ok(())
    }

    /// Sends all answers that are still to come.
    async fn settle(&mut self) -> Result<(), End> {
        while !self.queue.is_empty() {
            match self.next_event(false).await? {
                Event::Answered(answered) => self.send(answered).await?,
                Event::Gathered | Event::Frame(_) => self.writer.flush().await?,
            }
        }
        Ok(self.writer.flush().await?)
    }

    /// Nothing more is read. Long polls end now; what was produced is still acknowledged, so
    /// that a client which sent something wrong after it does not send it again.
    async fn last_answers(&mut self) {
        let _ = self.gone.send(true);
        let _ = tokio::time::timeout(DRAIN_MAX, self.settle()).await;
    }

    async fn request(&mut self, frame: Bytes) -> Result<(), End> {
        // Requests that are buffered already are no awaits: others get their turn.
        tokio::task::consume_budget().await;
        self.broker.metrics.bytes_in.add(frame.len() as u64 + 4);
        self.start(Reader::new(frame)).await?;
        self.frames.handled(self.place);
        if !self.queue.has_room() {
            self.frames.rest();
        }
        Ok(())
    }

    async fn start(&mut self, mut reader: Reader) -> Result<(), End> {
        let header = RequestHeader::decode(&mut reader).map_err(|error| {
            End::Hostile(format!("its request's header does not decode: {error}"))
        })?;
        let Some(key) = api::served(&header) else {
            return Err(End::Hostile(format!(
                "it asked for API {} version {}, which is not served",
                header.api_key, header.api_version
            )));
        };
        if !matches!(key, ApiKey::Produce | ApiKey::Fetch) {
            self.settle().await?;
            // From here on it may take minutes (JoinGroup does), and is no longer one that
            // waits; nor does a connection keep buffers meanwhile.
            self.frames.release(self.place);
            self.frames.rest();
            self.writer.rest();
        }
        let started = Instant::now();
        match api::handle(&self.broker, &self.client, key, &header, &mut reader).await {
            Answer::Close(reason) => return Err(End::Hostile(reason)),
            Answer::Nothing => self.broker.metrics.requests.observe(key, started.elapsed()),
            answer => self.queue.push(Pending {
                key,
                started,
                answer,
            }),
        }
        Ok(())
    }
}
