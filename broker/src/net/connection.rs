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
        Self::Quiet(format!("an answer could not be sent: {error}"))
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
        loop {
            let event = tokio::select! {
                biased;
                answered = self.queue.next(), if !self.queue.is_empty() => Event::Answered(answered),
                () = std::future::ready(()), if self.writer.has_gathered() => Event::Gathered,
                frame = self.frames.next(self.place), if self.queue.has_room() => Event::Frame(frame?),
            };
            match event {
                Event::Answered(answered) => self.send(answered).await?,
                Event::Gathered => self.writer.flush().await?,
                Event::Frame(Some(frame)) => self.request(frame).await?,
                Event::Frame(None) => return self.hung_up().await,
            }
        }
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
            let answered = tokio::select! {
                biased;
                answered = self.queue.next() => Some(answered),
                () = std::future::ready(()), if self.writer.has_gathered() => None,
            };
            match answered {
                Some(answered) => self.send(answered).await?,
                None => self.writer.flush().await?,
            }
        }
        Ok(self.writer.flush().await?)
    }

    /// Long polls end now; what was produced is still acknowledged to a client that only
    /// shut its sending side.
    async fn hung_up(&mut self) -> Result<(), End> {
        let _ = self.gone.send(true);
        match tokio::time::timeout(DRAIN_MAX, self.settle()).await {
            Ok(settled) => settled,
            Err(_) => Ok(()),
        }
    }

    async fn request(&mut self, frame: Bytes) -> Result<(), End> {
        self.broker.metrics.bytes_in.add(frame.len() as u64 + 4);
        self.start(Reader::new(frame)).await?;
        self.frames.handled(self.place);
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
