//! A node as a process: its runtime, and the signals that end it.

use std::io;
use std::process;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::NodeError;
use crate::start::Node;

/// Exit code of a process that was interrupted.
const INTERRUPTED: i32 = 130;

/// A runtime with that many threads for requests; 0 is one for each core.
pub fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.thread_name("milena").enable_all().build()
}

/// Runs the node until SIGTERM or Ctrl-C, then stops it; a second one leaves at once, with
/// exit code 130. An error if the node failed by itself: it is stopped, too.
pub async fn run_until_told_to_stop(node: Node) -> Result<(), NodeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(NodeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeError::Signals)?;
    let outcome = tokio::select! {
        failure = node.failed() => {
            tracing::error!("{failure}");
            Err(failure)
        }
        _ = terminate.recv() => {
            tracing::info!("stopping, as SIGTERM asks");
            Ok(())
        }
        _ = interrupt.recv() => {
            tracing::info!("stopping; Ctrl-C again leaves at once");
            Ok(())
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        process::exit(INTERRUPTED);
    });
    node.stop().await;
    outcome
}
