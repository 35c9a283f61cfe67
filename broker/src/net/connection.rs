//! One client's connection: a reader, which takes requests and starts them, and a writer,
//! which sends the answers in the order of the requests.
//!
//! Several requests may be under way, so that one sync serves many of them. Only Produce
//! and Fetch overlap; every other request is a barrier, which starts when all before it
//! are answered and before anything after it is read.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{ApiKey, Encoded, Reader, RequestHeader};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::frame::{FrameError, Frames};
use super::limits::Place;
use super::writer;
use crate::api;
use crate::broker::Inner;
use crate::log::LogSlice;
use disk::RealDisk;

/// The most requests under way on one connection.
const IN_FLIGHT_MAX: u32 = 64;

/// How long the last answers may take once a client has shut its sending side.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// An answer with the parts of logs that go out with it.
pub(crate) struct Outgoing {
    pub(crate) encoded: Encoded,
    /// By the token that `encoded` names them by.
    pub(crate) slices: Vec<LogSlice<RealDisk>>,
}

impl From<Encoded> for Outgoing {
    fn from(encoded: Encoded) -> Self {
        Self {
            encoded,
            slices: Vec::new(),
        }
    }
}

/// An answer that is not there yet.
pub(crate) type Later = Pin<Box<dyn Future<Output = Outgoing> + Send>>;

/// What becomes of a request.
pub(crate) enum Answer {
    /// It gets none: Produce with acks=0.
    Nothing,
    Now(Outgoing),
    Later(Later),
    /// The connection ends, for this reason.
    Close(String),
}

/// Who asks: what a request may know of its connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// True once the client has hung up, so that nothing waits for it.
    pub(crate) gone: watch::Receiver<bool>,
}

/// A started request on its way to the writer.
pub(super) struct Pending {
    pub(super) key: ApiKey,
    pub(super) started: Instant,
    pub(super) answer: Answer,
    /// Held until the answer has gone out; a barrier waits for all of them.
    pub(super) _under_way: OwnedSemaphorePermit,
}

/// Serves one connection until it ends.
pub(super) async fn serve(
    broker: Arc<Inner>,
    socket: TcpStream,
    address: SocketAddr,
    place: Place,
    mut stopping: watch::Receiver<bool>,
) {
    let (read, write) = socket.into_split();
    let (pending, queue) = mpsc::channel(IN_FLIGHT_MAX as usize);
    let (gone, gone_seen) = watch::channel(false);
    let frames = Frames::new(
        read,
        broker.config.number("socket.request.max.bytes") as usize,
        Duration::from_millis(broker.config.number("connections.max.idle.ms") as u64),
    );
    let mut reader = ConnectionReader {
        broker: Arc::clone(&broker),
        client: Client {
            address,
            gone: gone_seen,
        },
        under_way: Arc::new(Semaphore::new(IN_FLIGHT_MAX as usize)),
        pending,
    };
    let mut writing = tokio::spawn(writer::run(Arc::clone(&broker), write, queue));
    let hung_up = tokio::select! {
        () = reader.run(frames, &place) => true,
        _ = &mut writing => false,
        () = seen(&mut stopping) => false,
    };
    if hung_up {
        // Long polls end now; what was produced is still acknowledged to a client that only
        // shut its sending side.
        let _ = gone.send(true);
        drop(reader);
        let _ = tokio::time::timeout(DRAIN_MAX, &mut writing).await;
    }
    writing.abort();
}

/// Completes when the flag is up, or nobody is left to raise it.
pub(crate) async fn seen(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}

struct ConnectionReader {
    broker: Arc<Inner>,
    client: Client,
    under_way: Arc<Semaphore>,
    pending: mpsc::Sender<Pending>,
}

impl ConnectionReader {
    async fn run(&mut self, mut frames: Frames, place: &Place) {
        loop {
            let frame = match frames.next(place).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(FrameError::Io(error)) => {
                    tracing::debug!("{}: {error}", self.client.address);
                    return;
                }
                Err(reason @ (FrameError::Truncated | FrameError::Idle(_))) => {
                    tracing::debug!("closing {}: {reason}", self.client.address);
                    return;
                }
                Err(reason) => {
                    self.broker.metrics.hostile.add(1);
                    tracing::warn!("closing {}: {reason}", self.client.address);
                    return;
                }
            };
            self.broker.metrics.bytes_in.add(frame.len() as u64 + 4);
            let done = self.request(Reader::new(frame)).await;
            frames.handled(place);
            if let Err(reason) = done {
                if let Some(reason) = reason {
                    self.broker.metrics.hostile.add(1);
                    tracing::warn!("closing {}: {reason}", self.client.address);
                }
                return;
            }
        }
    }

    /// Starts one request. An error ends the connection, with a reason unless it merely
    /// ended by itself.
    async fn request(&mut self, mut reader: Reader) -> Result<(), Option<String>> {
        let header = RequestHeader::decode(&mut reader)
            .map_err(|error| Some(format!("its request's header does not decode: {error}")))?;
        let Some(key) = api::served(&header) else {
            return Err(Some(format!(
                "it asked for API {} version {}, which is not served",
                header.api_key, header.api_version
            )));
        };
        let overlaps = matches!(key, ApiKey::Produce | ApiKey::Fetch);
        let permits = if overlaps { 1 } else { IN_FLIGHT_MAX };
        let permit = Arc::clone(&self.under_way)
            .acquire_many_owned(permits)
            .await
            .map_err(|_| None)?;
        let started = Instant::now();
        let answer = api::handle(&self.broker, &self.client, key, &header, &mut reader).await;
        let answer = match answer {
            Answer::Close(reason) => return Err(Some(reason)),
            Answer::Nothing => {
                self.broker.metrics.requests.observe(key, started.elapsed());
                return Ok(());
            }
            answer => answer,
        };
        self.pending
            .send(Pending {
                key,
                started,
                answer,
                _under_way: permit,
            })
            .await
            .map_err(|_| None)
    }
}
