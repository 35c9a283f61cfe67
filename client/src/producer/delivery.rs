//! What became of a record: one shared answer for a whole batch, awaited record by record.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::ProduceError;
use crate::TopicPartition;

/// Where a delivered record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition it was appended to.
    pub partition: TopicPartition,
    /// Its offset; -1 where the broker does not tell (acks=0, or a duplicate of old).
    pub offset: i64,
    /// The broker's timestamp in milliseconds since 1970, where the topic says LogAppendTime.
    pub append_time: Option<i64>,
}

/// The outcome of a record that was handed to [`Producer::send`](super::Producer::send), when
/// it is known. Dropping it changes nothing: the record is sent all the same.
#[derive(Debug)]
pub struct Delivery {
    outcome: Arc<Outcome>,
    /// The record's place in its batch.
    index: u32,
    /// Where this one's waker is.
    waiting_at: Option<usize>,
}

impl Delivery {
    pub(super) fn new(outcome: Arc<Outcome>, index: u32) -> Self {
        Self {
            outcome,
            index,
            waiting_at: None,
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut state = this.outcome.state.lock();
        match &state.result {
            Some(Ok(acked)) => Poll::Ready(Ok(Delivered {
                partition: this.outcome.partition.clone(),
                offset: match acked.base_offset {
                    ..0 => -1,
                    base => base + i64::from(this.index),
                },
                append_time: acked.append_time,
            })),
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            None => {
                match this.waiting_at {
                    Some(at) => state.wakers[at].clone_from(cx.waker()),
                    None => {
                        this.waiting_at = Some(state.wakers.len());
                        state.wakers.push(cx.waker().clone());
                    }
                }
                Poll::Pending
            }
        }
    }
}

/// What a broker said of a batch that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) base_offset: i64,
    pub(super) append_time: Option<i64>,
}

/// A batch's result, and who waits for it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) partition: TopicPartition,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<Acked, ProduceError>>,
    wakers: Vec<Waker>,
}

impl Outcome {
    pub(super) fn new(partition: TopicPartition) -> Arc<Self> {
        Arc::new(Self {
            partition,
            state: Mutex::default(),
        })
    }

    /// Tells all that wait, once.
    pub(super) fn settle(&self, result: Result<Acked, ProduceError>) {
        let wakers = {
            let mut state = self.state.lock();
            debug_assert!(state.result.is_none(), "a batch has one outcome");
            state.result = Some(result);
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}
