//! A node as a process: its runtime, and the signals that end it.

use std::future;
use std::io;
use std::process;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::error::NodeError;
use crate::start::Node;

/// Exit code of a process that was interrupted.
const INTERRUPTED: i32 = 130;

const NO_PANIC: &str = "a start neither panics nor is cancelled";

/// How long a start that is to be given up is waited for, and after it the thread that does it.
pub(crate) const LEAVES_WITHIN: Duration = Duration::from_millis(800);

/// Runs a node until SIGTERM or Ctrl-C, then stops it; a second one leaves at once, with exit
/// code 130. `started` is called once it takes records. An error if it does not start, or
/// failed by itself.
pub fn run(config: Config, started: impl FnOnce(&Node)) -> Result<(), NodeError> {
    let mut builder = Builder::new_multi_thread();
    if config.threads > 0 {
        builder.worker_threads(config.threads);
    }
    let built = builder.thread_name("milena").enable_all().build();
    let runtime = built.map_err(NodeError::Runtime)?;
    let outcome = runtime.block_on(async {
        let signals = Signals::listen().map_err(NodeError::Runtime)?;
        run_until_told_to_stop(config, signals, started).await
    });
    runtime.shutdown_timeout(LEAVES_WITHIN);
    outcome
}

async fn run_until_told_to_stop(
    config: Config,
    mut signals: Signals,
    started: impl FnOnce(&Node),
) -> Result<(), NodeError> {
    // On a task of its own, so that a long recovery does not keep signals from being heard.
    let mut start = tokio::spawn(Node::start(config));
    let asked = tokio::select! {
        started = &mut start => Ok(started),
        name = signals.next() => Err(name),
    };
    let node = match asked {
        Ok(started) => started.expect(NO_PANIC)?,
        Err(name) => {
            tracing::info!("leaving before the start is done, as {name} asks");
            // What a start writes is as safe to leave as in a crash; but most are done soon.
            if let Ok(started) = tokio::time::timeout(LEAVES_WITHIN, start).await {
                started.expect(NO_PANIC)?.stop().await;
            }
            return Ok(());
        }
    };
    started(&node);
    let outcome = tokio::select! {
        failure = node.failed() => {
            tracing::error!("{failure}");
            Err(failure)
        }
        name = signals.next() => {
            tracing::info!("stopping, as {name} asks; again leaves at once");
            Ok(())
        }
    };
    tokio::spawn(async move {
        signals.next().await;
        process::exit(INTERRUPTED);
    });
    node.stop().await;
    outcome
}

/// The signals that ask a process to leave, heard from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub(crate) async fn next(&mut self) -> &'static str {
        let (signalled, name) = tokio::select! {
            signalled = self.terminate.recv() => (signalled, "SIGTERM"),
            signalled = self.interrupt.recv() => (signalled, "Ctrl-C"),
        };
        match signalled {
            Some(()) => name,
            // The runtime hears no more signals, as it ends.
            None => future::pending().await,
        }
    }
}
