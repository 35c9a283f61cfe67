//! The requests of a connection that are under way, in their order, and what becomes of
//! each.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use disk::RealDisk;
use protocol::{ApiKey, Encoded};
use tokio::time::Sleep;

use crate::api::Unacknowledged;
use crate::log::LogSlice;

/// The most requests under way on one connection.
const IN_FLIGHT_MAX: usize = 64;
/// Where the timer stands while nothing needs it.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// An answer with the parts of logs that go out with it.
#[derive(Default)]
pub(crate) struct Outgoing {
    pub(crate) encoded: Encoded,
    /// By the token that `encoded` names them by.
    pub(crate) slices: Vec<LogSlice<RealDisk>>,
}

impl From<Encoded> for Outgoing {
    fn from(encoded: Encoded) -> Self {
        Self {
            encoded,
            slices: Vec::new(),
        }
    }
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// It gets none: Produce with acks=0.
    Nothing,
    Now(Outgoing),
    /// Produce: when its records are safe. Not a boxed future, as there are so many.
    WhenSafe(Unacknowledged),
    Later(Pin<Box<dyn Future<Output = Outgoing> + Send>>),
    /// The connection ends, for this reason.
    Close(String),
}

/// A started request that is to be answered.
pub(super) struct Pending {
    pub(super) key: ApiKey,
    pub(super) started: Instant,
    pub(super) answer: Answer,
}

/// A request's answer, ready to be sent.
pub(super) struct Answered {
    pub(super) key: ApiKey,
    pub(super) started: Instant,
    pub(super) outgoing: Outgoing,
}

/// What is under way on one connection.
pub(super) struct Queue {
    pending: VecDeque<Pending>,
    /// For acknowledgements that may time out. Set only when it must ring earlier, as most
    /// come long before.
    timer: Pin<Box<Sleep>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep(FAR)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < IN_FLIGHT_MAX
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.pending.push_back(pending);
    }

    /// Takes the first request out once its answer is there. Nothing is lost if this is
    /// dropped before.
    pub(super) async fn next(&mut self) -> Answered {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Answered> {
        let Some(first) = self.pending.front_mut() else {
            return Poll::Pending;
        };
        let outgoing = match &mut first.answer {
            Answer::Now(outgoing) => std::mem::take(outgoing),
            Answer::Later(future) => ready!(future.as_mut().poll(context)),
            Answer::WhenSafe(records) => match records.poll(context) {
                Poll::Ready(outgoing) => outgoing,
                Poll::Pending => {
                    ready!(poll_deadline(&mut self.timer, records, context));
                    records.give_up()
                }
            },
            Answer::Nothing | Answer::Close(_) => {
                unreachable!("what gets no answer is not queued")
            }
        };
        let (key, started) = (first.key, first.started);
        self.pending.pop_front();
        Poll::Ready(Answered {
            key,
            started,
            outgoing,
        })
    }
}

/// Ready when the records' time is up.
fn poll_deadline(
    timer: &mut Pin<Box<Sleep>>,
    records: &Unacknowledged,
    context: &mut Context<'_>,
) -> Poll<()> {
    let Some(deadline) = records.deadline() else {
        return Poll::Pending;
    };
    loop {
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        // It may have rung for a request that was answered long ago.
        if tokio::time::Instant::now() >= deadline {
            timer.as_mut().reset(tokio::time::Instant::now() + FAR);
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}
