//! A broker that does what a test says: over a real socket, with a script for the answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::api::api_versions::ApiVersion;
use protocol::api::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::api::{
    AnyRequest, ApiVersionsResponse, InitProducerIdResponse, MetadataRequest, MetadataResponse,
};
use protocol::{ApiKey, Message, Reader, RequestHeader, encode_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the broker does with a request.
pub(crate) enum Reply {
    /// Sends this frame.
    Frame(Bytes),
    /// Closes the connection.
    Close,
    /// Says nothing, and goes on reading.
    Nothing,
}

/// A request as it arrived.
pub(crate) struct Arrived {
    pub(crate) header: RequestHeader,
    pub(crate) key: ApiKey,
    pub(crate) request: AnyRequest,
    /// Which connection it came over, counted from 0.
    pub(crate) connection: usize,
}

impl Arrived {
    /// The answer to it.
    pub(crate) fn answer(&self, response: &impl Message) -> Reply {
        self.answer_in(self.header.api_version, response)
    }

    /// The answer to it in a version of its own.
    pub(crate) fn answer_in(&self, version: i16, response: &impl Message) -> Reply {
        let id = self.header.correlation_id;
        Reply::Frame(encode_response(id, response, self.key, version).bytes)
    }

    /// What a broker with all APIs says.
    pub(crate) fn all_versions(&self) -> Reply {
        self.answer(&ApiVersionsResponse {
            api_keys: ApiKey::ALL
                .iter()
                .map(|key| ApiVersion {
                    api_key: *key as i16,
                    min_version: *key.versions().start(),
                    max_version: *key.versions().end(),
                })
                .collect(),
            ..ApiVersionsResponse::default()
        })
    }

    /// A cluster of one broker at `port`, that has every topic, with one partition.
    pub(crate) fn metadata(&self, port: u16, request: &MetadataRequest) -> Reply {
        self.cluster(port, request, &[1], 1)
    }

    /// A cluster of these brokers, all at `port`, where `leader` leads and controls everything.
    pub(crate) fn cluster(
        &self,
        port: u16,
        request: &MetadataRequest,
        brokers: &[i32],
        leader: i32,
    ) -> Reply {
        let asked = request.topics.iter().flatten();
        self.answer(&MetadataResponse {
            brokers: brokers
                .iter()
                .map(|&node_id| MetadataResponseBroker {
                    node_id,
                    host: "127.0.0.1".into(),
                    port: port.into(),
                    rack: None,
                })
                .collect(),
            controller_id: leader,
            topics: asked
                .map(|topic| MetadataResponseTopic {
                    name: topic.name.clone(),
                    partitions: vec![MetadataResponsePartition {
                        leader_id: leader,
                        ..MetadataResponsePartition::default()
                    }],
                    ..MetadataResponseTopic::default()
                })
                .collect(),
            ..MetadataResponse::default()
        })
    }

    /// Answers what every producer asks before it sends; `None` for everything else.
    pub(crate) fn usual(&self, port: u16) -> Option<Reply> {
        match &self.request {
            AnyRequest::ApiVersions(_) => Some(self.all_versions()),
            AnyRequest::Metadata(request) => Some(self.metadata(port, request)),
            AnyRequest::InitProducerId(_) => Some(self.answer(&InitProducerIdResponse {
                producer_id: 7,
                ..InitProducerIdResponse::default()
            })),
            _ => None,
        }
    }
}

type Script = Arc<Mutex<dyn FnMut(u16, Arrived) -> Reply + Send>>;

/// Starts one; returns its port. It ends with the test's runtime.
pub(crate) async fn start(script: impl FnMut(u16, Arrived) -> Reply + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let script: Script = Arc::new(Mutex::new(script));
    tokio::spawn(async move {
        let mut connection = 0;
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, port, connection, Arc::clone(&script)));
            connection += 1;
        }
    });
    port
}

async fn serve(mut stream: TcpStream, port: u16, connection: usize, script: Script) {
    loop {
        let Ok(len) = stream.read_i32().await else {
            return;
        };
        let mut frame = vec![0; len as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let mut reader = Reader::new(frame.into());
        let header = RequestHeader::decode(&mut reader).expect("a header");
        let key = ApiKey::try_from(header.api_key).expect("a key");
        let request = AnyRequest::decode(key, header.api_version, &mut reader).expect("a request");
        let arrived = Arrived {
            header,
            key,
            request,
            connection,
        };
        let reply = (script.lock())(port, arrived);
        match reply {
            Reply::Frame(frame) => {
                if stream.write_all(&frame).await.is_err() {
                    return;
                }
            }
            Reply::Close => return,
            Reply::Nothing => {}
        }
    }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}
