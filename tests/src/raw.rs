//! A small blocking connection that speaks Kafka's protocol, and also what is none of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::ResponseHeader;
use protocol::records::{self, BatchBuilder, BatchIdentity, BatchView, Compression, Record};
use protocol::{ApiKey, Message, Reader, Records, Request, RequestHeader, encode_request};

/// The newest versions that name topics by name.
const PRODUCE_BY_NAME: i16 = 12;
const FETCH_BY_NAME: i16 = 12;
const OFFSETS_BY_NAME: i16 = 9;
/// The most that compressed records of these tests may come to.
const RECORDS_MAX: usize = 64 << 20;
/// The longest answer that is believed.
const ANSWER_MAX: usize = 512 << 20;

/// The version that [`Connection`] speaks of an API.
pub fn version(key: ApiKey) -> i16 {
    match key {
        ApiKey::Produce => PRODUCE_BY_NAME,
        ApiKey::Fetch => FETCH_BY_NAME,
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => OFFSETS_BY_NAME,
        // From 4 on a member without an id is sent away once, to come back with one.
        ApiKey::JoinGroup => 3,
        key => *key.versions().end(),
    }
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    next_correlation: i32,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        socket.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            socket,
            next_correlation: 0,
        })
    }

    /// The socket, for what is no request.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Sends a request; gives its correlation id.
    pub fn send<R: Request>(&mut self, request: &R) -> io::Result<i32> {
        self.send_at(request, version(R::KEY))
    }

    fn send_at<R: Request>(&mut self, request: &R, version: i16) -> io::Result<i32> {
        let correlation_id = self.next_correlation;
        self.next_correlation = self.next_correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::KEY as i16,
            api_version: version,
            correlation_id,
            client_id: Some("tests".into()),
        };
        self.socket.write_all(&encode_request(&header, request))?;
        Ok(correlation_id)
    }

    /// The next frame, without its length.
    pub fn frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > ANSWER_MAX {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut frame = vec![0; length];
        self.socket.read_exact(&mut frame)?;
        Ok(frame.into())
    }

    /// The next answer, which must be that to a request of this type; with its correlation id.
    pub fn receive<R: Request>(&mut self) -> io::Result<(i32, R::Response)> {
        self.receive_at::<R>(version(R::KEY))
    }

    fn receive_at<R: Request>(&mut self, version: i16) -> io::Result<(i32, R::Response)> {
        let mut reader = Reader::new(self.frame()?);
        let header =
            ResponseHeader::decode(&mut reader, R::KEY, version).map_err(io::Error::other)?;
        let answer = R::Response::decode(&mut reader, version).map_err(io::Error::other)?;
        Ok((header.correlation_id, answer))
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&mut self, request: &R) -> io::Result<R::Response> {
        self.call_at(request, version(R::KEY))
    }

    /// The same in another version.
    pub fn call_at<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let sent = self.send_at(request, version)?;
        let (correlation, answer) = self.receive_at::<R>(version)?;
        if correlation == sent {
            Ok(answer)
        } else {
            Err(io::Error::other(format!(
                "answer {correlation} to request {sent}"
            )))
        }
    }

    /// Whether the broker hangs up, or resets, before it sends anything more.
    pub fn is_closed_by_peer(&mut self) -> bool {
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// A batch of values without keys, as a producer sends it.
pub fn batch<V: AsRef<[u8]>>(values: &[V], identity: &BatchIdentity) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_millis() as i64);
    for value in values {
        builder.push(now, None, Some(value.as_ref()), &[]);
    }
    builder.build(identity)
}

/// A batch of values from a producer that is not idempotent.
pub fn plain<V: AsRef<[u8]>>(values: &[V]) -> Bytes {
    batch(values, &BatchIdentity::default())
}

/// The records of what a fetch gave, from `offset` on; a batch that is cut off at the end is left
/// out. A batch with a wrong CRC is an error.
pub fn records_from(fetched: Option<Records>, offset: i64) -> io::Result<Vec<Record>> {
    let Some(Records::Bytes(mut rest)) = fetched else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    while let Ok(view) = BatchView::parse(&rest) {
        if !view.crc_ok() {
            return Err(io::Error::other(format!(
                "the batch at offset {} has a wrong CRC",
                view.base_offset()
            )));
        }
        let batch = rest.split_to(view.size());
        for record in records::records(batch, RECORDS_MAX).map_err(io::Error::other)? {
            let record = record.map_err(io::Error::other)?;
            if record.offset >= offset {
                found.push(record);
            }
        }
    }
    Ok(found)
}
