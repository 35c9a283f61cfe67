//! What keeps a node from starting, each with a sentence; and how it leaves.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use milena_tests::load::{Load, Plan};
use milena_tests::process::{Spec, free_port, left_cleanly};
use milena_tests::raw::batch;
use protocol::records::BatchIdentity;

/// Starts in vain, and says so in a sentence with these parts.
fn assert_refused(spec: &Spec, parts: &[&str]) {
    let (status, said) = spec.start_in_vain();
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
    let record = batch(&["fine"], &BatchIdentity::default());
    assert_eq!(node.connect().must_produce("t", 0, record), 0);
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    spec.start().stop();
    let meta = spec.data.join("logs/meta.properties");
    let good = fs::read_to_string(&meta).unwrap();
    let newer = good.replace("milena.format=1", "milena.format=77");
    assert_ne!(newer, good);
    fs::write(&meta, &newer).unwrap();
    assert_refused(&spec, &["77", "newer version"]);
    assert_eq!(fs::read_to_string(&meta).unwrap(), newer);
    fs::write(&meta, good).unwrap();
    spec.start();
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
fn a_port_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    let taken = TcpListener::bind(("127.0.0.1", spec.port)).unwrap();
    let address = format!("127.0.0.1:{}", spec.port);
    assert_refused(&spec, &["cannot listen on", &address, "--listen"]);
    drop(taken);
    let taken = TcpListener::bind(("127.0.0.1", spec.http_port)).unwrap();
    let address = format!("127.0.0.1:{}", spec.http_port);
    assert_refused(&spec, &["HTTP", &address, "--http-listen"]);
    drop(taken);
    spec.start();
}

#[test]
fn a_host_that_does_not_resolve_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, other) in [("--listen", "--http-listen"), ("--http-listen", "--listen")] {
        let data = folder.path().join(flag);
        let args = [
            flag.to_owned(),
            "no-such-host.invalid:9092".to_owned(),
            other.to_owned(),
            format!("127.0.0.1:{}", free_port()),
        ];
        let output = std::process::Command::new(milena_tests::process::program())
            .args(["serve", "--data"])
            .arg(&data)
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        for part in ["cannot resolve", "no-such-host.invalid:9092", "/etc/hosts"] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
    }
}

#[test]
fn a_folder_that_cannot_be_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = Spec::new(folder.path());
    spec.data = folder.path().join("file/data");
    fs::write(folder.path().join("file"), "no folder").unwrap();
    assert_refused(&spec, &["cannot use the data folder", "--data"]);
}

#[test]
fn a_wrong_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, part) in [
        ("num.partitions=none", "num.partitions"),
        ("no.such.setting=1", "no.such.setting"),
    ] {
        let mut spec = Spec::new(folder.path());
        spec.args = vec!["--set".to_owned(), setting.to_owned()];
        assert_refused(&spec, &[part]);
    }
}

#[test]
fn sigterm_under_load_ends_it_cleanly_within_two_seconds() {
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
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    let _ = waiting.join();
    assert!(spec.data.join("logs/.kafka_cleanshutdown").exists());
    let node = spec.start();
    load.wait_for_acks(20);
    let history = load.finish();
    for partition in 0..8 {
        let log = node.connect().read_all("t", partition).unwrap();
        let records = log
            .iter()
            .map(|record| (record.offset, record.value.as_deref().unwrap_or_default()));
        let found = history.check(partition, records);
        assert!(found.is_empty(), "{}", found[0]);
    }
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
        assert!(took < Duration::from_secs(3), "it took {took:?}");
        node.kill();
    }
}
