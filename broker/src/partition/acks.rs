//! What one Produce request still waits for: a count of partitions whose records are
//! not yet safe. Partitions complete it from sync threads; the connection
//! awaits it. One small lock and one waker, so that a sync that serves a thousand
//! requests costs a thousand stores and as many wake-ups as there are connections.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use protocol::error::ErrorCode;
use smallvec::SmallVec;

/// The acknowledgements that one request waits for.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By place in the answer, whether it is still waited for.
    waiting: SmallVec<[bool; 8]>,
    remaining: usize,
    /// The places in the answer whose append turned out to fail after all.
    failed: Vec<(u32, ErrorCode)>,
    waker: Option<Waker>,
}

impl Acks {
    /// The partition at `place` of the answer is to be waited for.
    pub(crate) fn expect(&self, place: u32) {
        let place = place as usize;
        let mut state = self.state.lock();
        if state.waiting.len() <= place {
            state.waiting.resize(place + 1, false);
        }
        if !std::mem::replace(&mut state.waiting[place], true) {
            state.remaining += 1;
        }
    }

    /// The partition at `place` of the answer is done.
    pub(crate) fn complete(&self, place: u32, result: Result<(), ErrorCode>) {
        let waker = {
            let mut state = self.state.lock();
            if let Some(waiting) = state.waiting.get_mut(place as usize)
                && std::mem::replace(waiting, false)
            {
                state.remaining -= 1;
                if let Err(code) = result {
                    state.failed.push((place, code));
                }
            }
            if state.remaining == 0 {
                state.waker.take()
            } else {
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits no longer: what is not done by now has timed out.
    pub(crate) fn give_up(&self) -> Vec<(u32, ErrorCode)> {
        let mut state = self.state.lock();
        let late: Vec<_> = state
            .waiting
            .iter()
            .zip(0..)
            .filter(|(waiting, _)| **waiting)
            .map(|(_, place)| (place, ErrorCode::RequestTimedOut))
            .collect();
        state.waiting.clear();
        state.remaining = 0;
        state.failed.extend(late);
        state.take_failed()
    }

    /// Completes when every expected partition is done; gives the places that failed, in
    /// order.
    pub(crate) async fn done(&self) -> Vec<(u32, ErrorCode)> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The same, for who polls many.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Vec<(u32, ErrorCode)>> {
        let mut state = self.state.lock();
        if state.remaining == 0 {
            return Poll::Ready(state.take_failed());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn take_failed(&mut self) -> Vec<(u32, ErrorCode)> {
        self.failed.sort_unstable_by_key(|(place, _)| *place);
        std::mem::take(&mut self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn it_is_done_when_the_last_partition_is_and_tells_which_failed() {
        let acks = Arc::new(Acks::default());
        acks.expect(0);
        acks.expect(1);
        let waiter = Arc::clone(&acks);
        let waiting = tokio::spawn(async move { waiter.done().await });
        acks.complete(1, Err(ErrorCode::KafkaStorageError));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        acks.complete(0, Ok(()));
        assert_eq!(
            waiting.await.unwrap(),
            vec![(1, ErrorCode::KafkaStorageError)]
        );
    }

    #[test]
    fn what_is_late_has_timed_out_and_what_was_done_has_not() {
        let acks = Acks::default();
        (0..3).for_each(|place| acks.expect(place));
        acks.complete(2, Err(ErrorCode::KafkaStorageError));
        acks.complete(0, Ok(()));
        let expected = vec![
            (1, ErrorCode::RequestTimedOut),
            (2, ErrorCode::KafkaStorageError),
        ];
        assert_eq!(acks.give_up(), expected);
    }

    #[tokio::test]
    async fn nothing_to_wait_for_is_done_at_once() {
        assert!(Acks::default().done().await.is_empty());
    }
}
