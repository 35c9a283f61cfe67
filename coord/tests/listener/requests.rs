//! Requests, their answers and their order.

use crate::client::{
    ADD_WATCH, AUTH, CHECK, CREATE, CREATE2, Client, DELETE, EXISTS, GET_CHILDREN, GET_DATA, MULTI,
    PING, RECONFIG, SET_DATA, SYNC, WHO_AM_I, body, create, read, set,
};
use crate::start;

const STAT: usize = 68;

#[tokio::test]
async fn znodes_are_created_read_set_and_deleted() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    let created = c.ask(1, CREATE, create("/a", b"one", 0)).await;
    assert_eq!(
        (created.error, created.text(0).as_str(), created.body.len()),
        (0, "/a", 6)
    );
    let twice = c.ask(2, CREATE, create("/a", b"", 0)).await;
    assert_eq!((twice.error, twice.body.len()), (-110, 0));
    let child = c.ask(3, CREATE2, create("/a/n-", b"", 3)).await;
    assert_eq!(
        (child.text(0).as_str(), child.body.len()),
        ("/a/n-0000000000", 19 + STAT)
    );
    let got = c.ask(4, GET_DATA, read("/a", false)).await;
    assert_eq!((got.text(0).as_str(), got.body.len()), ("one", 7 + STAT));
    assert_eq!(
        &got.body[7..15],
        created.zxid.to_be_bytes(),
        "czxid is the header's zxid"
    );
    let names = c.ask(5, GET_CHILDREN, read("/a", false)).await;
    assert_eq!(
        (names.text(4).as_str(), names.body.len()),
        ("n-0000000000", 20)
    );
    assert_eq!(c.ask(6, SET_DATA, set("/a", b"two")).await.body.len(), STAT);
    assert_eq!(c.ask(7, EXISTS, read("/a", false)).await.body.len(), STAT);
    assert_eq!(c.error(EXISTS, read("/b", false)).await, -101);
    assert_eq!(c.error(DELETE, body().text("/a").int(-1)).await, -111);
    assert_eq!(c.error(DELETE, body().text("/a").int(7)).await, -103);
    assert_eq!(c.error(CREATE, create("a", b"", 0)).await, -8);
    assert_eq!(c.error(CREATE, create("/x", b"", 9)).await, -8);
    assert_eq!(
        c.error(CREATE, body().text("/x").bytes(b"").int(0).int(0))
            .await,
        -114
    );
    assert_eq!(c.ask(8, SYNC, body().text("/a")).await.text(0), "/a");
    let whoami = c.ask(9, WHO_AM_I, body()).await;
    assert_eq!(
        (whoami.text(4), whoami.text(10)),
        ("ip".to_owned(), "127.0.0.1".to_owned())
    );
    assert_eq!(c.ask(-2, PING, body()).await.error, 0);
    assert_eq!(
        c.error(RECONFIG, body().int(-1).int(-1).int(-1).long(-1))
            .await,
        -123
    );
}

#[tokio::test]
async fn answers_come_in_order_and_reads_see_the_writes_before_them() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    c.ask(0, CREATE, create("/a", b"", 0)).await;
    for n in 0..500 {
        let value = format!("{n}");
        c.send(3 * n + 1, SET_DATA, set("/a", value.as_bytes()))
            .await;
        c.send(3 * n + 2, GET_DATA, read("/a", false)).await;
        c.send(3 * n + 3, EXISTS, read("/none", false)).await;
    }
    let mut zxid = 0;
    for n in 0..1_500 {
        let reply = c.next().await.unwrap();
        assert_eq!(reply.xid, n + 1);
        assert!(reply.zxid >= zxid, "{} after {zxid}", reply.zxid);
        zxid = reply.zxid;
        if n % 3 == 1 {
            assert_eq!(reply.text(0), format!("{}", n / 3));
        }
    }
}

#[tokio::test]
async fn a_multi_gives_all_results_or_an_error_for_each() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    let op = |op: i32, inner: crate::client::Body| {
        let mut bytes = body().int(op).bool(false).int(-1);
        bytes.0.extend(inner.0);
        bytes
    };
    let multi = |ops: Vec<crate::client::Body>| {
        let mut all = body();
        for op in ops {
            all.0.extend(op.0);
        }
        all.int(-1).bool(true).int(-1)
    };
    let check = |path: &str, version| op(CHECK, body().text(path).int(version));
    let done = c
        .ask(
            1,
            MULTI,
            multi(vec![
                op(CREATE, create("/a", b"", 0)),
                check("/a", 0),
                op(SET_DATA, set("/a", b"x")),
            ]),
        )
        .await;
    assert_eq!(done.error, 0);
    assert_eq!(done.body.len(), (9 + 6) + 9 + (9 + STAT) + 9);
    let failed = c
        .ask(
            2,
            MULTI,
            multi(vec![
                op(CREATE, create("/b", b"", 0)),
                check("/a", 7),
                check("/a", 1),
            ]),
        )
        .await;
    assert_eq!(failed.error, 0, "the errors are in the results");
    let one = |code: i32| body().int(-1).bool(false).int(code).int(code).0;
    let end = body().int(-1).bool(true).int(-1).0;
    assert_eq!(
        failed.body,
        [one(0), one(-103), one(-2), end.clone()].concat()
    );
    assert_eq!(c.error(EXISTS, read("/b", false)).await, -101);
    assert_eq!(c.ask(3, MULTI, multi(vec![])).await.body, end);
    let not_a_write = multi(vec![op(GET_DATA, read("/a", false))]);
    assert_eq!(c.error(MULTI, not_a_write).await, -5);
}

#[tokio::test]
async fn an_event_comes_before_what_it_tells_of_can_be_read() {
    let server = start().await;
    let mut watcher = Client::connect(server.address).await;
    let mut writer = Client::connect(server.address).await;
    writer.ask(1, CREATE, create("/a", b"0", 0)).await;
    for n in 1..50 {
        watcher.ask(n, GET_DATA, read("/a", true)).await;
        let set = writer.ask(n, SET_DATA, set("/a", b"x")).await;
        watcher.send(1_000 + n, GET_DATA, read("/a", false)).await;
        let event = watcher.next().await.unwrap();
        assert_eq!(event.event(), (3, "/a".to_owned()));
        assert_eq!(event.zxid, set.zxid);
        assert_eq!(watcher.next().await.unwrap().xid, 1_000 + n);
    }
    let added = watcher.ask(7, ADD_WATCH, body().text("/a").int(1)).await;
    assert_eq!((added.error, added.body), (0, vec![0; 4]));
    writer.ask(7, CREATE, create("/a/b", b"", 1)).await;
    assert_eq!(
        watcher.next().await.unwrap().event(),
        (1, "/a/b".to_owned())
    );
    drop(writer);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_the_connection_goes_on() {
    let server = start().await;
    let mut c = Client::connect(server.address).await;
    assert_eq!(c.error(CREATE, body().int(2_000_000_000)).await, -5);
    assert_eq!(c.error(GET_DATA, body().text("/")).await, -5);
    assert_eq!(c.error(ADD_WATCH, body().text("/").int(7)).await, -5);
    assert_eq!(c.error(EXISTS, read("/", false)).await, 0);
    for op in [CHECK, 20, 102, 77, -10] {
        let mut c = Client::connect(server.address).await;
        assert_eq!(c.error(op, body().text("/").int(0)).await, -6, "{op}");
        assert_eq!(c.next().await, None, "{op}");
    }
    let mut c = Client::connect(server.address).await;
    let auth = |scheme: &str, auth: &[u8]| body().int(0).text(scheme).bytes(auth);
    assert_eq!(c.ask(-4, AUTH, auth("digest", b"u:p")).await.error, 0);
    assert_eq!(c.ask(-4, AUTH, auth("nosuch", b"")).await.error, -115);
    assert_eq!(c.next().await, None);
}
