//! One broker's TCP connection: opened when first needed and again after it broke, pipelined,
//! with the versions negotiated, a limit on what is under way and a time-out on every answer.
//!
//! What lives here knows requests and answers, not what they mean: retrying is its callers'
//! business.

mod backoff;
mod error;
mod live;
mod versions;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::wire::{Message, Reader};
use protocol::{ApiKey, Request};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, Sleep};

pub use backoff::Backoff;
pub use error::ConnectionError;
use live::Live;

use crate::random::Random;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// What the client calls itself, in the broker's logs and metrics.
    pub client_id: String,
    /// How long opening may take, negotiation included.
    pub connect_timeout: Duration,
    /// How long an answer may take before the connection is given up.
    pub request_timeout: Duration,
    /// Requests under way at once; the next one waits.
    pub max_in_flight: usize,
    /// The longest answer accepted, in bytes; one that announces more breaks the connection.
    pub max_frame: usize,
    /// The wait after failed attempts to connect. Requests within it fail at once.
    pub backoff: Backoff,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "milena".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_in_flight: 64,
            max_frame: 256 << 20,
            backoff: Backoff {
                first: Duration::from_millis(50),
                most: Duration::from_secs(1),
            },
        }
    }
}

/// A connection to one broker. Clones share it.
///
/// ```no_run
/// use client::{Connection, ConnectionOptions};
/// use protocol::api::{MetadataRequest, MetadataResponse};
///
/// # async fn example() -> Result<(), client::ConnectionError> {
/// let connection = Connection::new("127.0.0.1:9092", ConnectionOptions::default());
/// let answer: MetadataResponse = connection.send(&MetadataRequest::default()).await?;
/// println!("{} brokers", answer.brokers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    address: Arc<str>,
    options: ConnectionOptions,
    /// The open connection, if there is one.
    live: Mutex<Option<Arc<Live>>>,
    /// Held by whoever opens it, so that all others wait for that one attempt.
    opening: tokio::sync::Mutex<Opening>,
    in_flight: Arc<Semaphore>,
}

struct Opening {
    failures: u32,
    /// Until then every request fails with the last error.
    closed_until: Option<(Instant, ConnectionError)>,
    random: Random,
}

impl Connection {
    /// A connection to `address` (host and port). Nothing is opened before the first request.
    pub fn new(address: impl Into<Arc<str>>, options: ConnectionOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                address: address.into(),
                in_flight: Arc::new(Semaphore::new(options.max_in_flight.max(1))),
                options,
                live: Mutex::new(None),
                opening: tokio::sync::Mutex::new(Opening {
                    failures: 0,
                    closed_until: None,
                    random: Random::new(),
                }),
            }),
        }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Sends a request and waits for its answer.
    pub async fn send<R: Request>(&self, request: &R) -> Result<R::Response, ConnectionError> {
        self.submit(request).await?.await
    }

    /// Puts a request on its way. When this returns, it is behind all requests submitted before
    /// it; the answer is what the future waits for.
    pub async fn submit<R: Request>(
        &self,
        request: &R,
    ) -> Result<Answer<R::Response>, ConnectionError> {
        self.submit_with(request, self.shared.options.request_timeout)
            .await
    }

    /// As [`submit`](Self::submit), for a request that the broker may hold for long (joining a
    /// group): `timeout` replaces the connection's own.
    pub async fn submit_with<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<Answer<R::Response>, ConnectionError> {
        let permit = Arc::clone(&self.shared.in_flight).acquire_owned();
        let permit = tokio::time::timeout(timeout, permit)
            .await
            .map_err(|_| self.timed_out::<R>(timeout))?
            .expect("this semaphore is never closed");
        let live = self.live().await?;
        let version = self.version::<R>(&live)?;
        let frame = live.request(version, request, permit)?;
        Ok(Answer {
            waiting: Some(Waiting {
                frame,
                timeout: Box::pin(tokio::time::sleep(timeout)),
                live,
            }),
            address: self.shared.address.clone(),
            api: R::KEY,
            version,
            timeout,
            response: PhantomData,
        })
    }

    /// Sends a request that has no answer: Produce with acks=0. A broker that does not take it
    /// within the time for an answer is given up, as one that does not answer.
    pub async fn submit_unanswered<R: Request>(&self, request: &R) -> Result<(), ConnectionError> {
        let live = self.live().await?;
        let version = self.version::<R>(&live)?;
        let after = self.shared.options.request_timeout;
        let told = tokio::time::timeout(after, live.tell(version, request)).await;
        told.unwrap_or_else(|_| {
            live.fail(TIMED_OUT);
            Err(self.timed_out::<R>(after))
        })
    }

    fn timed_out<R: Request>(&self, after: Duration) -> ConnectionError {
        ConnectionError::RequestTimeout {
            address: self.shared.address.clone(),
            api: R::KEY,
            after,
        }
    }

    /// Closes the connection; what is under way fails. The next request opens it again.
    pub fn close(&self) {
        if let Some(live) = self.shared.live.lock().take() {
            live.fail("closed here");
        }
    }

    fn version<R: Request>(&self, live: &Live) -> Result<i16, ConnectionError> {
        live.versions
            .pick(R::KEY)
            .ok_or_else(|| ConnectionError::Unsupported {
                address: self.shared.address.clone(),
                api: R::KEY,
                ours: *R::KEY.versions().start()..=versions::ceiling(R::KEY),
                theirs: live.versions.served(R::KEY).cloned(),
            })
    }

    fn open_now(&self) -> Option<Arc<Live>> {
        let live = self.shared.live.lock();
        live.as_ref().filter(|live| live.is_open()).cloned()
    }

    async fn live(&self) -> Result<Arc<Live>, ConnectionError> {
        if let Some(live) = self.open_now() {
            return Ok(live);
        }
        let mut opening = self.shared.opening.lock().await;
        if let Some(live) = self.open_now() {
            return Ok(live);
        }
        let now = Instant::now();
        if let Some((until, error)) = &opening.closed_until
            && now < *until
        {
            return Err(error.clone());
        }
        match live::open(&self.shared.address, &self.shared.options).await {
            Ok(live) => {
                opening.failures = 0;
                opening.closed_until = None;
                *self.shared.live.lock() = Some(Arc::clone(&live));
                Ok(live)
            }
            Err(error) => {
                opening.failures += 1;
                let random = opening.random.next();
                let wait = self.shared.options.backoff.wait(opening.failures, random);
                opening.closed_until = Some((Instant::now() + wait, error.clone()));
                Err(error)
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(live) = self.live.get_mut().take() {
            live.fail("closed here");
        }
    }
}

/// The answer to a request that is on its way. Dropping it does not take the request back, nor
/// stop its clock: a broker that leaves it unanswered is given up all the same.
pub struct Answer<T> {
    /// Until there is an answer.
    waiting: Option<Waiting>,
    address: Arc<str>,
    api: ApiKey,
    version: i16,
    timeout: Duration,
    response: PhantomData<fn() -> T>,
}

struct Waiting {
    frame: oneshot::Receiver<Result<Bytes, ConnectionError>>,
    timeout: Pin<Box<Sleep>>,
    live: Arc<Live>,
}

/// Why a connection is closed over which an answer did not come.
const TIMED_OUT: &str = "a request timed out";

impl Future for Waiting {
    /// `None` when the time is up.
    type Output = Option<Result<Bytes, ConnectionError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.frame).poll(cx) {
            Poll::Ready(Ok(frame)) => Poll::Ready(Some(frame)),
            Poll::Ready(Err(_)) => Poll::Ready(Some(Err(self.live.why_closed()))),
            Poll::Pending => {
                ready!(self.timeout.as_mut().poll(cx));
                // Answers come in order: nothing behind this one would ever arrive.
                self.live.fail(TIMED_OUT);
                Poll::Ready(None)
            }
        }
    }
}

impl<T: Message> Future for Answer<T> {
    type Output = Result<T, ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waiting = self.waiting.as_mut().expect("polled after its answer");
        let frame = ready!(Pin::new(waiting).poll(cx));
        self.waiting = None;
        let (address, api) = (self.address.clone(), self.api);
        let Some(frame) = frame else {
            return Poll::Ready(Err(ConnectionError::RequestTimeout {
                address,
                api,
                after: self.timeout,
            }));
        };
        let decoded = T::decode(&mut Reader::new(frame?), self.version);
        Poll::Ready(decoded.map_err(|source| ConnectionError::Answer {
            address,
            api,
            source,
        }))
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        // Its place among what is under way is free again only when it is answered, or when
        // the connection is given up.
        if let Some(waiting) = self.waiting.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(waiting);
        }
    }
}
