//! Watches of clients on the wire: the order of events and answers, and what is never dropped.

use super::tests::{Conn, children, data, exists, open_acl, start};
use super::*;
use crate::ErrorCode;
use crate::perms::ALL;
use crate::tree::Acl;

#[tokio::test]
async fn an_event_comes_before_what_was_read_after_it() {
    let (_coord, handle) = start(WireConfig::default());
    let (mut a, mut b) = (Conn::new(&handle).await, Conn::new(&handle).await);
    assert_eq!(a.read(exists("/x", true)).await, Err(ErrorCode::NoNode));
    a.read(children("/", true)).await.unwrap();
    let add = |path: &str, recursive| Read::AddWatch {
        path: path.into(),
        recursive,
    };
    b.read(add("/", true)).await.unwrap();
    b.create("/x", &open_acl()).await.unwrap();
    assert_eq!(b.events, [(1, "/x".into())], "one's own, before the answer");
    a.read(data("/x", true)).await.unwrap();
    assert_eq!(a.events, [(1, "/x".into()), (4, "/".into())]);
    b.op(Op::set("/x", "2", None)).await.unwrap();
    b.op(Op::set("/x", "3", None)).await.unwrap();
    let Ok(Answer::Data(seen, _)) = a.read(data("/x", false)).await else {
        panic!()
    };
    assert_eq!(
        (seen, &a.events[..]),
        ("3".into(), &[(3, "/x".to_owned())][..])
    );
    // One watcher may hold several sorts on one path, and loses them one by one.
    a.read(add("/x", false)).await.unwrap();
    a.read(data("/x", true)).await.unwrap();
    let check = |kind| Read::CheckWatches {
        path: "/x".into(),
        kind,
    };
    let remove = |kind| Read::RemoveWatches {
        path: "/x".into(),
        kind,
    };
    a.read(check(WatcherType::Data)).await.unwrap();
    let none = Err(ErrorCode::NoWatcher);
    assert_eq!(a.read(check(WatcherType::Children)).await, none);
    a.read(remove(WatcherType::Data)).await.unwrap();
    assert_eq!(a.read(remove(WatcherType::Data)).await, none);
    a.read(check(WatcherType::Persistent)).await.unwrap();
    let stats = handle.wire().stats();
    assert_eq!(
        (
            stats.watches,
            stats.watched_paths,
            stats.watching_connections
        ),
        (2, 2, 2)
    );
    a.read(remove(WatcherType::Any)).await.unwrap();
    assert_eq!(a.read(check(WatcherType::Any)).await, none);
    drop(b);
    assert_eq!(
        handle.wire().stats().watches,
        0,
        "they end with a connection"
    );
}

#[tokio::test]
async fn an_event_is_kept_from_those_who_may_not_read_its_znode() {
    let (_coord, handle) = start(WireConfig::default());
    let (mut bob, mut eve) = (Conn::new(&handle).await, Conn::new(&handle).await);
    bob.open.connection.add_auth("digest", b"bob:pw").unwrap();
    let watch = || Read::AddWatch {
        path: "/".into(),
        recursive: true,
    };
    bob.read(watch()).await.unwrap();
    eve.read(watch()).await.unwrap();
    let auth = [Acl::new(ALL, "auth", "")];
    bob.create("/secret", &auth).await.unwrap();
    assert_eq!(bob.events.len(), 1);
    bob.create("/open", &open_acl()).await.unwrap();
    eve.read(Read::WhoAmI).await.unwrap();
    assert_eq!(eve.events, [(1, "/open".into())]);
}

#[tokio::test]
async fn watches_from_before_a_reconnection_tell_what_was_missed() {
    let (_coord, handle) = start(WireConfig::default());
    let (mut a, mut b) = (Conn::new(&handle).await, Conn::new(&handle).await);
    for path in ["/same", "/set", "/grown", "/gone"] {
        b.create(path, &open_acl()).await.unwrap();
    }
    let seen = handle.wire().zxid().0 as i64;
    b.op(Op::set("/set", "", None)).await.unwrap();
    b.create("/grown/child", &open_acl()).await.unwrap();
    b.op(Op::delete("/gone", None)).await.unwrap();
    b.create("/new", &open_acl()).await.unwrap();
    let paths = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
    let asked = SetWatches {
        relative_zxid: seen,
        data: paths(&["/same", "/set", "/gone"]),
        exist: paths(&["/new", "/never"]),
        children: paths(&["/same", "/grown", "/gone"]),
        persistent: paths(&["/same"]),
        recursive: paths(&["/p"]),
    };
    a.read(Read::SetWatches(asked)).await.unwrap();
    let told = [
        (3, "/set"),
        (2, "/gone"),
        (1, "/new"),
        (4, "/grown"),
        (2, "/gone"),
    ];
    assert_eq!(a.events, told.map(|(kind, path)| (kind, path.to_owned())));
    let watches = handle.wire().watches();
    assert_eq!(
        watches,
        [(a.open.session, paths(&["/never", "/p", "/same"]))]
    );
}

#[tokio::test]
async fn a_client_that_takes_no_events_away_is_cut_and_never_skips_one() {
    let (_coord, handle) = start(WireConfig {
        event_bytes_max: 1_000,
        watches_max: 2,
        ..WireConfig::default()
    });
    let (mut slow, mut busy) = (Conn::new(&handle).await, Conn::new(&handle).await);
    let watch = |path: &str| Read::AddWatch {
        path: path.into(),
        recursive: false,
    };
    slow.read(watch("/")).await.unwrap();
    slow.read(watch("/b")).await.unwrap();
    assert_eq!(slow.read(watch("/c")).await, Err(ErrorCode::BadArguments));
    for n in 0..20 {
        busy.create(&format!("/n{n}"), &open_acl()).await.unwrap();
    }
    assert!(matches!(
        slow.next().await,
        Outgoing::Ended(Ending::TooSlow)
    ));
    assert_eq!(handle.wire().stats().connections, 1);
    let stays = Conn::try_new(
        &handle,
        Some((slow.open.session, slow.open.password)),
        9_000,
    )
    .await;
    assert!(stays.is_ok(), "its session does not end");
}

#[tokio::test]
async fn watches_are_held_against_their_bytes_and_a_reconnection_without_all_of_them_ends() {
    let (_coord, handle) = start(WireConfig {
        watch_bytes_max: 10_000,
        ..WireConfig::default()
    });
    let mut c = Conn::new(&handle).await;
    let path = |n: usize| format!("/{n}{}", "x".repeat(2_000));
    assert_eq!(c.read(exists(&path(1), true)).await, Err(ErrorCode::NoNode));
    assert_eq!(c.read(exists(&path(2), true)).await, Err(ErrorCode::NoNode));
    let bad = Err(ErrorCode::BadArguments);
    assert_eq!(c.read(exists(&path(3), true)).await, bad);
    let long = format!("/{}", "x".repeat(5_000));
    assert_eq!(c.read(exists(&long, true)).await, bad);
    let resume = (c.open.session, c.open.password);
    let mut c = Conn::try_new(&handle, Some(resume), 9_000).await.unwrap();
    let asked = SetWatches {
        exist: (1..4).map(path).collect(),
        ..SetWatches::default()
    };
    let token = Token {
        tag: 1,
        received: std::time::Instant::now(),
    };
    c.open.connection.read(token, Read::SetWatches(asked));
    let ended = c.next().await;
    assert!(matches!(ended, Outgoing::Ended(Ending::TooManyWatches)));
    assert_eq!(handle.wire().stats().watches, 0);
    assert_eq!(handle.wire().stats().sessions, 1);
}
