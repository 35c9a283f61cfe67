//! What lines are handed to: the broker in the program, a list in tests.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

/// A line on its way.
#[derive(Debug, Clone)]
pub struct Line {
    /// The path under which its file was first found; `-` for standard input.
    pub path: Arc<Path>,
    /// The line without its end.
    pub value: Bytes,
    /// Only the beginning of a line that was over the limit.
    pub cut: bool,
}

/// Why lines cannot be handed over, ever: waiting would not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Takes lines, in order.
pub trait Sink: Send + 'static {
    /// Hands `lines` over and returns once all of them are safe, or have been refused one by one for what
    /// they are (and told so): how many were. Waits, however long, while the receiver is away.
    fn send(&mut self, lines: Vec<Line>) -> impl Future<Output = Result<u64, Refused>> + Send;
}
