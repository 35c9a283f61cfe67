//! What was written comes back, and what was not is refused.

use proptest::prelude::*;

use super::*;

fn acl() -> impl Strategy<Value = AclList> {
    let line = (any::<i32>(), "[a-z]{0,5}", ".{0,5}").prop_map(|(p, s, i)| Acl::new(p, s, i));
    let lines = prop::collection::vec(line, 1..4).prop_map(AclList::of);
    prop_oneof![Just(AclList::OPEN), lines]
}

fn change() -> impl Strategy<Value = Change> {
    let data = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    prop_oneof![
        (".*", data(), any::<i64>(), any::<i32>(), acl()).prop_map(
            |(path, data, owner, parent_created, acl)| {
                Change::Create {
                    path: path.into(),
                    data,
                    owner,
                    parent_created,
                    acl,
                }
            }
        ),
        ".*".prop_map(|path| Change::Delete { path: path.into() }),
        (".*", data(), any::<i32>()).prop_map(|(path, data, version)| Change::Set {
            path: path.into(),
            data,
            version
        }),
        (".*", acl(), any::<i32>()).prop_map(|(path, acl, version)| Change::SetAcl {
            path: path.into(),
            acl,
            version
        }),
        Just(Change::Check),
    ]
}

fn record() -> impl Strategy<Value = SessionRecord> {
    any::<(u32, u64, u64, [u8; 16])>().prop_map(|(timeout_ms, member, incarnation, p)| {
        SessionRecord {
            timeout_ms,
            member,
            incarnation,
            password: Password(p),
        }
    })
}

fn body() -> impl Strategy<Value = TxnBody> {
    let closed =
        (any::<i64>(), prop::collection::vec(".*", 0..4)).prop_map(|(id, paths)| ClosedSession {
            id,
            paths: paths.into_iter().map(Into::into).collect(),
        });
    prop_oneof![
        (any::<i64>(), record()).prop_map(|(id, record)| TxnBody::OpenSession { id, record }),
        prop::collection::vec(closed, 0..4).prop_map(TxnBody::CloseSessions),
        prop::collection::vec(change(), 0..6).prop_map(TxnBody::Changes),
    ]
}

fn node() -> impl Strategy<Value = NodeRecord> {
    let data = prop::collection::vec(any::<u8>(), 0..40);
    let numbers = any::<(i64, [u64; 3], [i64; 2], [i32; 3])>();
    (".*", data, numbers, acl()).prop_map(|(path, data, (owner, z, t, n), acl)| NodeRecord {
        path,
        data: data.into(),
        owner,
        czxid: Zxid(z[0]),
        mzxid: Zxid(z[1]),
        pzxid: Zxid(z[2]),
        ctime: t[0],
        mtime: t[1],
        version: n[0],
        created: n[1],
        aversion: n[2],
        acl,
    })
}

#[test]
fn fields_of_later_versions_are_passed_over_unless_they_must_be_known() {
    let txn = Txn {
        zxid: Zxid(7),
        time: 1,
        session: 2,
        origin: Origin::default(),
        body: TxnBody::Changes(vec![Change::Check]),
    };
    for (tag, passes) in [(1, true), (127, true), (128, false)] {
        let mut bytes = encode_txn(&txn);
        bytes.push(tag);
        put_bytes(&mut bytes, b"what it means");
        assert_eq!(decode_txn(txn.zxid, &bytes).is_ok(), passes);
    }
    let record = SessionRecord::of_client(5, Password([3; 16]));
    let mut bytes = Vec::new();
    encode_session(&mut bytes, 1, &record);
    let len = bytes.len();
    bytes[len - 1] = 3;
    bytes.extend_from_slice(b"new");
    let mut r = Reader::new(&bytes);
    assert_eq!(decode_session(&mut r), Ok((1, record)));
    assert!(r.is_empty());
}

proptest! {
    #[test]
    fn a_transaction_comes_back_and_no_part_of_one_does(
        zxid: u64, time: i64, session: i64, origin: (u64, u64), body in body(), cut in 0.0_f64..1.0,
    ) {
        let origin = Origin { member: origin.0, request: origin.1 };
        let txn = Txn { zxid: Zxid(zxid), time, session, origin, body };
        let bytes = encode_txn(&txn);
        prop_assert_eq!(decode_txn(txn.zxid, &bytes), Ok(txn.clone()));
        let part = &bytes[..(bytes.len() as f64 * cut) as usize];
        prop_assert!(decode_txn(txn.zxid, part).is_err());
    }

    #[test]
    fn the_znodes_of_a_piece_come_back(nodes in prop::collection::vec(node(), 0..8), pick in 0_usize..8) {
        let mut nodes = nodes;
        // Some lists are shared.
        if let Some(acl) = nodes.first().map(|n| n.acl.clone()) {
            nodes.iter_mut().skip(pick).for_each(|n| n.acl = acl.clone());
        }
        let (mut bytes, mut acls) = (Vec::new(), PieceAcls::default());
        for node in &nodes {
            encode_node(&mut bytes, node, &mut acls);
        }
        let (mut r, mut acls) = (Reader::new(&bytes), PieceAcls::default());
        for node in nodes {
            prop_assert_eq!(decode_node(&mut r, &mut acls), Ok(node));
        }
        prop_assert!(r.is_empty());
    }

    #[test]
    fn noise_is_refused_or_read_but_never_trusted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_txn(Zxid(1), &bytes);
        let _ = decode_node(&mut Reader::new(&bytes), &mut PieceAcls::default());
        let _ = decode_session(&mut Reader::new(&bytes));
    }
}
