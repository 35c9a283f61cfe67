//! Requests as clients send them, byte by byte, and answers as they expect them.

use bytes::{Bytes, BytesMut};

use super::super::jute::{JuteError, Reader, Writer};
use super::acl::SetAclRequest;
use super::admin::ReconfigRequest;
use super::connect::{ConnectRequest, ConnectResponse};
use super::multi::{MultiOp, MultiReadOp, MultiResult, encode_end};
use super::node::{CreateRequest, ReadRequest, SetDataRequest, VersionedRequest};
use super::session::AuthRequest;
use super::watch::{SetWatchesRequest, WatchRequest, encode_event};
use super::{OpCode, Request, stat};
use crate::{Acl, Stat, Zxid};

/// The bytes of a hex string; spaces are for people.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn decode(op: OpCode, text: &str) -> Result<Request, JuteError> {
    Request::decode(op, &mut Reader::new(Bytes::from(hex(text))))
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    out.to_vec()
}

fn owned(text: &str) -> String {
    text.to_owned()
}

const OPEN_ACL: &str = "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65";

fn create(ttl_ms: i64) -> CreateRequest {
    CreateRequest {
        path: owned("/a"),
        data: "hi".into(),
        acl: vec![open()],
        flags: 5,
        ttl_ms,
    }
}

fn open() -> Acl {
    Acl {
        perms: 31,
        scheme: owned("world"),
        id: owned("anyone"),
    }
}

fn versioned(version: i32) -> VersionedRequest {
    VersionedRequest {
        path: owned("/a"),
        version,
    }
}

fn read(watch: bool) -> ReadRequest {
    ReadRequest {
        path: owned("/a"),
        watch,
    }
}

fn watch(kind: i32) -> WatchRequest {
    WatchRequest {
        path: owned("/a"),
        kind,
    }
}

#[test]
fn every_request_is_read_and_cut_short_anywhere_it_is_refused() {
    let a = "00000002 2f61";
    let create_bytes = format!("{a} 00000002 6869 {OPEN_ACL} 00000005");
    let watches = "0000000000000007 00000001 00000002 2f61 00000000 00000001 00000002 2f62";
    let lasting = "00000000 00000002 00000002 2f63 00000002 2f64";
    let set_watches = SetWatchesRequest {
        relative_zxid: 7,
        data: vec![owned("/a")],
        children: vec![owned("/b")],
        ..SetWatchesRequest::default()
    };
    let multi = format!(
        "00000001 00 ffffffff {create_bytes} 00000015 00 ffffffff {create_bytes} 0000000000000009 \
         00000002 00 ffffffff {a} 00000003 00000005 00 ffffffff {a} 00000001 78 ffffffff \
         0000000d 00 ffffffff {a} 00000003 ffffffff 01 ffffffff"
    );
    let table = [
        (
            OpCode::Create,
            create_bytes.clone(),
            Request::Create(create(0)),
        ),
        (
            OpCode::Create2,
            create_bytes.clone(),
            Request::Create(create(0)),
        ),
        (
            OpCode::CreateTtl,
            format!("{create_bytes} 0000000000000009"),
            Request::Create(create(9)),
        ),
        (
            OpCode::Delete,
            format!("{a} ffffffff"),
            Request::Delete(versioned(-1)),
        ),
        (
            OpCode::Exists,
            format!("{a} 01"),
            Request::Exists(read(true)),
        ),
        (
            OpCode::GetData,
            format!("{a} 00"),
            Request::GetData(read(false)),
        ),
        (
            OpCode::SetData,
            format!("{a} 00000001 78 00000002"),
            Request::SetData(SetDataRequest {
                path: owned("/a"),
                data: "x".into(),
                version: 2,
            }),
        ),
        (OpCode::GetAcl, owned(a), Request::GetAcl(owned("/a"))),
        (
            OpCode::SetAcl,
            format!("{a} {OPEN_ACL} 00000004"),
            Request::SetAcl(SetAclRequest {
                path: owned("/a"),
                acl: vec![open()],
                version: 4,
            }),
        ),
        (
            OpCode::GetChildren2,
            format!("{a} 01"),
            Request::GetChildren(read(true)),
        ),
        (OpCode::Sync, owned(a), Request::Sync(owned("/a"))),
        (
            OpCode::Multi,
            multi,
            Request::Multi(vec![
                MultiOp::Create(OpCode::Create, create(0)),
                MultiOp::Create(OpCode::CreateTtl, create(9)),
                MultiOp::Delete(versioned(3)),
                MultiOp::SetData(SetDataRequest {
                    path: owned("/a"),
                    data: "x".into(),
                    version: -1,
                }),
                MultiOp::Check(versioned(3)),
            ]),
        ),
        (
            OpCode::MultiRead,
            format!("00000004 00 ffffffff {a} 01 00000008 00 ffffffff {a} 00 ffffffff 01 ffffffff"),
            Request::MultiRead(vec![
                MultiReadOp::GetData(read(true)),
                MultiReadOp::GetChildren(read(false)),
            ]),
        ),
        (
            OpCode::Reconfig,
            owned("ffffffff 00000001 31 ffffffff ffffffffffffffff"),
            Request::Reconfig(ReconfigRequest {
                joining: None,
                leaving: Some(owned("1")),
                members: None,
                version: -1,
            }),
        ),
        (
            OpCode::RemoveWatches,
            format!("{a} 00000003"),
            Request::RemoveWatches(watch(3)),
        ),
        (
            OpCode::AddWatch,
            format!("{a} 00000001"),
            Request::AddWatch(watch(1)),
        ),
        (
            OpCode::SetWatches,
            owned(watches),
            Request::SetWatches(set_watches.clone()),
        ),
        (
            OpCode::SetWatches2,
            format!("{watches} {lasting}"),
            Request::SetWatches(SetWatchesRequest {
                recursive: vec![owned("/c"), owned("/d")],
                ..set_watches
            }),
        ),
        (
            OpCode::Auth,
            owned("00000000 00000006 646967657374 00000003 613a62"),
            Request::Auth(AuthRequest {
                scheme: owned("digest"),
                auth: "a:b".into(),
            }),
        ),
        (
            OpCode::GetEphemerals,
            owned("ffffffff"),
            Request::GetEphemerals(None),
        ),
    ];
    for (op, bytes, request) in table {
        assert_eq!(decode(op, &bytes), Ok(request), "{op:?}");
        assert!(
            decode(op, &format!("{bytes} 00")).is_ok(),
            "{op:?}: what follows is passed over"
        );
        let all = hex(&bytes);
        for end in 0..all.len() {
            let cut = Bytes::copy_from_slice(&all[..end]);
            let refused = Request::decode(op, &mut Reader::new(cut));
            assert!(refused.is_err(), "{op:?} of {end} bytes gave {refused:?}");
        }
    }
}

#[test]
fn a_multi_of_what_is_no_write_is_refused() {
    let read = "00000004 00 ffffffff 00000002 2f61 01 ffffffff 01 ffffffff";
    assert_eq!(decode(OpCode::Multi, read), Err(JuteError::Number(4)));
    let write = "00000002 00 ffffffff 00000002 2f61 00000003 ffffffff 01 ffffffff";
    assert_eq!(decode(OpCode::MultiRead, write), Err(JuteError::Number(2)));
}

#[test]
fn a_connect_request_comes_with_and_without_its_last_byte() {
    let of_44 = "00000000 0000000000000005 00002710 0000000000000000 00000010 00000000000000000000000000000000";
    let connect = |text: &str| ConnectRequest::decode(&mut Reader::new(hex(text).into()));
    let request = ConnectRequest {
        last_zxid_seen: 5,
        timeout_ms: 10_000,
        resume: None,
        read_only: None,
    };
    assert_eq!(hex(of_44).len(), 44);
    assert_eq!(connect(of_44), Ok(request.clone()));
    let read_only = Some(true);
    assert_eq!(
        connect(&format!("{of_44} 01")),
        Ok(ConnectRequest {
            read_only,
            ..request.clone()
        })
    );
    let resumed = "00000000 0000000000000005 00002710 0000000000000007 00000003 616263 00";
    assert_eq!(
        connect(resumed),
        Ok(ConnectRequest {
            resume: Some((7, [0; 16])),
            read_only: Some(false),
            ..request
        }),
        "a password of another length is no password"
    );
    let response = |read_only| ConnectResponse {
        timeout_ms: 4_000,
        session: 7,
        password: [1; 16],
        read_only,
    };
    let expected = "00000000 00000fa0 0000000000000007 00000010 01010101010101010101010101010101";
    assert_eq!(written(|w| response(None).encode(w)), hex(expected));
    assert_eq!(
        written(|w| response(Some(false)).encode(w)),
        hex(&format!("{expected} 00"))
    );
}

#[test]
fn answers_and_events_are_written_as_clients_read_them() {
    let numbers = Stat {
        czxid: Zxid(1),
        mzxid: Zxid(2),
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 7,
        ephemeral_owner: 8,
        data_length: 9,
        num_children: 10,
        pzxid: Zxid(11),
    };
    let stat_bytes = "0000000000000001 0000000000000002 0000000000000003 0000000000000004 00000005 00000006 00000007 \
                      0000000000000008 00000009 0000000a 000000000000000b";
    assert_eq!(hex(stat_bytes).len(), stat::STAT_BYTES);
    let results = written(|w| {
        for result in [
            MultiResult::Path("/a"),
            MultiResult::PathAndStat("/a", &numbers),
            MultiResult::Deleted,
            MultiResult::Set(&numbers),
            MultiResult::Checked,
            MultiResult::Data(b"x", &numbers),
            MultiResult::Children(&[owned("b")]),
            MultiResult::Error(-2),
        ] {
            result.encode(w);
        }
        encode_end(w);
    });
    let expected = format!(
        "00000001 00 00000000 00000002 2f61 0000000f 00 00000000 00000002 2f61 {stat_bytes} 00000002 00 00000000 \
         00000005 00 00000000 {stat_bytes} 0000000d 00 00000000 00000004 00 00000000 00000001 78 {stat_bytes} \
         00000008 00 00000000 00000001 00000001 62 ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff"
    );
    assert_eq!(results, hex(&expected));
    assert_eq!(
        written(|w| encode_event(3, "/a", 9, w)),
        hex("ffffffff 0000000000000009 00000000 00000003 00000003 00000002 2f61")
    );
}

#[test]
fn every_number_of_an_operation_is_its_own() {
    for number in -200..200 {
        if let Some(op) = OpCode::of_number(number) {
            assert_eq!(op as i32, number);
        }
    }
    assert_eq!(
        OpCode::of_number(-10),
        None,
        "only the service creates sessions"
    );
    assert_eq!((-200..200).filter_map(OpCode::of_number).count(), 30);
}
