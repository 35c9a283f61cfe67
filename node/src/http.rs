//! The HTTP port: `/metrics`, `/healthz` and `/readyz`.
//!
//! Few ask here and seldom, so that each connection serves one request within a deadline,
//! and there are few connections: a stranger cannot make the node grow.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use broker::Observer;
use coord::Handle;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::error::NodeError;
use crate::metrics;

const CONNECTIONS_MAX: usize = 32;
const REQUEST_HEAD_BYTES_MAX: usize = 16 << 10;
const REQUEST_HEADERS_MAX: usize = 64;
/// How long a connection may live, which is one request and its answer.
const CONNECTION_LIVES_AT_MOST: Duration = Duration::from_secs(10);
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// What to wait after an accept that failed, most likely for want of descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What is asked once the node serves.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) observer: Observer,
    pub(crate) coord: Handle,
}

/// How far the node is.
enum Phase {
    Starting,
    Serving(Serving),
    Stopping,
}

type Shared = Arc<RwLock<Phase>>;

/// The port, served.
pub(crate) struct Http {
    address: SocketAddr,
    phase: Shared,
    task: JoinHandle<()>,
}

impl Http {
    /// Binds the port and answers from now on, at first that the node is starting.
    pub(crate) async fn start(listen: &str) -> Result<Self, NodeError> {
        let resolved = lookup_host(listen)
            .await
            .map_err(|source| NodeError::HttpUnresolved {
                address: listen.to_owned(),
                source,
            })?;
        let bind_failed = |source| NodeError::HttpBind {
            address: listen.to_owned(),
            source,
        };
        let resolved: Vec<SocketAddr> = resolved.collect();
        let listener = TcpListener::bind(&*resolved).await.map_err(bind_failed)?;
        let address = listener.local_addr().map_err(bind_failed)?;
        let phase = Arc::new(RwLock::new(Phase::Starting));
        let router = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(async || "the process serves\n"))
            .route("/readyz", get(ready))
            .with_state(Arc::clone(&phase));
        let task = tokio::spawn(listen_on(listener, router));
        Ok(Self {
            address,
            phase,
            task,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node takes records from now on.
    pub(crate) fn serves(&self, serving: Serving) {
        self.enter(Phase::Serving(serving));
    }

    /// The node takes no records any more.
    pub(crate) fn stopping(&self) {
        self.enter(Phase::Stopping);
    }

    /// Closes the port.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // The port is free once the task is gone.
        let _ = (&mut self.task).await;
    }

    fn enter(&self, phase: Phase) {
        *self.phase.write().expect(UNPOISONED) = phase;
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // A node that did not start leaves no port behind.
        self.task.abort();
    }
}

static SCANS: Semaphore = Semaphore::const_new(1);

const UNPOISONED: &str = "nobody panics while holding the phase";

async fn listen_on(listener: TcpListener, router: Router) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("an HTTP connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        // The oldest gives way, so that silent ones cannot keep a health check out.
        if connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let served = tokio::time::timeout(CONNECTION_LIVES_AT_MOST, serve(stream, router.clone()));
        connections.push_back(tokio::spawn(served).abort_handle());
    }
}

/// Serves one request. What goes wrong with it is the client's own affair.
async fn serve(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(REQUEST_HEAD_BYTES_MAX)
        .max_headers(REQUEST_HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!("an HTTP connection: {error}");
    }
}

fn serving(phase: &Shared) -> Result<Serving, &'static str> {
    match &*phase.read().expect(UNPOISONED) {
        Phase::Starting => Err("the node is starting"),
        Phase::Serving(serving) => Ok(serving.clone()),
        Phase::Stopping => Err("the node is stopping"),
    }
}

/// Ready is who would take a record now.
async fn ready(State(phase): State<Shared>) -> Response {
    let ready = serving(&phase).map_err(str::to_owned).and_then(|serving| {
        match serving.observer.storage_failure() {
            Some(reason) => Err(format!("the disk failed: {reason}")),
            None => Ok(()),
        }
    });
    match ready {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => unavailable(&reason),
    }
}

async fn show_metrics(State(phase): State<Shared>) -> Response {
    let serving = match serving(&phase) {
        Ok(serving) => serving,
        Err(reason) => return unavailable(reason),
    };
    // It takes the lock of each partition for a moment, of which there may be many, and goes on when whoever
    // asked has gone: one at a time, however many ask.
    let permit = SCANS.acquire().await.expect("it is never closed");
    let text = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        metrics::text(&serving.observer, &serving.coord)
    });
    match text.await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("the metrics could not be told: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn unavailable(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}
