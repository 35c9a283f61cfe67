//! An open connection: the task that writes frames, the task that reads them, and who waits
//! for which answer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use protocol::api::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::wire::{Message, Reader, Str};
use protocol::{ApiKey, Request, RequestHeader, ResponseHeader, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};

use super::versions::{Negotiated, Versions, judge};
use super::{ConnectionError, ConnectionOptions};

/// An answer longer than this is read piece by piece, so that memory follows what arrives.
const TRUSTED_LENGTH: usize = 8 << 20;

pub(super) struct Live {
    pub(super) address: Arc<str>,
    pub(super) versions: Versions,
    client_id: Str,
    frames: mpsc::UnboundedSender<Frame>,
    waiting: Mutex<Waiting>,
    closed: Notify,
}

struct Frame {
    bytes: Bytes,
    /// Told when the system has taken it.
    written: Option<oneshot::Sender<()>>,
}

struct Waiting {
    next_correlation: i32,
    /// In the order of sending, which is the order of answers.
    queue: VecDeque<Waiter>,
    /// Why it is closed, once it is.
    closed: Option<Arc<str>>,
}

struct Waiter {
    correlation: i32,
    api: ApiKey,
    version: i16,
    answer: oneshot::Sender<Result<Bytes, ConnectionError>>,
    /// Given back when the answer has come, even if nobody waits for it any more.
    _permit: OwnedSemaphorePermit,
}

impl Live {
    pub(super) fn is_open(&self) -> bool {
        self.waiting.lock().closed.is_none()
    }

    pub(super) fn why_closed(&self) -> ConnectionError {
        let reason = self.waiting.lock().closed.clone();
        self.broken(reason.unwrap_or_else(|| "it was closed".into()))
    }

    fn broken(&self, reason: Arc<str>) -> ConnectionError {
        ConnectionError::Broken {
            address: self.address.clone(),
            reason,
        }
    }

    /// Encodes a request and queues it behind those before.
    pub(super) fn request<R: Request>(
        &self,
        version: i16,
        request: &R,
        permit: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<Bytes, ConnectionError>>, ConnectionError> {
        let correlation = self.correlation();
        let frame = encode_request(&self.header::<R>(version, correlation), request);
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if let Some(reason) = &waiting.closed {
            return Err(self.broken(reason.clone()));
        }
        waiting.queue.push_back(Waiter {
            correlation,
            api: R::KEY,
            version,
            answer,
            _permit: permit,
        });
        // Under the lock, so that frames leave in the order of the queue.
        let _ = self.frames.send(Frame {
            bytes: frame,
            written: None,
        });
        Ok(receiver)
    }

    /// Sends a request that gets no answer; returns when the system has taken it, so that
    /// whoever sends many is as fast as the network.
    pub(super) async fn tell<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<(), ConnectionError> {
        let correlation = self.correlation();
        let (written, was_written) = oneshot::channel();
        let frame = Frame {
            bytes: encode_request(&self.header::<R>(version, correlation), request),
            written: Some(written),
        };
        let queued = self.frames.send(frame);
        queued.map_err(|_| self.why_closed())?;
        was_written.await.map_err(|_| self.why_closed())
    }

    fn correlation(&self) -> i32 {
        let mut waiting = self.waiting.lock();
        let correlation = waiting.next_correlation;
        waiting.next_correlation = correlation.wrapping_add(1) & i32::MAX;
        correlation
    }

    fn header<R: Request>(&self, version: i16, correlation_id: i32) -> RequestHeader {
        RequestHeader {
            api_key: R::KEY as i16,
            api_version: version,
            correlation_id,
            client_id: Some(self.client_id.clone()),
        }
    }

    /// Closes it: all that wait, and all that come later, get the reason.
    pub(super) fn fail(&self, reason: &str) {
        let queue = {
            let mut waiting = self.waiting.lock();
            if waiting.closed.is_some() {
                return;
            }
            waiting.closed = Some(reason.into());
            std::mem::take(&mut waiting.queue)
        };
        for waiter in queue {
            let _ = waiter.answer.send(Err(self.broken(reason.into())));
        }
        self.closed.notify_waiters();
        // For the task that was not waiting at this moment.
        self.closed.notify_one();
    }

    fn deliver(&self, frame: Bytes) -> Result<(), String> {
        let Some(waiter) = self.waiting.lock().queue.pop_front() else {
            return Err("an answer to no request".to_owned());
        };
        let mut reader = Reader::new(frame);
        let header = ResponseHeader::decode(&mut reader, waiter.api, waiter.version);
        let correlation = header.map_err(|error| error.to_string())?.correlation_id;
        if waiter.correlation != correlation {
            let expected = waiter.correlation;
            let _ = waiter
                .answer
                .send(Err(self.broken("answers out of order".into())));
            return Err(format!("answer {correlation} where {expected} was due"));
        }
        let _ = waiter.answer.send(Ok(reader.rest()));
        Ok(())
    }
}

/// Opens a connection and negotiates.
pub(super) async fn open(
    address: &Arc<str>,
    options: &ConnectionOptions,
) -> Result<Arc<Live>, ConnectionError> {
    let opening = async {
        let unreachable = |source: std::io::Error| ConnectionError::Unreachable {
            address: address.clone(),
            source: Arc::new(source),
        };
        let stream = TcpStream::connect(&**address).await.map_err(unreachable)?;
        // Batching is the producer's business; a request waits for nothing here.
        stream.set_nodelay(true).map_err(unreachable)?;
        let (mut read, mut write) = stream.into_split();
        let client_id = Str::from(options.client_id.clone());
        let versions = negotiate(address, &client_id, &mut read, &mut write, options).await?;
        Ok(start(
            address,
            client_id,
            versions,
            read,
            write,
            options.max_frame,
        ))
    };
    tokio::time::timeout(options.connect_timeout, opening)
        .await
        .unwrap_or_else(|_| {
            Err(ConnectionError::ConnectTimeout {
                address: address.clone(),
                after: options.connect_timeout,
            })
        })
}

async fn negotiate(
    address: &Arc<str>,
    client_id: &Str,
    read: &mut OwnedReadHalf,
    write: &mut OwnedWriteHalf,
    options: &ConnectionOptions,
) -> Result<Versions, ConnectionError> {
    let broken = |reason: String| ConnectionError::Broken {
        address: address.clone(),
        reason: reason.into(),
    };
    let mut version = *ApiKey::ApiVersions.versions().end();
    loop {
        let header = RequestHeader {
            api_key: ApiKey::ApiVersions as i16,
            api_version: version,
            correlation_id: 0,
            client_id: Some(client_id.clone()),
        };
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("milena"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        write
            .write_all(&encode_request(&header, &request))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let mut buffer = BytesMut::new();
        let mut frame = read_frame(read, &mut buffer, options.max_frame)
            .await
            .map_err(broken)?;
        if frame.len() < 6 {
            return Err(broken("an answer too short to be Kafka's".to_owned()));
        }
        frame.advance(4);
        // A broker that does not know the version answers in version 0, with this code first.
        let code = i16::from_be_bytes([frame[0], frame[1]]);
        let unsupported = protocol::error::ErrorCode::UnsupportedVersion.code();
        let answered = if code == unsupported { 0 } else { version };
        let response =
            ApiVersionsResponse::decode(&mut Reader::new(frame), answered).map_err(|source| {
                ConnectionError::Answer {
                    address: address.clone(),
                    api: ApiKey::ApiVersions,
                    source,
                }
            })?;
        match judge(&response, version) {
            Negotiated::Agreed(versions) => return Ok(versions),
            Negotiated::AskAgain(lower) => version = lower,
            Negotiated::Refused(error) => return Err(broken(format!("ApiVersions: {error}"))),
        }
    }
}

fn start(
    address: &Arc<str>,
    client_id: Str,
    versions: Versions,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    max_frame: usize,
) -> Arc<Live> {
    let (frames, to_write) = mpsc::unbounded_channel();
    let live = Arc::new(Live {
        address: address.clone(),
        versions,
        client_id,
        frames,
        waiting: Mutex::new(Waiting {
            next_correlation: 1,
            queue: VecDeque::new(),
            closed: None,
        }),
        closed: Notify::new(),
    });
    tokio::spawn(run(Arc::clone(&live), read, write, to_write, max_frame));
    live
}

/// Reads and writes until one of them fails or the connection is closed.
async fn run(
    live: Arc<Live>,
    mut read: OwnedReadHalf,
    write: OwnedWriteHalf,
    to_write: mpsc::UnboundedReceiver<Frame>,
    max_frame: usize,
) {
    let writer = tokio::spawn(write_frames(write, to_write));
    let abort = writer.abort_handle();
    let reading = async {
        let mut buffer = BytesMut::with_capacity(64 << 10);
        loop {
            let frame = read_frame(&mut read, &mut buffer, max_frame).await?;
            live.deliver(frame)?;
        }
    };
    let reason: Result<(), String> = tokio::select! {
        reason = reading => reason,
        written = writer => match written {
            Ok(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        },
        () = live.closed.notified() => Ok(()),
    };
    abort.abort();
    live.fail(&reason.err().unwrap_or_else(|| "closed here".to_owned()));
}

async fn write_frames(
    mut write: OwnedWriteHalf,
    mut frames: mpsc::UnboundedReceiver<Frame>,
) -> std::io::Result<()> {
    /// Small frames that are queued together leave in one system call.
    const GATHERED: usize = 32 << 10;
    let mut gathered = BytesMut::new();
    let mut taken = Vec::new();
    while let Some(frame) = frames.recv().await {
        taken.push(frame);
        let mut bytes = taken[0].bytes.len();
        while bytes < GATHERED
            && let Ok(frame) = frames.try_recv()
        {
            bytes += frame.bytes.len();
            taken.push(frame);
        }
        for frame in &taken {
            if frame.bytes.len() < GATHERED {
                gathered.extend_from_slice(&frame.bytes);
                continue;
            }
            // A long one is not worth a copy.
            write.write_all(&gathered).await?;
            gathered.clear();
            write.write_all(&frame.bytes).await?;
        }
        write.write_all(&gathered).await?;
        gathered.clear();
        for frame in taken.drain(..) {
            if let Some(written) = frame.written {
                let _ = written.send(());
            }
        }
    }
    Ok(())
}

async fn read_frame(
    read: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    max_frame: usize,
) -> Result<Bytes, String> {
    const CLOSED: &str = "the broker closed it";
    while buffer.len() < 4 {
        buffer.reserve(64 << 10);
        if read.read_buf(buffer).await.map_err(|e| e.to_string())? == 0 {
            return Err(CLOSED.to_owned());
        }
    }
    let len = buffer.get_i32();
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= max_frame)
        .ok_or_else(|| format!("an answer of {len} bytes; the limit is {max_frame}"))?;
    while buffer.len() < len {
        let missing = len - buffer.len();
        let step = if len <= TRUSTED_LENGTH {
            missing
        } else {
            missing.min(buffer.len().max(TRUSTED_LENGTH))
        };
        buffer.reserve(step);
        if read.read_buf(buffer).await.map_err(|e| e.to_string())? == 0 {
            return Err(CLOSED.to_owned());
        }
    }
    Ok(buffer.split_to(len).freeze())
}
