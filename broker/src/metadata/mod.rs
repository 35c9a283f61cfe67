//! The cluster's metadata: how it lies in the tree (`znodes`), how it is changed
//! (`write`), and the picture of it that requests read (`view`), which `follow` keeps in
//! step with the tree. Nothing here is known that is not in the tree.

mod follow;
mod register;
#[cfg(test)]
mod tests;
mod view;
mod write;
pub(crate) mod znodes;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub(crate) use follow::{Change, Follower};
pub(crate) use register::{Registration, register, scaffold};
pub(crate) use view::{OFFSETS_TOPIC, PartitionInfo, Topic, View};
pub(crate) use write::{
    Reign, WriteError, add_partitions, create_topic, delete_topic, overrides, set_overrides,
};

/// The view in force, and who waits for a newer one.
pub(crate) struct Metadata {
    view: ArcSwap<View>,
    zxid: watch::Sender<u64>,
}

impl Metadata {
    pub(crate) fn new(view: View) -> Self {
        let (zxid, _) = watch::channel(view.zxid);
        Self {
            view: ArcSwap::from_pointee(view),
            zxid,
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Completes when the view holds the change of that zxid; false if it did not within
    /// the limit.
    pub(crate) async fn at_least(&self, zxid: u64, limit: Duration) -> bool {
        let mut seen = self.zxid.subscribe();
        tokio::time::timeout(limit, seen.wait_for(|now| *now >= zxid))
            .await
            .is_ok_and(|seen| seen.is_ok())
    }

    /// Completes when the view is as wanted; false if it was not within the limit.
    pub(crate) async fn until(&self, wanted: impl Fn(&View) -> bool, limit: Duration) -> bool {
        let mut changed = self.zxid.subscribe();
        let waiting = async {
            while !wanted(&self.view.load()) {
                if changed.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(limit, waiting).await.unwrap_or(false)
    }

    fn swap(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// Tells those who wait for a newer view that it is there, once the rest of the broker
    /// has taken it in, too.
    pub(crate) fn announce(&self) {
        let zxid = self.view.load().zxid;
        self.zxid.send_replace(zxid);
    }
}
