//! `milena serve` and `milena dev` as processes: signals, exit codes, and what they say.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use rustix::process::{Pid, Signal, kill_process};

/// Nothing here takes long; this only keeps a fault from hanging the tests.
const DEADLINE: Duration = Duration::from_secs(30);

fn milena(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milena"));
    // What is set where the tests run is none of theirs.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILENA_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> Output {
    milena(args).output().expect("milena runs")
}

fn serve(data: &Path) -> Vec<String> {
    let mut args = ["serve", "--listen", "127.0.0.1:0", "--http-listen"]
        .map(str::to_owned)
        .to_vec();
    args.extend(["127.0.0.1:0".to_owned(), "--data".to_owned()]);
    args.push(data.to_string_lossy().into_owned());
    args
}

fn spawn(args: &[String]) -> Child {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    milena(&args).spawn().expect("milena runs")
}

/// Reads lines until one holds `word`.
fn wait_for(from: &mut impl BufRead, word: &str) -> String {
    let mut line = String::new();
    while from.read_line(&mut line).expect("text") > 0 {
        if line.contains(word) {
            return line;
        }
        line.clear();
    }
    panic!("it ended without saying {word:?}");
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).expect("it runs");
}

/// The exit code, and how long it took to come.
fn ended(mut child: Child) -> (Option<i32>, Duration) {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return (status.code(), began.elapsed());
        }
        if began.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_signal_stops_it_cleanly_and_it_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    for how in [Signal::TERM, Signal::INT] {
        let mut child = spawn(&serve(dir.path()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let line = wait_for(&mut stderr, "is ready");
        let path = dir.path().canonicalize().unwrap();
        assert!(
            line.contains(&format!("data in {}", path.display())),
            "{line}"
        );
        signal(&child, how);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let (code, took) = ended(child);
        assert_eq!(code, Some(0), "{rest}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(dir.path().join("logs/.kafka_cleanshutdown").exists());
    }
}

#[test]
fn logs_are_json_where_programs_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = serve(dir.path());
    args.extend(["--log-format".to_owned(), "json".to_owned()]);
    let mut child = spawn(&args);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let line = wait_for(&mut stderr, "is ready");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["level"], "INFO");
    signal(&child, Signal::TERM);
    ended(child);
}

#[test]
fn what_cannot_be_is_a_sentence_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_string_lossy().into_owned();
    let output = run(&[
        "serve",
        "--listen",
        &address,
        "--http-listen",
        "127.0.0.1:0",
        "--data",
        &data,
        "--log",
        "off",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    expect![[r"
        milena: cannot listen on <address>: Address already in use (os error 98); another process may have the port (choose another with --listen)
    "]]
    .assert_eq(&said.replace(&address, "<address>"));

    let output = run(&["serve", "--set", "num.partitions=none"]);
    assert_eq!(output.status.code(), Some(1));
    expect![[r"
        milena: kafka.num.partitions in the flag --set: Invalid value none for configuration num.partitions: Not a number
    "]]
    .assert_eq(&String::from_utf8(output.stderr).unwrap());
}

#[test]
fn the_settings_in_force_are_printed_with_their_origin() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("milena.toml");
    std::fs::write(&file, "rack = \"a\"\n[kafka]\nnum.partitions = 3\n").unwrap();
    let output = milena(&[
        "serve",
        "--print-config",
        "--listen",
        "[::1]:9092",
        "--config",
    ])
    .arg(&file)
    .env("MILENA_KAFKA_LOG_RETENTION_HOURS", "1")
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed = printed.replace(&file.display().to_string(), "<file>");
    for line in [
        "listen = \"[::1]:9092\" # --listen",
        "rack = \"a\" # file <file>",
        "data = \"./milena-data\" # default",
        "\"num.partitions\" = 3 # file <file>",
        "\"log.retention.ms\" = 3600000 # MILENA_KAFKA_LOG_RETENTION_HOURS",
    ] {
        assert!(
            printed.lines().any(|l| l == line),
            "no {line:?} in:\n{printed}"
        );
    }
}

#[test]
fn dev_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = milena(&["dev"])
        .env("TMPDIR", tmp.path())
        .spawn()
        .expect("milena runs");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut stdout, "kcat -b 127.0.0.1:");
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1);
    signal(&child, Signal::INT);
    assert_eq!(ended(child).0, Some(0));
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
}
