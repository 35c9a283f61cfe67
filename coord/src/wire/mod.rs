//! What the listener knows of the service: sessions of clients on the wire, their requests, and one ordered queue of
//! answers and events for each connection.
//!
//! Not here: bytes and sockets (`listener`), what a request means (`tree`), who commits it (`service`).
//!
//! A client's requests are carried out in the order in which it sent them. Writes may be pipelined; a read is a barrier
//! that the listener keeps: it calls [`Connection::read`] only when no write of the connection is under way.

mod clients;
mod queue;
mod read;
mod stats;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) use clients::{Clients, SetWatches, WatcherType};
use queue::UnderWay;
pub(crate) use queue::{Answer, Client, Ending, Outbox, Outgoing, Token};
pub(crate) use read::Read;
pub(crate) use stats::{Counters, SessionInfo, Stats};

use crate::Zxid;
pub(crate) use crate::auth::Peer;
use crate::auth::Supers;
use crate::error::{CoordError, MultiError};
use crate::service::core::Event;
use crate::service::shared::{Reply, Shared};
use crate::tree::{Caller, Op, OpResult, Password, Request, Rules};

/// Paths that a listing of watches names at most.
const LISTED_MAX: usize = 100_000;

/// What an operation weighs beside its bytes, as itself and as the change that it becomes.
const OP_BYTES: usize = 256;

/// How clients on the wire are served.
#[derive(Clone, Debug)]
pub struct WireConfig {
    /// Who may do everything: `user:base64(sha1(user:password))`
    /// (ZooKeeper's `DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<String>,
    /// Who may do everything: the subject of a certificate.
    pub x509_super: Option<String>,
    /// Whether lists may name subjects of certificates: there is a port with TLS.
    pub x509_enabled: bool,
    /// Whether users may prove themselves by password.
    pub digest_enabled: bool,
    /// No access control list is looked at.
    pub skip_acl: bool,
    /// Hard limits of quotas are kept.
    pub enforce_quota: bool,
    /// Clients may create znodes with a TTL.
    pub extended_types: bool,
    /// Bytes of events that wait for one connection; past it the connection is closed, as none is ever dropped.
    pub event_bytes_max: usize,
    /// Paths that one connection may watch.
    pub watches_max: usize,
    /// Bytes that the watches of one connection may take.
    pub watch_bytes_max: usize,
}

impl Default for WireConfig {
    fn default() -> Self {
        WireConfig {
            super_digest: None,
            x509_super: None,
            x509_enabled: false,
            digest_enabled: true,
            skip_acl: false,
            enforce_quota: false,
            extended_types: false,
            event_bytes_max: 8 << 20,
            watches_max: 1_000_000,
            watch_bytes_max: 64 << 20,
        }
    }
}

impl WireConfig {
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            skip_acl: self.skip_acl,
            no_digest: !self.digest_enabled,
            x509: self.x509_enabled,
            enforce_quota: self.enforce_quota,
            extended_types: self.extended_types,
        }
    }

    fn supers(&self) -> Supers {
        Supers {
            digest: self.super_digest.clone(),
            x509: self.x509_super.clone(),
            no_digest: !self.digest_enabled,
        }
    }
}

/// A change, or what must stand in the order of changes.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// All of these, or none.
    Ops(Vec<Op>),
    /// Answered when everything before it is applied.
    Sync {
        /// Given back in the answer.
        path: String,
    },
    /// Ends the session and its ephemeral znodes.
    CloseSession,
}

/// The way in for clients on the wire. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    shared: Arc<Shared>,
}

/// A connection that has its session.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) outbox: Outbox,
    /// The session's id.
    pub(crate) session: i64,
    /// What its client shows to go on with it.
    pub(crate) password: [u8; 16],
    /// After how many milliseconds of silence it ends.
    pub(crate) timeout_ms: u32,
}

impl Wire {
    pub(crate) fn new(shared: Arc<Shared>) -> Wire {
        Wire { shared }
    }

    /// Begins a session, or goes on with one on this connection; the one that it had until now is told that the session
    /// has moved. [`CoordError::SessionExpired`] is an unknown session or a wrong password.
    pub(crate) async fn open(
        &self,
        peer: Peer,
        resume: Option<(i64, [u8; 16])>,
        timeout_ms: u32,
    ) -> Result<Opened, CoordError> {
        let shared = &self.shared;
        let (session, password) = match resume {
            None => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).map_err(|error| {
                    CoordError::Storage(Arc::new(std::io::Error::other(error.to_string()).into()))
                })?;
                let password = Password(bytes);
                let open = |reply| Event::OpenClient {
                    timeout_ms,
                    password,
                    reply,
                };
                (shared.ask_for_client(open).await, password)
            }
            Some((id, password)) => {
                let password = Password(password);
                let resume = |reply| Event::Resume {
                    id,
                    timeout_ms,
                    password,
                    reply,
                };
                (shared.ask_for_client(resume).await, password)
            }
        };
        let session = session.map_err(|multi| multi.error)?.session;
        let ids = shared.config.supers().greet(&peer);
        let id = shared.next_client.fetch_add(1, Ordering::Relaxed);
        let counters = Arc::clone(&shared.counters);
        let max = shared.config.event_bytes_max;
        let client = Arc::new(Client::new((id, session), ids, max, counters));
        client.heard.store(shared.steady_ms(), Ordering::Relaxed);
        {
            let served = shared.served.read();
            if served.tree.session(session).is_none() {
                return Err(CoordError::SessionExpired { session });
            }
            if !served.clients.lock().attach(&client) {
                return Err(shared.why_ended());
            }
        }
        Ok(Opened {
            connection: Connection {
                shared: Arc::clone(shared),
                client: Arc::clone(&client),
                peer,
            },
            outbox: Outbox { client },
            session,
            password: password.0,
            timeout_ms,
        })
    }

    /// The last transaction that this member's tree shows.
    pub(crate) fn zxid(&self) -> Zxid {
        *self.shared.applied.borrow()
    }

    /// Whether requests are taken.
    pub(crate) fn is_serving(&self) -> bool {
        self.shared.ended.get().is_none()
    }

    /// The server at a glance.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        {
            let served = self.shared.served.read();
            let tree = &served.tree;
            stats.zxid = tree.applied();
            stats.znodes = tree.node_count() + 1;
            stats.data_bytes = tree.data_bytes() + tree.path_bytes();
            stats.ephemerals = tree.ephemeral_count();
            stats.sessions = tree.session_count();
            served.clients.lock().fill(&mut stats);
        }
        self.shared.counters.fill(&mut stats);
        stats
    }

    /// Counts from anew.
    pub(crate) fn reset_stats(&self) {
        self.shared.counters.reset();
    }

    /// Packets have come and gone.
    pub(crate) fn packets(&self, received: u64, sent: u64) {
        self.shared.counters.packets(received, sent);
    }

    /// Every session.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        let served = self.shared.served.read();
        let info = |(id, record): (i64, crate::tree::SessionRecord)| SessionInfo {
            id,
            timeout_ms: record.timeout_ms,
            local: record.member != 0,
            ephemerals: served.tree.ephemerals(id).map(ToOwned::to_owned).collect(),
        };
        served.tree.sessions().map(info).collect()
    }

    /// Who watches what: sessions and their paths, the first 100,000 of them.
    pub(crate) fn watches(&self) -> Vec<(i64, Vec<String>)> {
        let served = self.shared.served.read();
        let clients = served.clients.lock();
        clients.watches(LISTED_MAX)
    }
}

/// A connection and its session. Dropping it ends its watches and not the session.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    client: Arc<Client>,
    peer: Peer,
}

impl Connection {
    /// The session's id.
    pub(crate) fn session(&self) -> i64 {
        self.client.session
    }

    /// The client was heard of. Cheap.
    pub(crate) fn touch(&self) {
        let now = self.shared.steady_ms();
        self.client.heard.store(now, Ordering::Relaxed);
    }

    /// The client proves who it is.
    pub(crate) fn add_auth(&self, scheme: &str, auth: &[u8]) -> Result<(), CoordError> {
        let supers = self.shared.config.supers();
        let mut ids = self.client.ids.write();
        let mut proved = ids.as_ref().clone();
        supers.prove(&mut proved, &self.peer, scheme, auth)?;
        *ids = Arc::new(proved);
        Ok(())
    }

    /// Hands a write on; the answer comes out of the outbox. Waits while too much is under way. To be awaited before
    /// the connection's next request is handed on.
    pub(crate) async fn write(&self, token: Token, write: Write) {
        self.touch();
        let client = &self.client;
        let bytes = match &write {
            Write::Ops(ops) => ops.iter().map(|op| OP_BYTES + op.size()).sum(),
            Write::Sync { path } => path.len(),
            Write::CloseSession => 0,
        };
        let under_way = UnderWay::begin(client);
        let turn = self.shared.client_turn(bytes).await;
        if self.shared.ended.get().is_some() {
            // An answer would overtake those of the writes before it.
            client.end(Ending::Stopped);
            return;
        }
        let reply = |purpose| {
            let asked = Asked {
                under_way,
                token,
                purpose,
            };
            Reply::to_client(asked, turn)
        };
        let event = match write {
            Write::Ops(ops) => {
                let request = Request::Ops {
                    session: client.session,
                    caller: Caller::Client(client.ids()),
                    ops,
                };
                Event::Ask(request, reply(Purpose::Ops))
            }
            Write::Sync { path } => Event::Sync(reply(Purpose::Sync(path))),
            Write::CloseSession => {
                let ids = vec![client.session];
                Event::Ask(Request::CloseSessions { ids }, reply(Purpose::Close))
            }
        };
        self.shared.events.push(event);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let served = self.shared.served.read();
        let mut clients = served.clients.lock();
        clients.detach(&self.client);
    }
}

/// A write that is under way, and what its answer is made of.
pub(crate) struct Asked {
    under_way: UnderWay,
    token: Token,
    purpose: Purpose,
}

enum Purpose {
    Ops,
    Sync(String),
    Close,
}

impl Asked {
    /// Whose it is.
    pub(crate) fn client(&self) -> &Client {
        self.under_way.client()
    }

    /// Answers it. Called under the tree's lock, so that the answer stands where its transaction does.
    pub(crate) fn answer(self, zxid: Zxid, done: Result<Vec<OpResult>, MultiError>) {
        let answer = done.map(|results| match self.purpose {
            Purpose::Ops => Answer::Done(results),
            Purpose::Sync(path) => Answer::Synced(path),
            Purpose::Close => Answer::Closed,
        });
        self.under_way.answer(self.token, zxid, answer);
    }
}

impl Client {
    /// Its number among the watchers.
    pub(crate) fn number(&self) -> u64 {
        self.id
    }

    fn heard(&self) -> i64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn writes_under_way(&self) -> usize {
        self.writes.load(Ordering::Acquire)
    }
}
