//! How sessions begin, move and end.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::client::{
    CLOSE, CREATE, Client, EXISTS, GET_DATA, PATIENCE, SET_DATA, Session, body, connect_request,
    create, frame, read, send, session_of, set,
};
use crate::{start, start_with};

#[tokio::test]
async fn a_connect_request_has_45_bytes_or_44_and_so_has_its_answer_one_more_or_less() {
    let server = start().await;
    for read_only in [None, Some(false), Some(true)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let mut request = connect_request(0, 10_000, &Session::none());
        if let Some(byte) = read_only {
            request = request.bool(byte);
        }
        send(&mut stream, &request.0).await;
        let answer = frame(&mut stream).await.unwrap();
        let session = session_of(&answer);
        assert_eq!(session.read_only, read_only.map(|_| false));
        assert_eq!(session.timeout_ms, 10_000);
        assert_ne!(session.id, 0);
    }
}

#[tokio::test]
async fn a_timeout_is_brought_within_the_limits() {
    let server = start_with(|config| {
        config.session_timeout_ms_min = 4_000;
        config.session_timeout_ms_max = 40_000;
    })
    .await;
    for (asked, given) in [(0, 4_000), (-1, 4_000), (5_000, 5_000), (i32::MAX, 40_000)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        send(&mut stream, &connect_request(0, asked, &Session::none()).0).await;
        assert_eq!(
            session_of(&frame(&mut stream).await.unwrap()).timeout_ms,
            given
        );
    }
}

#[tokio::test]
async fn a_client_that_has_seen_more_is_not_let_in() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(
        &mut stream,
        &connect_request(1 << 50, 10_000, &Session::none()).0,
    )
    .await;
    assert_eq!(frame(&mut stream).await, None);
}

#[tokio::test]
async fn an_unknown_session_or_a_wrong_password_is_answered_as_expired() {
    let server = start().await;
    let mut known = Client::connect(server.address).await.session;
    known.password[3] ^= 1;
    let unknown = Session {
        id: 12_345,
        ..known.clone()
    };
    for session in [known, unknown] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        send(
            &mut stream,
            &connect_request(0, 10_000, &session).bool(false).0,
        )
        .await;
        let answer = session_of(&frame(&mut stream).await.expect("an answer"));
        assert_eq!(
            answer,
            Session {
                read_only: Some(false),
                ..Session::none()
            }
        );
        assert_eq!(frame(&mut stream).await, None);
    }
}

#[tokio::test]
async fn a_session_that_is_taken_over_keeps_its_ephemerals_and_its_first_connection_is_closed() {
    let server = start().await;
    let mut first = Client::connect(server.address).await;
    first.ask(1, CREATE, create("/e", b"", 1)).await;
    let mut second = Client::resume(server.address, &first.session)
        .await
        .expect("the same session");
    assert_eq!(second.session.id, first.session.id);
    assert_eq!(second.error(EXISTS, read("/e", false)).await, 0);
    assert_eq!(first.next().await, None);
    drop(first);
    assert_eq!(second.error(EXISTS, read("/e", true)).await, 0);
    let mut other = Client::connect(server.address).await;
    other.ask(1, SET_DATA, set("/e", b"x")).await;
    assert_eq!(second.next().await.unwrap().event(), (3, "/e".to_owned()));
}

#[tokio::test]
async fn a_session_is_closed_although_its_client_hangs_up_at_once() {
    let server = start().await;
    let mut watcher = Client::connect(server.address).await;
    for hurried in [false, true] {
        let began = std::time::Instant::now();
        let mut c = Client::connect(server.address).await;
        c.ask(1, CREATE, create("/e", b"", 1)).await;
        for xid in 0..20 {
            c.send(xid, GET_DATA, read("/e", false)).await;
            c.send(xid, SET_DATA, set("/e", b"x")).await;
        }
        c.send(30, CLOSE, body()).await;
        if hurried {
            drop(c);
        } else {
            while c.next().await.unwrap().xid != 30 {}
            assert_eq!(c.next().await, None);
        }
        // The end of a connection is not the end of its session, which alone takes the znode away.
        while watcher.error(EXISTS, read("/e", false)).await == 0 {
            assert!(began.elapsed() < PATIENCE, "the session lives on");
        }
    }
}

#[tokio::test]
async fn a_silent_session_ends_and_its_connection_with_it() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(&mut stream, &connect_request(0, 300, &Session::none()).0).await;
    let session = session_of(&frame(&mut stream).await.unwrap());
    assert_eq!(frame(&mut stream).await, None);
    assert!(Client::resume(server.address, &session).await.is_none());
}

#[tokio::test]
async fn a_server_that_only_reads_lets_in_who_only_reads() {
    let server = start().await;
    server.listener.set_read_only(true);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(
        &mut stream,
        &connect_request(0, 10_000, &Session::none()).bool(false).0,
    )
    .await;
    assert_eq!(frame(&mut stream).await, None);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(
        &mut stream,
        &connect_request(0, 10_000, &Session::none()).bool(true).0,
    )
    .await;
    let session = session_of(&frame(&mut stream).await.unwrap());
    assert_eq!(session.read_only, Some(true));
    let mut c = Client { stream, session };
    assert_eq!(c.error(CREATE, create("/a", b"", 0)).await, -119);
    assert_eq!(c.error(EXISTS, read("/", false)).await, 0);
}

#[tokio::test]
async fn a_listener_that_stops_closes_every_connection() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    tokio::time::timeout(PATIENCE, server.listener.stop())
        .await
        .expect("it stops");
    assert_eq!(c.next().await, None);
    drop(idle);
    sleep(Duration::from_millis(1)).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}
