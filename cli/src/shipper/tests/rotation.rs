//! Rotations: by renaming and by copytruncate, seen running, stopped, and half done.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use super::World;

#[test]
fn a_rename_loses_nothing_and_repeats_nothing() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log", "a.log.1");
    w.append("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.step();
    w.check(&["one", "two", "three", "four"]);
    assert!(w.names.iter().all(|name| name == "a.log"), "{:?}", w.names);
    // The writer may still hold the old file.
    w.append("a.log.1", "late\n");
    w.step();
    w.check(&["late"]);
    w.later(100);
    w.step();
    w.append("a.log.1", "very late\n");
    w.step();
    w.check(&["very late"]);
}

#[test]
fn two_rotations_within_one_look_are_both_read() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log", "a.log.2");
    w.write("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.step();
    w.step();
    w.check(&["one", "two", "three", "four"]);
}

#[test]
fn two_rotations_while_stopped_are_both_read() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log.1", "old, from before we came\n");
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    w.rename("a.log.1", "a.log.3");
    w.rename("a.log", "a.log.2");
    w.write("a.log.1", "three\n");
    w.write("a.log", "four\n");
    w.restart();
    w.step();
    w.step();
    w.check(&["one", "two", "three", "four"]);
    w.restart();
    w.step();
    w.check(&[]);
}

#[test]
fn rotated_files_that_the_pattern_names_are_not_read_again() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    for i in 0..5 {
        w.rename("a.log", &format!("a.log.{i}"));
        w.write("a.log", format!("new {i}\n"));
        if i % 2 == 0 {
            w.restart();
        }
        w.step();
        w.later(40);
    }
    w.check(&["one", "new 0", "new 1", "new 2", "new 3", "new 4"]);
}

#[test]
fn copytruncate_to_smaller_equal_and_larger_is_seen_running_and_stopped() {
    for stopped in [false, true] {
        for then in ["n\n", "xxx\nyyy\n", "one\nnot two, and longer\n"] {
            let mut w = World::new(&["a.log"]);
            w.write("a.log", "one\ntwo\n");
            w.step();
            w.copytruncate("a.log", "a.log.1", then);
            if stopped {
                w.restart();
            }
            w.step();
            w.step();
            let mut expected = vec!["one", "two"];
            expected.extend(then.lines());
            w.check(&expected);
        }
    }
}

#[test]
fn a_copy_that_the_pattern_names_goes_on_where_the_original_was_left() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "written after the last read\n");
    w.copytruncate("a.log", "a.log.1", "new\n");
    w.step();
    w.step();
    w.check(&["one", "written after the last read", "new"]);
    // The copy is seen before the original is truncated.
    fs::copy(w.path("a.log"), w.path("a.log.2")).unwrap();
    w.step();
    w.write("a.log", "");
    w.step();
    w.later(10);
    w.step();
    w.check(&[]);
}

#[test]
fn an_unfinished_line_waits_for_its_end_across_a_rotation() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "beg");
    w.step();
    w.rename("a.log", "a.log.1");
    w.write("a.log", "new\n");
    w.step();
    w.check(&["new"]);
    w.append("a.log.1", "un and done\n");
    w.step();
    w.check(&["begun and done"]);
}

#[test]
fn two_rotations_are_read_also_where_a_rotated_file_that_we_know_stood() {
    for stopped in [false, true] {
        let mut w = World::new(&["a.log"]);
        w.write("a.log", "one\n");
        w.step();
        w.rename("a.log", "a.log.1");
        w.write("a.log", "two\n");
        w.step();
        w.check(&["one", "two"]);
        // The middle one now stands where one stood that was followed.
        w.rename("a.log.1", "a.log.3");
        w.append("a.log", "three\n");
        w.rename("a.log", "a.log.2");
        w.write("a.log.1", "four\n");
        w.write("a.log", "five\n");
        if stopped {
            w.restart();
        }
        w.step();
        w.step();
        w.check(&["three", "four", "five"]);
    }
}

#[test]
fn a_rotation_between_a_look_and_what_it_leads_to_loses_nothing() {
    for stopped in [false, true] {
        let mut w = World::new(&["a.log"]);
        w.write("a.log", "one\n");
        w.step();
        w.append("a.log", "two\n");
        if stopped {
            w.restart();
        }
        let seen = w.follower.look(w.now);
        w.rename("a.log", "a.log.1");
        w.write("a.log", "new, and longer than the old one\n");
        w.follower.follow_up(&seen, w.now);
        w.read();
        w.step();
        w.step();
        w.check(&["one", "two", "new, and longer than the old one"]);
    }
}

#[test]
fn a_new_file_that_moves_before_it_is_opened_is_read() {
    let mut w = World::new(&["a.log"]);
    w.step();
    w.write("a.log", "one\n");
    let seen = w.follower.look(w.now);
    w.rename("a.log", "a.log.1");
    w.write("a.log", "two\n");
    w.follower.follow_up(&seen, w.now);
    w.read();
    w.step();
    w.step();
    w.check(&["one", "two"]);
}

#[test]
fn what_copytruncate_took_from_a_plain_path_unread_is_read_from_the_copy() {
    for stopped in [false, true] {
        for then in [
            "",
            "n\n",
            "other, and much longer than all that was there\n",
        ] {
            let mut w = World::new(&["a.log"]);
            w.write("a.log.1", "from before we came\n");
            w.write("a.log", "one\n");
            w.step();
            w.append("a.log", "two\nthree\n");
            w.rename("a.log.1", "a.log.2");
            w.copytruncate("a.log", "a.log.1", then);
            if stopped {
                w.restart();
            }
            for _ in 0..3 {
                w.step();
            }
            let mut expected = vec!["one", "two", "three"];
            expected.extend(then.lines());
            w.check(&expected);
            // The copy is rotated away like any other.
            w.rename("a.log.1", "a.log.2");
            w.append("a.log.2", "late\n");
            w.step();
            w.step();
            w.check(&["late"]);
        }
    }
}

#[test]
fn a_copy_begins_where_its_original_was_shipped_and_not_where_it_was_read() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    let _lost = w.follower.read(w.now);
    w.copytruncate("a.log", "a.log.1", "three\n");
    w.scan();
    w.restart();
    w.step();
    w.step();
    w.check(&["one", "two", "three"]);
}

#[test]
fn lines_under_way_while_their_file_is_truncated_come_once() {
    let mut w = World::new(&["a.log*"]);
    w.write("a.log", "one\n");
    w.step();
    w.append("a.log", "two\n");
    let batch = w.follower.read(w.now);
    w.copytruncate("a.log", "a.log.1", "three\n");
    w.scan();
    w.ship(&batch);
    w.restart();
    w.step();
    w.step();
    w.check(&["one", "two", "three"]);
}

#[test]
fn what_an_empty_file_held_and_lost_between_two_looks_is_read_from_the_copy() {
    for (stopped, then) in [
        (false, ""),
        (true, ""),
        (false, "three\n"),
        (true, "three\n"),
    ] {
        let mut w = World::new(&["a.log"]);
        // The clocks of file systems are coarse.
        let begin = SystemTime::now() - Duration::from_secs(100);
        let at = |w: &World, name: &str, second| {
            let file = fs::File::options().append(true).open(w.path(name));
            let time = begin + Duration::from_secs(second);
            file.unwrap().set_modified(time).unwrap();
        };
        w.write("a.log", "");
        at(&w, "a.log", 0);
        w.step();
        w.append("a.log", "two\n");
        w.copytruncate("a.log", "a.log.1", then);
        at(&w, "a.log.1", 1);
        at(&w, "a.log", 2);
        w.read();
        if stopped {
            w.restart();
        }
        w.step();
        w.step();
        let mut expected = vec!["two"];
        expected.extend(then.lines());
        w.check(&expected);
    }
}

#[test]
fn a_file_that_was_empty_is_read_after_the_next_look_or_once_it_has_no_name() {
    let mut w = World::new(&["a.log"]);
    w.write("a.log", "");
    w.step();
    assert!(!w.follower.wants_look());
    w.append("a.log", "one\n");
    assert!(w.follower.wants_look());
    w.step();
    assert!(!w.follower.wants_look());
    w.check(&["one"]);
    w.write("a.log", "");
    w.step();
    let mut held = fs::File::options()
        .append(true)
        .open(w.path("a.log"))
        .unwrap();
    fs::remove_file(w.path("a.log")).unwrap();
    w.step();
    held.write_all(b"two\n").unwrap();
    w.step();
    w.check(&["two"]);
}
