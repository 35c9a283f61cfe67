//! Who waits for new records. A long poll registers with each of its partitions and is
//! woken by the first that has something new, by an error, or by its own deadline.

use std::sync::Arc;

use tokio::sync::Notify;

/// One long poll. Cheap to share with the partitions that it waits on.
#[derive(Debug, Default)]
pub(crate) struct FetchWait {
    notify: Notify,
}

impl FetchWait {
    /// Wakes the poll; one call before it waits is remembered.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    /// Completes at the next wake-up.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

/// The polls registered with one partition.
#[derive(Debug, Default)]
pub(crate) struct FetchWaiters {
    waiting: Vec<Arc<FetchWait>>,
}

impl FetchWaiters {
    pub(crate) fn add(&mut self, wait: &Arc<FetchWait>) {
        self.waiting.push(Arc::clone(wait));
    }

    /// Forgets a poll that was answered or given up; without this, polls of a silent
    /// partition would pile up.
    pub(crate) fn remove(&mut self, wait: &Arc<FetchWait>) {
        if let Some(at) = self.waiting.iter().position(|w| Arc::ptr_eq(w, wait)) {
            self.waiting.swap_remove(at);
        }
    }

    /// Wakes every poll. They stay registered until they remove themselves, as a poll
    /// that wants more bytes than there are goes on waiting.
    pub(crate) fn wake_all(&self) {
        for wait in &self.waiting {
            wait.wake();
        }
    }
}
