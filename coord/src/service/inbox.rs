//! A thread's queue of what it has to do. Pushing never waits; bounding what is under way is the pusher's business.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A queue with one reader, who takes everything at once: that is what groups many requests into one sync.
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    items: Vec<T>,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Inbox<T> {
        let state = State {
            items: Vec::new(),
            closed: false,
        };
        Inbox {
            state: Mutex::new(state),
            arrived: Condvar::new(),
        }
    }

    /// Adds an item; a closed inbox drops it.
    pub(crate) fn push(&self, item: T) {
        self.extend([item]);
    }

    pub(crate) fn extend(&self, items: impl IntoIterator<Item = T>) {
        let mut state = self.state.lock();
        if !state.closed {
            state.items.extend(items);
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// Waits for something, or for so long, and takes all there is into the empty `taken`.
    pub(crate) fn take(&self, wait: Option<Duration>, taken: &mut Vec<T>) {
        let mut state = self.state.lock();
        if state.items.is_empty() {
            match wait {
                Some(wait) => {
                    self.arrived.wait_for(&mut state, wait);
                }
                None => self.arrived.wait(&mut state),
            }
        }
        std::mem::swap(&mut state.items, taken);
    }

    /// Takes nothing more in, and drops what nobody took.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.items);
        drop(state);
        drop(left);
    }
}
