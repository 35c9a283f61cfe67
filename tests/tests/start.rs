//! What keeps a node from starting on a folder that another one has, or had; how it leaves, and
//! how soon it is back. The other refusals are tested in `node/tests/node.rs`.

use std::fs;
use std::time::{Duration, Instant};

use milena_tests::load::{Load, Plan};
use milena_tests::process::{Spec, left_cleanly};
use milena_tests::raw::plain;

/// Starts in vain, and says so in a sentence with these parts.
fn assert_refused(spec: &Spec, parts: &[&str]) {
    let Err((status, said)) = spec.try_start() else {
        panic!("it starts");
    };
    assert!(!status.success(), "{status}: {said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_data_folder_in_use_is_refused_and_its_user_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = Spec::new(folder.path()).start();
    node.connect().make_topic("t", 1, &[]);
    let mut second = Spec::new(folder.path());
    second.log = folder.path().join("second.log");
    assert_refused(&second, &["in use by another process", "--data"]);
    let record = plain(&["fine"]);
    assert_eq!(node.connect().must_produce("t", 0, record), 0);
}

#[test]
fn the_logs_of_another_cluster_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    spec.start().stop();
    fs::remove_dir_all(spec.data.join("coord")).unwrap();
    assert_refused(&spec, &["holds the logs of cluster", "this is cluster"]);
}

#[test]
fn sigterm_under_load_ends_it_cleanly_and_soon() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    let node = spec.start();
    let mut connection = node.connect();
    connection.make_topic("t", 8, &[]);
    let load = Load::start(Plan {
        address: spec.address(),
        topic: "t".to_owned(),
        partitions: 8,
        acks: vec![-1, -1],
        seed: 1,
    });
    load.wait_for_acks(100);
    // A poll that would wait much longer, and a connection that is idle.
    let waiting = std::thread::spawn(move || connection.fetch("t", 0, 1 << 40, 60_000));
    let _idle = node.connect();
    let (status, took) = node.stop();
    assert!(left_cleanly(status), "{status}");
    // Far from the poll's minute, and from what a busy machine may add to the promised 2 seconds.
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    let _ = waiting.join();
    assert!(spec.data.join("logs/.kafka_cleanshutdown").exists());
    let node = spec.start();
    load.wait_for_acks(20);
    let history = load.finish();
    history.assert_well(&mut node.connect(), "t", 8);
}

/// Also after kill -9, when nothing may wait for the last run's session.
#[test]
fn a_start_waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    for _ in 0..3 {
        let began = Instant::now();
        let node = spec.start();
        let took = began.elapsed();
        // The last run's session would take 6 seconds to expire.
        assert!(took < Duration::from_secs(5), "it took {took:?}");
        node.kill();
    }
}
