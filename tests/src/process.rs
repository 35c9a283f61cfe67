//! A node as a child process: built once, started on ports and a folder of its own, told to stop
//! or killed where it stands.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::raw::Connection;
use crate::wait;

/// The program under test: the one that `MILENA` names, or this workspace's, built now in the
/// profile that this test was built in.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("MILENA") {
        // A relative one starts where cargo was called, which is not where it runs tests.
        Some(given) => Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(given),
        None => build().unwrap_or_else(|reason| {
            panic!("no milena to test: {reason} (MILENA=path names one that is built)")
        }),
    })
}

fn build() -> Result<PathBuf, String> {
    // The test is target/PROFILE/deps/NAME.
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .ok_or("the test lies in no target folder")?;
    let target = folder.parent().ok_or("the test lies in no target folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "milena-cli",
            "--bin",
            "milena",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if !built.success() {
        return Err("cargo build --package milena-cli --bin milena fails".to_owned());
    }
    Ok(folder.join("milena"))
}

/// A port of the loopback that nobody listens on. It is none of those that the system gives to
/// outgoing connections, so that nobody takes it while a node is down.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + start.wrapping_add(step) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
}

/// How a node is to run. The same spec starts it again after a crash.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its data folder.
    pub data: PathBuf,
    /// Its Kafka port.
    pub port: u16,
    /// Its HTTP port.
    pub http_port: u16,
    /// Further arguments of `milena serve`.
    pub args: Vec<String>,
    /// What it logs.
    pub log: PathBuf,
    /// A program that is given the node's command line and becomes the node.
    pub through: Option<PathBuf>,
}

impl Spec {
    /// A node in `folder`, which outlives it.
    pub fn new(folder: &Path) -> Self {
        Self {
            data: folder.join("data"),
            port: free_port(),
            http_port: free_port(),
            args: Vec::new(),
            log: folder.join("node.log"),
            through: None,
        }
    }

    /// Where its Kafka port is.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn command(&self) -> Command {
        // A node does not outlive the test that started it, also where that is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.through)
            .arg(program())
            .args(["serve", "--data"])
            .arg(&self.data)
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--http-listen")
            .arg(format!("127.0.0.1:{}", self.http_port))
            .args(&self.args)
            .stdin(Stdio::null());
        command
    }

    /// Starts the process and does not wait for it.
    pub fn spawn(&self) -> Node {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        let child = self
            .command()
            .stdout(log.try_clone().expect("a descriptor for the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv, of util-linux, does not run: {error}"));
        Node {
            child,
            spec: self.clone(),
        }
    }

    /// Starts it and waits until it takes records.
    ///
    /// # Panics
    /// With what it logged if it leaves instead.
    pub fn start(&self) -> Node {
        self.try_start().unwrap_or_else(|(status, said)| {
            panic!("the node left with {status}:\n{}", tail(&said));
        })
    }

    /// Starts it and waits until it takes records, or until it has left, with what it said.
    pub fn try_start(&self) -> Result<Node, (ExitStatus, String)> {
        let before = self.logged().len();
        let mut node = self.spawn();
        let what = format!(
            "readiness of the node, which logs to {}",
            self.log.display()
        );
        let left = wait::until(&what, || {
            if let Ok(Some(status)) = node.child.try_wait() {
                return Some(Some(status));
            }
            let is_ready = node.http("/readyz").is_ok_and(|(status, _)| status == 200);
            is_ready.then_some(None)
        });
        match left {
            None => Ok(node),
            Some(status) => Err((status, self.logged().split_off(before))),
        }
    }

    /// All that its runs have logged.
    pub fn logged(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A running node; killed when dropped.
pub struct Node {
    child: Child,
    spec: Spec,
}

impl Node {
    /// How it was started.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.spec.address()).expect("the node takes connections")
    }

    /// kill -9.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the node is a child that was not waited for");
    }

    /// SIGSTOP, until no thread of it runs any more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        wait::until("every thread of the node stands still", || {
            let mut threads = fs::read_dir(&tasks).ok()?;
            threads
                .all(|thread| thread.is_ok_and(|thread| is_stopped(&thread.path())))
                .then_some(())
        });
    }

    /// SIGTERM, and how long it took to leave with what status.
    pub fn stop(mut self) -> (ExitStatus, Duration) {
        let began = std::time::Instant::now();
        self.signal(Signal::TERM);
        (self.wait_for_exit(), began.elapsed())
    }

    /// Waits until it has left by itself.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait::until("the node's exit", || self.child.try_wait().ok().flatten())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let kib = status.ok().and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        kib.expect("a running process has a VmRSS") * 1024
    }

    /// A page of its HTTP port: status and body.
    pub fn http(&self, path: &str) -> io::Result<(u16, String)> {
        http_get(self.spec.http_port, path)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a status is that of a clean exit.
pub fn left_cleanly(status: ExitStatus) -> bool {
    status.success() && status.signal().is_none()
}

fn is_stopped(task: &Path) -> bool {
    let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    state.starts_with('T')
}

fn tail(log: &str) -> &str {
    let mut from = log.len().saturating_sub(4000);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    &log[from..]
}

fn http_get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match status {
        Some(status) => Ok((status, body.to_owned())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
