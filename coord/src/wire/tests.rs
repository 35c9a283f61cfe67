//! Clients on the wire as the listener sees them, over the whole service.

use std::time::{Duration, Instant};

use disk::SimulatedDisk;

use super::*;
use crate::perms::{ALL, READ};
use crate::service::tests::{session, start_with};
use crate::tree::{Acl, CreateMode, Stat};
use crate::{Coord, CoordConfig, ErrorCode, Handle};

pub(super) struct Conn {
    pub(super) open: Opened,
    tag: u64,
    /// Events that came before the last answer.
    pub(super) events: Vec<(i32, String)>,
}

fn config(wire: WireConfig) -> CoordConfig {
    CoordConfig {
        wire,
        ..CoordConfig::default()
    }
}

pub(super) fn start(wire: WireConfig) -> (Coord, Handle) {
    start_with(&SimulatedDisk::new(1), config(wire))
}

fn peer() -> Peer {
    Peer {
        ip: Some("10.0.0.1".parse().unwrap()),
        x509: None,
    }
}

impl Conn {
    pub(super) async fn new(handle: &Handle) -> Conn {
        Conn::try_new(handle, None, 10_000).await.unwrap()
    }

    pub(super) async fn try_new(
        handle: &Handle,
        resume: Option<(i64, [u8; 16])>,
        timeout_ms: u32,
    ) -> Result<Conn, ErrorCode> {
        let open = handle.wire().open(peer(), resume, timeout_ms).await;
        Ok(Conn {
            open: open.map_err(|e| e.code())?,
            tag: 0,
            events: Vec::new(),
        })
    }

    fn token(&mut self) -> Token {
        self.tag += 1;
        Token {
            tag: self.tag,
            received: Instant::now(),
        }
    }

    async fn answer(&mut self) -> Result<Answer, ErrorCode> {
        self.events.clear();
        loop {
            match self.open.outbox.next().await.expect("an answer") {
                Outgoing::Event { kind, path, .. } => self.events.push((kind, path)),
                Outgoing::Answer { token, result, .. } => {
                    assert_eq!(token.tag, self.tag);
                    return result.map_err(|e| e.error.code());
                }
                Outgoing::Ended(ending) => panic!("{ending:?}"),
            }
        }
    }

    async fn write(&mut self, write: Write) -> Result<Answer, ErrorCode> {
        let token = self.token();
        self.open.connection.write(token, write).await;
        self.answer().await
    }

    pub(super) async fn op(&mut self, op: Op) -> Result<Answer, ErrorCode> {
        self.write(Write::Ops(vec![op])).await
    }

    pub(super) async fn create(&mut self, path: &str, acl: &[Acl]) -> Result<Answer, ErrorCode> {
        let op = Op::create_with(path, "data", CreateMode::Persistent, acl.to_vec());
        self.op(op).await
    }

    pub(super) async fn read(&mut self, read: Read) -> Result<Answer, ErrorCode> {
        let token = self.token();
        assert_eq!(self.open.connection.writes_under_way(), 0);
        self.open.connection.read(token, read);
        self.answer().await
    }

    pub(super) async fn next(&mut self) -> Outgoing {
        self.open.outbox.next().await.expect("one more")
    }
}

pub(super) fn open_acl() -> Vec<Acl> {
    vec![Acl::new(ALL, "world", "anyone")]
}

pub(super) fn exists(path: &str, watch: bool) -> Read {
    let path = path.to_owned();
    Read::Exists { path, watch }
}

pub(super) fn data(path: &str, watch: bool) -> Read {
    let path = path.to_owned();
    Read::GetData { path, watch }
}

pub(super) fn children(path: &str, watch: bool) -> Read {
    let path = path.to_owned();
    Read::GetChildren { path, watch }
}

#[tokio::test]
async fn a_client_writes_reads_and_syncs() {
    let (_coord, handle) = start(WireConfig::default());
    let mut c = Conn::new(&handle).await;
    let Ok(Answer::Done(done)) = c.create("/a", &open_acl()).await else {
        panic!()
    };
    let OpResult::Created(created) = &done[0] else {
        panic!()
    };
    assert_eq!(created.path, "/a");
    assert_eq!(
        c.read(data("/a", false)).await,
        Ok(Answer::Data("data".into(), created.stat))
    );
    let sync = Write::Sync { path: "/a".into() };
    assert_eq!(c.write(sync).await, Ok(Answer::Synced("/a".into())));
    for path in ["/b", "a", "/a/", "", "/a//b"] {
        assert_eq!(
            c.read(data(path, false)).await,
            Err(ErrorCode::NoNode),
            "{path:?}"
        );
    }
    assert_eq!(
        c.read(Read::MultiRead(vec![
            data("/b", false),
            children("/a", false)
        ]))
        .await,
        Ok(Answer::Read(vec![
            Err(ErrorCode::NoNode),
            Ok(Answer::Children(vec![], created.stat))
        ]))
    );
    let e = Op::create("/e", "", CreateMode::Ephemeral);
    c.op(e).await.unwrap();
    for (prefix, count) in [("", 1), ("/", 1), ("/e", 1), ("/f", 0)] {
        let prefix = prefix.to_owned();
        let Ok(Answer::Ephemerals(paths)) = c.read(Read::GetEphemerals { prefix }).await else {
            panic!()
        };
        assert_eq!(paths.len(), count);
    }
    for (path, count) in [("/", 5), ("/zookeeper", 2), ("/a", 0)] {
        let path = path.to_owned();
        let counted = c.read(Read::GetAllChildrenNumber { path }).await;
        assert_eq!(counted, Ok(Answer::Count(count)));
    }
    let ttl = Op::create("/t", "", CreateMode::PersistentWithTtl(5));
    assert_eq!(c.op(ttl).await, Err(ErrorCode::Unimplemented));
    let stats = handle.wire().stats();
    assert_eq!((stats.znodes, stats.ephemerals, stats.sessions), (7, 1, 1));
    assert_eq!((stats.connections, stats.outstanding), (1, 0));
    assert!(stats.answered > 8);
    assert_eq!(c.write(Write::CloseSession).await, Ok(Answer::Closed));
    assert!(matches!(c.next().await, Outgoing::Ended(Ending::Closed)));
    assert!(c.open.outbox.next().await.is_none());
    assert_eq!(handle.wire().stats().ephemerals, 0);
}

#[tokio::test]
async fn lists_govern_reads_writes_and_children() {
    let (_coord, handle) = start(WireConfig {
        super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()),
        ..WireConfig::default()
    });
    let (mut bob, mut eve) = (Conn::new(&handle).await, Conn::new(&handle).await);
    assert_eq!(bob.create("/a", &[]).await, Err(ErrorCode::InvalidAcl));
    let auth = [Acl::new(ALL, "auth", "")];
    assert_eq!(bob.create("/a", &auth).await, Err(ErrorCode::InvalidAcl));
    bob.open.connection.add_auth("digest", b"bob:pw").unwrap();
    bob.create("/a", &auth).await.unwrap();
    bob.create("/a/b", &open_acl()).await.unwrap();
    let no = Err(ErrorCode::NoAuth);
    assert_eq!(eve.read(data("/a", false)).await, no);
    assert_eq!(eve.read(exists("/a", false)).await, no);
    assert_eq!(eve.read(children("/a", false)).await, no);
    assert_eq!(eve.read(Read::GetAcl { path: "/a".into() }).await, no);
    let below = Read::GetAllChildrenNumber { path: "/a".into() };
    assert_eq!(eve.read(below).await, no);
    assert_eq!(eve.create("/a/c", &open_acl()).await, no);
    assert_eq!(eve.op(Op::set("/a", "", None)).await, no);
    assert_eq!(eve.op(Op::check("/a", None)).await, no);
    assert_eq!(
        eve.op(Op::delete("/a/b", None)).await,
        no,
        "the parent's list governs"
    );
    assert_eq!(eve.op(Op::set_acl("/a", open_acl(), None)).await, no);
    eve.op(Op::set("/a/b", "hers", None)).await.unwrap();

    let world = vec![
        Acl::new(READ, "world", "anyone"),
        Acl::new(ALL, "digest", "bob:x="),
    ];
    let set = |version| Op::set_acl("/a/b", world.clone(), version);
    assert_eq!(bob.op(set(Some(1))).await, Err(ErrorCode::BadVersion));
    let Ok(Answer::Done(done)) = bob.op(set(Some(0))).await else {
        panic!()
    };
    assert!(matches!(&done[0], OpResult::AclSet(stat) if stat.aversion == 1));
    let acl_of = |path: &str| Read::GetAcl { path: path.into() };
    let Ok(Answer::Acl(lines, _)) = eve.read(acl_of("/a/b")).await else {
        panic!()
    };
    assert_eq!(lines[1].id, "bob:x", "no digest for who may not set it");
    eve.open
        .connection
        .add_auth("digest", b"super:test")
        .unwrap();
    let Ok(Answer::Acl(lines, _)) = eve.read(acl_of("/a/b")).await else {
        panic!()
    };
    assert_eq!(lines, world);
    eve.op(Op::set("/a", "", None)).await.unwrap();
    let s = session(&handle).await;
    assert!(s.get("/a").is_ok(), "the process itself may do everything");
    assert!(eve.open.connection.add_auth("kerberos", b"").is_err());
    let who = eve.read(Read::WhoAmI).await;
    let names = [("ip", "10.0.0.1"), ("super", ""), ("digest", "super")];
    let names = names.map(|(s, n)| (s.to_owned(), n.to_owned()));
    assert_eq!(who, Ok(Answer::WhoAmI(names.to_vec())));
    let config = Op::set("/zookeeper/config", "mine", None);
    assert_eq!(Conn::new(&handle).await.op(config).await, no);
}

#[tokio::test]
async fn a_session_moves_to_another_connection_with_its_password() {
    let (_coord, handle) = start(WireConfig::default());
    let mut first = Conn::new(&handle).await;
    let e = || Op::create("/e", "", CreateMode::Ephemeral);
    first.op(e()).await.unwrap();
    let (id, password) = (first.open.session, first.open.password);
    let wrong = Conn::try_new(&handle, Some((id, [0; 16])), 10_000).await;
    assert_eq!(wrong.err(), Some(ErrorCode::SessionExpired));
    let unknown = Conn::try_new(&handle, Some((id + 1, password)), 10_000).await;
    assert_eq!(unknown.err(), Some(ErrorCode::SessionExpired));
    let s = session(&handle).await;
    let local = Conn::try_new(&handle, Some((s.id(), [0; 16])), 10_000).await;
    assert_eq!(
        local.err(),
        Some(ErrorCode::SessionExpired),
        "nobody takes the process's own"
    );
    let mut second = Conn::try_new(&handle, Some((id, password)), 10_000)
        .await
        .unwrap();
    assert!(matches!(first.next().await, Outgoing::Ended(Ending::Moved)));
    let token = first.token();
    let connection = &first.open.connection;
    connection.write(token, Write::CloseSession).await;
    drop(first);
    let stat = second.read(exists("/e", false)).await.unwrap();
    assert!(matches!(stat, Answer::Stat(Stat { ephemeral_owner, .. }) if ephemeral_owner == id));
    second.op(Op::delete("/e", None)).await.unwrap();
    assert_eq!(handle.wire().stats().outstanding, 0);
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_ends_by_silence() {
    let disk = SimulatedDisk::new(3);
    let (coord, handle) = start_with(&disk, CoordConfig::default());
    let mut client = Conn::try_new(&handle, None, 300).await.unwrap();
    let e = Op::create("/e", "", CreateMode::Ephemeral);
    client.op(e).await.unwrap();
    let (id, password) = (client.open.session, client.open.password);
    coord.stop();
    assert!(matches!(
        client.next().await,
        Outgoing::Ended(Ending::Stopped)
    ));
    let (_coord, handle) = start_with(&disk, CoordConfig::default());
    let mut client = Conn::try_new(&handle, Some((id, password)), 300)
        .await
        .unwrap();
    let begun = Instant::now();
    // Touches alone keep it, well past its timeout.
    while begun.elapsed() < Duration::from_millis(900) {
        client.open.connection.touch();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(client.read(exists("/e", true)).await.is_ok());
    let Outgoing::Event { kind: 2, .. } = client.next().await else {
        panic!("its znode goes with it")
    };
    assert!(matches!(
        client.next().await,
        Outgoing::Ended(Ending::Expired)
    ));
    let late = Conn::try_new(&handle, Some((id, password)), 300).await;
    assert_eq!(late.err(), Some(ErrorCode::SessionExpired));
}

#[tokio::test]
async fn a_client_that_hangs_up_after_closing_has_closed() {
    let (_coord, handle) = start(WireConfig::default());
    let mut c = Conn::new(&handle).await;
    let e = Op::create("/e", "", CreateMode::Ephemeral);
    c.op(e).await.unwrap();
    let s = session(&handle).await;
    let mut watch = s.watch("/e", crate::WatchMode::Data);
    let token = c.token();
    c.open.connection.write(token, Write::CloseSession).await;
    drop(c);
    assert!(watch.next().await.is_some());
    assert_eq!(handle.wire().sessions().len(), 1);
}

#[tokio::test]
async fn quotas_count_and_their_hard_limits_are_kept() {
    let (_coord, handle) = start(WireConfig {
        enforce_quota: true,
        ..WireConfig::default()
    });
    let mut c = Conn::new(&handle).await;
    c.create("/q", &open_acl()).await.unwrap();
    c.create("/zookeeper/quota/q", &open_acl()).await.unwrap();
    let limits = "count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=3";
    let quota = |name: &str, data: &'static str| {
        let path = format!("/zookeeper/quota/q/{name}");
        Op::create(path, data, CreateMode::Persistent)
    };
    c.op(quota("zookeeper_limits", limits)).await.unwrap();
    let noted = quota("zookeeper_stats", "count=0,bytes=0");
    c.op(noted).await.unwrap();
    let stats = || data("/zookeeper/quota/q/zookeeper_stats", false);
    c.create("/q/a", &open_acl()).await.unwrap();
    let Ok(Answer::Data(text, stat)) = c.read(stats()).await else {
        panic!()
    };
    assert_eq!((text, stat.data_length), ("count=2,bytes=8".into(), 15));
    c.create("/q/b", &open_acl()).await.unwrap();
    let full = Err(ErrorCode::QuotaExceeded);
    assert_eq!(c.create("/q/c", &open_acl()).await, full);
    assert_eq!(c.op(Op::set("/q/b", vec![0; 13], None)).await, full);
    c.op(Op::set("/q/b", vec![0; 12], None)).await.unwrap();
    c.op(Op::delete("/q/a", None)).await.unwrap();
    let Ok(Answer::Data(text, _)) = c.read(stats()).await else {
        panic!()
    };
    assert_eq!(text, "count=2,bytes=16");
    let gone = Op::delete("/zookeeper/quota/q/zookeeper_limits", None);
    c.op(gone).await.unwrap();
    c.op(Op::set("/q/b", vec![0; 100], None)).await.unwrap();
}

#[tokio::test]
async fn a_session_has_its_whole_timeout_from_when_its_lost_connection_was_last_heard_of() {
    let (_coord, handle) = start(WireConfig::default());
    let client = Conn::try_new(&handle, None, 1_000).await.unwrap();
    let resume = (client.open.session, client.open.password);
    tokio::time::sleep(Duration::from_millis(800)).await;
    client.open.connection.touch();
    drop(client);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let back = Conn::try_new(&handle, Some(resume), 1_000).await;
    drop(back.expect("it was silent for little more than half of its timeout"));
    let ended = async {
        while !handle.wire().sessions().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(5), ended).await;
    assert!(within.is_ok(), "and no longer");
}

#[tokio::test]
async fn a_client_that_waits_for_an_answer_is_not_silent() {
    let (_coord, handle) = start(WireConfig::default());
    let client = Conn::new(&handle).await;
    let session = client.open.session;
    let shared = &client.open.connection.shared;
    let silent = || {
        let served = shared.served.read();
        let now = shared.steady_ms() + 5_000;
        let clients = served.clients.lock();
        clients.silent_ms(session, now).unwrap()
    };
    assert!(silent() >= 5_000);
    let under_way = UnderWay::begin(&client.open.connection.client);
    assert_eq!(silent(), 0);
    drop(under_way);
    assert!(silent() >= 5_000);
}

#[tokio::test]
async fn a_write_to_a_service_that_has_ended_ends_the_connection_and_overtakes_no_answer() {
    let (coord, handle) = start(WireConfig::default());
    let mut c = Conn::new(&handle).await;
    c.open.connection.shared.end(CoordError::Stopped);
    let token = c.token();
    let sync = Write::Sync { path: "/".into() };
    c.open.connection.write(token, sync).await;
    let ended = c.next().await;
    assert!(matches!(ended, Outgoing::Ended(Ending::Stopped)));
    assert!(c.open.outbox.next().await.is_none());
    coord.stop();
}
