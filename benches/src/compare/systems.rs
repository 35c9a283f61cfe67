//! The processes under comparison: started, found, stopped, killed, and gone when the comparison ends, also by Ctrl-C.

use crate::first_ack;
use anyhow::{Context, Result, ensure};
use milena_tests::guard::Guard;
use milena_tests::process::free_port;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take before it counts as failed.
pub(super) const START_MAX: Duration = Duration::from_secs(60);

/// A `milena serve` on a folder of its own.
#[derive(Debug)]
pub(super) struct Ours {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    http_port: u16,
    args: Vec<String>,
    child: Option<Child>,
    guard: Option<Guard>,
}

impl Ours {
    pub(super) fn new(programs: &Path, dir: &Path, args: &[String]) -> Self {
        let (port, http_port) = (free_port(), free_port());
        let (program, dir) = (programs.join("milena"), dir.to_owned());
        Self {
            program,
            dir,
            port,
            http_port,
            args: args.to_vec(),
            child: None,
            guard: None,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("Milena is not running")?.id())
    }

    /// Starts on what the data folder holds and does not wait; when it was started comes back.
    pub(super) fn start(&mut self) -> Result<Instant> {
        fs::create_dir_all(&self.dir)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let started = Instant::now();
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg("--data")
            .arg(self.data())
            .args(["--listen", &self.address()]);
        command
            .args(["--http-listen", &format!("127.0.0.1:{}", self.http_port)])
            .args(&self.args);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        self.guard = Some(killed_with_us(&child)?);
        self.child = Some(child);
        Ok(started)
    }

    /// Starts on an empty folder and waits until a record is acked.
    pub(super) fn start_fresh(&mut self) -> Result<()> {
        self.kill()?;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)?;
        }
        let started = self.start()?;
        self.wait(started, "first", true)?;
        Ok(())
    }

    /// Waits until a record is acked; a process that ended meanwhile is not waited for.
    pub(super) fn wait(&mut self, started: Instant, topic: &str, create: bool) -> Result<Duration> {
        let took = first_ack::wait(&self.address(), topic, create, started, START_MAX);
        let ended = self
            .child
            .as_mut()
            .and_then(|child| child.try_wait().ok().flatten());
        ensure!(
            ended.is_none(),
            "Milena ended ({}); see {}",
            ended.unwrap_or_default(),
            self.dir.join("log").display()
        );
        took
    }

    /// SIGTERM, and how long it took to leave.
    pub(super) fn stop(&mut self) -> Result<Duration> {
        let mut child = self.child.take().context("Milena is not running")?;
        self.guard = None;
        let started = Instant::now();
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let status = child.wait()?;
        ensure!(status.success(), "Milena left with {status} after SIGTERM");
        Ok(started.elapsed())
    }

    /// SIGKILL, if it runs.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.guard = None;
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(self.data());
    }
}

/// Kafka, by its script: `start` prints the address, `pids` the processes, `stop` ends them; `kill 1` and `restart 1` its one broker.
#[derive(Debug)]
pub(super) struct Kafka {
    script: PathBuf,
    address: String,
    stop: Guard,
}

impl Kafka {
    pub(super) fn start(script: &Path) -> Result<Self> {
        // Made first, so that a start that fails half way is stopped, too.
        let mut kafka = Self {
            script: script.to_owned(),
            address: String::new(),
            stop: Guard::new([script.as_os_str(), OsStr::new("stop")])?,
        };
        let printed = kafka.script(&["start"])?;
        let address = printed
            .lines()
            .last()
            .context("the script printed no address")?;
        address.trim().clone_into(&mut kafka.address);
        Ok(kafka)
    }

    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) fn pids(&self) -> Result<Vec<u32>> {
        let printed = self.script(&["pids"])?;
        printed
            .split_whitespace()
            .map(|pid| pid.parse().context("the script printed a pid that is none"))
            .collect()
    }

    /// Kills the broker; when it was started again comes back.
    pub(super) fn kill_and_restart(&self) -> Result<Instant> {
        self.script(&["kill", "1"])?;
        // The port is free once the process is gone.
        std::thread::sleep(Duration::from_millis(500));
        let started = Instant::now();
        self.script(&["restart", "1"])?;
        Ok(started)
    }

    fn script(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.script);
        command
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        if std::env::var_os("KAFKA_CONF").is_none() {
            // Deleted topics go at once, so that the next run uses their memory again.
            command.env("KAFKA_CONF", "log.segment.delete.delay.ms=100");
        }
        let output = command
            .output()
            .with_context(|| format!("cannot run {command:?}"))?;
        ensure!(output.status.success(), "{command:?} failed");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.stop.fire();
    }
}

/// A `floor serve`.
#[derive(Debug)]
pub(super) struct Floor {
    child: Child,
    _guard: Guard,
    dir: PathBuf,
    pub(super) address: String,
}

impl Floor {
    pub(super) fn start(mut command: Command, dir: &Path, files: usize) -> Result<Self> {
        command
            .args(["serve", "--files", &files.to_string(), "--dir"])
            .arg(dir);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let guard = killed_with_us(&child)?;
        let mut address = String::new();
        let printed = child.stdout.take().context("the floor has no output")?;
        BufReader::new(printed).read_line(&mut address)?;
        Ok(Self {
            child,
            _guard: guard,
            dir: dir.to_owned(),
            address: address.trim().to_owned(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Kills a child if this process is killed. Dropped before the child is waited for, as its id is another's afterwards.
fn killed_with_us(child: &Child) -> Result<Guard> {
    Ok(Guard::new(["kill", "-KILL", &child.id().to_string()])?)
}
