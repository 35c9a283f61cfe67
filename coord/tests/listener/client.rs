//! A client that writes bytes by hand, so that the tests do not rest on the codecs that they test.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const CREATE: i32 = 1;
pub(crate) const DELETE: i32 = 2;
pub(crate) const EXISTS: i32 = 3;
pub(crate) const GET_DATA: i32 = 4;
pub(crate) const SET_DATA: i32 = 5;
pub(crate) const GET_CHILDREN: i32 = 8;
pub(crate) const SYNC: i32 = 9;
pub(crate) const PING: i32 = 11;
pub(crate) const CHECK: i32 = 13;
pub(crate) const MULTI: i32 = 14;
pub(crate) const CREATE2: i32 = 15;
pub(crate) const RECONFIG: i32 = 16;
pub(crate) const AUTH: i32 = 100;
pub(crate) const ADD_WATCH: i32 = 106;
pub(crate) const WHO_AM_I: i32 = 107;
pub(crate) const CLOSE: i32 = -11;

/// A request's body under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn int(mut self, value: i32) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, value: i64) -> Body {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn bool(mut self, value: bool) -> Body {
        self.0.push(value.into());
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Body {
        let mut body = self.int(bytes.len() as i32);
        body.0.extend(bytes);
        body
    }

    pub(crate) fn text(self, text: &str) -> Body {
        self.bytes(text.as_bytes())
    }

    /// The ACL that lets everybody do everything.
    pub(crate) fn open_acl(self) -> Body {
        self.int(1).int(31).text("world").text("anyone")
    }
}

pub(crate) fn body() -> Body {
    Body::default()
}

pub(crate) fn create(path: &str, data: &[u8], flags: i32) -> Body {
    body().text(path).bytes(data).open_acl().int(flags)
}

pub(crate) fn read(path: &str, watch: bool) -> Body {
    body().text(path).bool(watch)
}

pub(crate) fn set(path: &str, data: &[u8]) -> Body {
    body().text(path).bytes(data).int(-1)
}

/// An answer or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body's string from `at` on.
    pub(crate) fn text(&self, at: usize) -> String {
        let length = i32::from_be_bytes(self.body[at..at + 4].try_into().unwrap());
        String::from_utf8(self.body[at + 4..at + 4 + length as usize].to_vec()).unwrap()
    }

    /// An event's type and path.
    pub(crate) fn event(&self) -> (i32, String) {
        assert_eq!((self.xid, self.error), (-1, 0), "{self:?}");
        (
            i32::from_be_bytes(self.body[..4].try_into().unwrap()),
            self.text(8),
        )
    }
}

/// What the server said to a connect request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) timeout_ms: i32,
    pub(crate) id: i64,
    pub(crate) password: Vec<u8>,
    pub(crate) read_only: Option<bool>,
}

impl Session {
    pub(crate) fn none() -> Session {
        Session {
            timeout_ms: 0,
            id: 0,
            password: vec![0; 16],
            read_only: None,
        }
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) session: Session,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client::resume(address, &Session::none())
            .await
            .expect("a session")
    }

    /// Connects with a session; none where it has ended.
    pub(crate) async fn resume(address: SocketAddr, session: &Session) -> Option<Client> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = connect_request(0, 10_000, session).bool(false);
        send(&mut stream, &request.0).await;
        let session = session_of(&frame(&mut stream).await?);
        (session.id != 0).then_some(Client { stream, session })
    }

    pub(crate) async fn send(&mut self, xid: i32, op: i32, body: Body) {
        let mut bytes = xid.to_be_bytes().to_vec();
        bytes.extend(op.to_be_bytes());
        bytes.extend(body.0);
        send(&mut self.stream, &bytes).await;
    }

    /// The next answer or event; none once the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Reply> {
        let frame = frame(&mut self.stream).await?;
        Some(Reply {
            xid: i32::from_be_bytes(frame[..4].try_into().unwrap()),
            zxid: i64::from_be_bytes(frame[4..12].try_into().unwrap()),
            error: i32::from_be_bytes(frame[12..16].try_into().unwrap()),
            body: frame[16..].to_vec(),
        })
    }

    /// Asks and waits for the answer, which must be the next thing to come.
    pub(crate) async fn ask(&mut self, xid: i32, op: i32, body: Body) -> Reply {
        self.send(xid, op, body).await;
        let reply = self.next().await.expect("an answer");
        assert_eq!(reply.xid, xid);
        reply
    }

    /// Asks and gives the error.
    pub(crate) async fn error(&mut self, op: i32, body: Body) -> i32 {
        self.ask(99, op, body).await.error
    }
}

/// A connect request of 44 bytes.
pub(crate) fn connect_request(zxid: i64, timeout_ms: i32, session: &Session) -> Body {
    body()
        .int(0)
        .long(zxid)
        .int(timeout_ms)
        .long(session.id)
        .bytes(&session.password)
}

pub(crate) fn session_of(frame: &[u8]) -> Session {
    assert_eq!(&frame[..4], &[0; 4], "the protocol's version");
    Session {
        timeout_ms: i32::from_be_bytes(frame[4..8].try_into().unwrap()),
        id: i64::from_be_bytes(frame[8..16].try_into().unwrap()),
        password: frame[20..36].to_vec(),
        read_only: frame.get(36).map(|byte| *byte != 0),
    }
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let mut all = (bytes.len() as i32).to_be_bytes().to_vec();
    all.extend(bytes);
    stream.write_all(&all).await.unwrap();
}

/// The next frame; none at the stream's end, however it ends.
pub(crate) async fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let read = async {
        let length = stream.read_i32().await.ok()?;
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).await.ok()?;
        Some(frame)
    };
    timeout(PATIENCE, read)
        .await
        .expect("the server says something, or closes")
}

/// What a four-letter word gives.
pub(crate) async fn word(address: SocketAddr, word: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(word.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    timeout(PATIENCE, read).await.expect("an answer").unwrap();
    text
}
