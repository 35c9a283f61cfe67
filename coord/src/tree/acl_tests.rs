//! Who may do what, and what a list may be.

use super::perms::{ADMIN, CREATE, DELETE, READ, WRITE};
use super::*;

const RULES: Rules = Rules {
    skip_acl: false,
    no_digest: false,
    x509: true,
    enforce_quota: false,
    extended_types: false,
};

fn client(ids: &[(&str, &str)]) -> Caller {
    let ids = ids.iter().map(|(scheme, id)| Id::new(*scheme, *id));
    Caller::Client(Arc::new(ids.collect()))
}

#[test]
fn a_list_grants_what_one_of_its_lines_grants() {
    let list = AclList::of(vec![
        Acl::new(READ, "world", "anyone"),
        Acl::new(WRITE | CREATE, "digest", "bob:hash"),
        Acl::new(DELETE, "ip", "10.1.0.0/16"),
        Acl::new(ADMIN, "x509", "CN=ann"),
    ]);
    let table = [
        (client(&[("ip", "1.2.3.4")]), READ),
        (
            client(&[("ip", "10.1.9.9"), ("digest", "bob:hash")]),
            READ | WRITE | CREATE | DELETE,
        ),
        (
            client(&[("digest", "bob:other"), ("x509", "CN=ann")]),
            READ | ADMIN,
        ),
        (client(&[("super", "")]), ALL),
        (Caller::Service, ALL),
    ];
    for (caller, granted) in table {
        for perm in [READ, WRITE, CREATE, DELETE, ADMIN] {
            let may = list.permits(perm, &caller, RULES);
            assert_eq!(may, granted & perm != 0, "{caller:?} {perm}");
        }
    }
    let skip = Rules {
        skip_acl: true,
        ..RULES
    };
    assert!(list.permits(WRITE, &client(&[]), skip));
    assert!(AclList::OPEN.permits(ADMIN, &client(&[]), RULES));
}

#[test]
fn networks_are_matched_by_their_bits() {
    for (net, address, expected) in [
        ("10.0.0.0/8", "10.9.8.7", true),
        ("10.0.0.1/8", "10.9.8.7", true),
        ("10.0.0.0/9", "10.200.0.0", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false),
        ("0.0.0.0/0", "1.2.3.4", true),
        ("::1", "::1", true),
        ("2001:db8::/32", "2001:db8:1::5", true),
        ("2001:db8::/32", "2001:db9::5", false),
        ("::/0", "1.2.3.4", false),
    ] {
        assert_eq!(is_within(net, address), expected, "{net} {address}");
    }
    for bad in ["10.0.0", "10.0.0.1/33", "::1/129", "x", "", "10.0.0.1/-1"] {
        assert_eq!(network(bad), None, "{bad:?}");
    }
}

#[test]
fn a_list_asked_for_is_checked_and_auth_becomes_who_asks() {
    let bob = client(&[("ip", "1.2.3.4"), ("digest", "bob:hash"), ("super", "")]);
    let settled = |lines: &[(&str, &str)], caller: &Caller| {
        let asked: Vec<Acl> = lines.iter().map(|(s, i)| Acl::new(ALL, *s, *i)).collect();
        let list = settle("/a", &asked, caller, RULES);
        list.map(|list| list.lines().to_vec()).map_err(|e| e.code())
    };
    let invalid = Err(crate::ErrorCode::InvalidAcl);
    assert_eq!(
        settled(&[("auth", "")], &bob),
        Ok(vec![Acl::new(ALL, "digest", "bob:hash")])
    );
    assert_eq!(
        settled(&[("world", "anyone"), ("world", "anyone")], &bob),
        Ok(OPEN.to_vec())
    );
    for bad in [
        ("world", "everyone"),
        ("digest", "bob"),
        ("digest", "bob:"),
        ("digest", "a:b:c"),
        ("ip", "here"),
        ("x509", "ann"),
        ("sasl", "ann"),
        ("super", ""),
        ("", ""),
    ] {
        assert_eq!(settled(&[bad], &bob), invalid, "{bad:?}");
    }
    assert_eq!(settled(&[], &bob), invalid);
    let subject = [Acl::new(ALL, "x509", "CN=ann")];
    assert!(settle("/a", &subject, &bob, RULES).is_ok());
    let unknown = settle("/a", &subject, &bob, Rules::default());
    assert!(unknown.is_err(), "there is no TLS, and so no such scheme");
    assert_eq!(
        settled(&[("auth", "")], &client(&[("ip", "1.2.3.4")])),
        invalid
    );
}

#[test]
fn digests_are_veiled() {
    let lines = [Acl::new(ALL, "digest", "bob:hash"), OPEN[0].clone()];
    assert_eq!(
        veiled(&lines),
        [Acl::new(ALL, "digest", "bob:x"), OPEN[0].clone()]
    );
}

#[test]
fn lists_are_shared_and_forgotten_when_no_znode_holds_them() {
    let mut table = AclTable::default();
    let list = |n: usize| AclList::of(vec![Acl::new(READ, "digest", format!("u:{n}"))]);
    let (a, b) = (table.intern(&list(0)), table.intern(&list(0)));
    assert!(Arc::ptr_eq(a.0.as_ref().unwrap(), b.0.as_ref().unwrap()));
    for n in 0..1_000 {
        table.intern(&list(n));
    }
    assert!(table.lists.len() <= TABLE_MIN, "{}", table.lists.len());
    assert!(table.lists.contains(&a));
    assert_eq!(
        table.intern(&AclList::of(OPEN.to_vec())),
        AclList::OPEN,
        "the open list is nobody's"
    );
}

#[test]
fn a_list_does_not_grow_past_what_a_znode_may_hold() {
    let names: Vec<String> = (0..63)
        .map(|n| format!("{n}{}:hash", "u".repeat(1_000)))
        .collect();
    let ids: Vec<(&str, &str)> = names.iter().map(|name| ("digest", name.as_str())).collect();
    let many = client(&ids);
    let auth = |count: i32| -> Vec<Acl> { (0..count).map(|n| Acl::new(n, "auth", "")).collect() };
    let code = |asked: &[Acl], caller| settle("/a", asked, caller, RULES).map_err(|e| e.code());
    let invalid = crate::ErrorCode::InvalidAcl;
    assert!(code(&auth(1), &many).is_ok());
    assert_eq!(code(&auth(2), &many).unwrap_err(), invalid);
    let bob = client(&[("digest", "bob:hash")]);
    let most = i32::try_from(LINES_MAX).unwrap();
    assert!(code(&auth(most), &bob).is_ok());
    assert_eq!(code(&auth(most + 1), &bob).unwrap_err(), invalid);
    let long = [Acl::new(
        ALL,
        "digest",
        format!("u:{}", "x".repeat(BYTES_MAX)),
    )];
    assert_eq!(code(&long, &bob).unwrap_err(), invalid);
}
