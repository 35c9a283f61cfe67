//! What each kind of look leads to.

use super::*;

const HOLD: Duration = Duration::from_secs(5);

fn id(inode: u64) -> FileId {
    FileId { device: 1, inode }
}

fn known(key: Key, inode: u64, path: &str, content: &[u8]) -> Known {
    let mut place = Place::start();
    place.advance(content, content.len(), false);
    place.head = Mark::of(content);
    Known {
        key,
        id: id(inode),
        path: path.into(),
        name: Path::new(path).into(),
        place,
        shipped: place,
        open: false,
        rewritten: false,
        held_for: None,
        modified_ns: 100,
    }
}

fn seen(inode: u64, path: &str, content: &[u8]) -> Seen {
    Seen {
        path: path.into(),
        id: id(inode),
        size: content.len() as u64,
        modified_ns: 200,
        head: Some(content.to_vec()),
        how: How::Asked,
        held_for: Duration::ZERO,
    }
}

fn check(known: &[Known], seen: &[Seen], expected: &[Change]) {
    assert_eq!(changes(known, &[], seen, HOLD), expected);
}

fn sight(s: &Seen) -> Sight {
    Sight {
        path: s.path.clone(),
        id: s.id,
        size: s.size,
        modified_ns: s.modified_ns,
        head: s.head.as_deref().map(Mark::of),
        asked: s.how == How::Asked,
    }
}

fn same(key: Key, s: &Seen) -> Change {
    let sight = sight(s);
    Change::Same { key, sight }
}

fn rewritten(key: Key, s: &Seen) -> Change {
    let sight = sight(s);
    Change::Rewritten { key, sight }
}

fn new(s: &Seen) -> Change {
    Change::New {
        path: s.path.clone(),
        id: s.id,
        rotation_of: None,
    }
}

#[test]
fn a_file_that_grew_is_the_same() {
    let grown = seen(7, "a", b"one\ntwo\n");
    let expected = [same(1, &grown)];
    check(&[known(1, 7, "a", b"one\n")], &[grown], &expected);
}

#[test]
fn a_rename_with_a_new_file_in_its_place() {
    let s = [seen(8, "a", b"new\n"), seen(7, "a.1", b"one\n")];
    let expected = [same(1, &s[1]), new(&s[0])];
    check(&[known(1, 7, "a", b"one\n")], &s, &expected);
}

#[test]
fn a_shorter_file_in_the_same_inode_was_truncated() {
    for (was, is) in [
        (&b"one\ntwo\n"[..], &b"one\n"[..]),
        (b"one\n", b"uno\n"),
        (b"one\n", b"uno\ndos\n"),
    ] {
        let s = seen(7, "a", is);
        let expected = [rewritten(1, &s)];
        check(&[known(1, 7, "a", was)], &[s], &expected);
    }
}

#[test]
fn a_copy_is_held_until_its_original_is_truncated() {
    let k = [known(1, 7, "a", b"one\n")];
    let (original, copy) = (seen(7, "a", b"one\n"), seen(8, "a.1", b"one\n"));
    for how in [How::Asked, How::RotationOf("a".into())] {
        let copy = Seen {
            how,
            ..copy.clone()
        };
        let hold = Change::Hold {
            path: copy.path.clone(),
            id: copy.id,
            size: copy.size,
            rotation_of: (copy.how != How::Asked).then(|| "a".into()),
        };
        check(&k, &[original.clone(), copy], &[same(1, &original), hold]);
    }
    let truncated = seen(7, "a", b"");
    let copy_of = |else_new| Change::CopyOf {
        key: 1,
        path: "a.1".into(),
        id: id(8),
        else_new,
    };
    for how in [How::Asked, How::RotationOf("a".into())] {
        let older = Seen {
            how: how.clone(),
            modified_ns: 90,
            ..copy.clone()
        };
        let expected = [rewritten(1, &truncated), copy_of(how == How::Asked)];
        check(&k, &[truncated.clone(), older], &expected);
    }
    let mut late = copy;
    late.held_for = HOLD;
    let expected = [same(1, &original), new(&late)];
    check(&k, &[original, late], &expected);
}

#[test]
fn two_names_of_one_file_are_one_file() {
    let s = [seen(7, "link", b"x\n"), seen(7, "a", b"x\n")];
    check(&[], &s, &[new(&s[1])]);
    check(&[known(1, 7, "link", b"x\n")], &s, &[same(1, &s[0])]);
}

#[test]
fn a_rotation_made_while_we_were_away_is_found_by_its_time() {
    let k = [known(1, 7, "a", b"one\n")];
    let rotated = |inode, path: &str, modified_ns| Seen {
        how: How::RotationOf("a".into()),
        modified_ns,
        ..seen(inode, path, b"other\n")
    };
    let mut first = seen(7, "a.2", b"one\n");
    first.how = How::Remembered;
    let s = [
        seen(9, "a", b"3\n"),
        rotated(8, "a.1", 150),
        first,
        rotated(6, "a.3", 50),
    ];
    let unseen = Change::New {
        path: "a.1".into(),
        id: id(8),
        rotation_of: Some("a".into()),
    };
    check(&k, &s, &[same(1, &s[2]), unseen, new(&s[0])]);
}

#[test]
fn a_new_device_number_does_not_make_a_new_file() {
    let mut s = seen(7, "a", b"one\ntwo\n");
    s.id.device = 2;
    let expected = [same(1, &s)];
    check(&[known(1, 7, "a", b"one\n")], &[s], &expected);
}

#[test]
fn a_file_without_a_name_is_gone() {
    check(
        &[known(1, 7, "a", b"one\n")],
        &[],
        &[Change::Gone { key: 1 }],
    );
}

#[test]
fn names_of_rotations() {
    for (name, yes) in [
        ("/l/app.log.1", true),
        ("/l/app.log-20260131", true),
        ("/l/app.log.2026-01-31T10:00", true),
        ("/l/app.log.1.gz", false),
        ("/l/app.log-errors", false),
        ("/l/app.log", false),
        ("/l/app.logs.1", false),
    ] {
        assert_eq!(
            is_rotation_of(Path::new("/l/app.log"), Path::new(name)),
            yes,
            "{name}"
        );
    }
}
