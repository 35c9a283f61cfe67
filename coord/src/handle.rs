//! The in-process handle: what the broker and the controller know of the service. Writes wait until they are
//! committed and this member's tree shows them; reads are local, synchronous and cheap.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::Zxid;
use crate::error::{CoordError, MultiError};
use crate::service::core::{Done, Event};
use crate::service::shared::{LocalSession, Shared};
use crate::tree::{CreateMode, Created, Op, OpResult, Request, Stat};
use crate::watch::{Watch, WatchMode};
use crate::wire::Wire;

/// The way to the service. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// Opens a session of this process. It needs no pings and lives as long as a clone of it does; after an end of
    /// the process it is closed by the next start. `timeout` is for whoever looks at it from elsewhere.
    pub async fn open_session(&self, timeout: Duration) -> Result<Session, CoordError> {
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let open = |reply| Event::OpenLocal { timeout_ms, reply };
        let done = self
            .shared
            .ask(0, open)
            .await
            .map_err(|multi| multi.error)?;
        let inner = done.opened.expect("an opened session comes with its id");
        Ok(Session {
            inner: Arc::new(inner),
        })
    }

    /// The way in for clients on the wire.
    pub(crate) fn wire(&self) -> Wire {
        Wire::new(Arc::clone(&self.shared))
    }

    /// Znodes in the tree, and bytes of data in them.
    pub fn size(&self) -> (usize, usize) {
        let served = self.shared.served.read();
        (served.tree.node_count(), served.tree.data_bytes())
    }

    /// Waits until the service takes no more writes, and says why: its storage failed for good, or it was stopped.
    pub async fn ended(&self) -> CoordError {
        let mut signal = self.shared.ended_signal.subscribe();
        // The sender lives in `shared`, which we hold.
        let _ = signal.wait_for(|ended| *ended).await;
        self.shared.why_ended()
    }
}

/// A session: who writes, and what its ephemeral znodes live with. The last clone that is dropped closes it.
#[derive(Clone)]
pub struct Session {
    inner: Arc<LocalSession>,
}

impl Session {
    /// The session's id, which is the `ephemeral_owner` of its ephemeral znodes.
    pub fn id(&self) -> i64 {
        self.inner.id
    }

    /// Creates a znode. Its parent must exist and not be ephemeral.
    pub async fn create(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
    ) -> Result<Created, CoordError> {
        match self.single(Op::create(path, data, mode)).await? {
            OpResult::Created(created) => Ok(created),
            other => unreachable!("a create gave {other:?}"),
        }
    }

    /// Replaces a znode's data, if it is at `version` where one is given.
    pub async fn set(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        version: Option<i32>,
    ) -> Result<Stat, CoordError> {
        match self.single(Op::set(path, data, version)).await? {
            OpResult::Set(stat) => Ok(stat),
            other => unreachable!("a set gave {other:?}"),
        }
    }

    /// Deletes a znode without children, if it is at `version` where one is given.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), CoordError> {
        self.single(Op::delete(path, version)).await.map(|_| ())
    }

    /// Does all of these operations in order, as one transaction, or none. The results stand in the operations' order.
    pub async fn multi(&self, ops: Vec<Op>) -> Result<Vec<OpResult>, MultiError> {
        self.write(ops).await.map(|done| done.results)
    }

    /// Like [`Session::multi`], with the transaction that it became.
    pub async fn multi_at(&self, ops: Vec<Op>) -> Result<(Vec<OpResult>, Zxid), MultiError> {
        self.write(ops).await.map(|done| (done.results, done.zxid))
    }

    /// A znode's data and numbers.
    pub fn get(&self, path: &str) -> Result<(Bytes, Stat), CoordError> {
        self.inner.shared.served.read().tree.get(path)
    }

    /// A znode's numbers, or none where there is no such znode.
    pub fn exists(&self, path: &str) -> Option<Stat> {
        self.inner.shared.served.read().tree.exists(path)
    }

    /// The names of a znode's children, sorted.
    pub fn children(&self, path: &str) -> Result<Vec<String>, CoordError> {
        self.inner.shared.served.read().tree.children(path)
    }

    /// Sets a watch. The znode need not exist. Set it before the read whose answer it is to keep fresh.
    pub fn watch(&self, path: &str, mode: WatchMode) -> Watch {
        Watch::set(&self.inner.shared, self.inner.id, path, mode)
    }

    /// The last transaction that this member's tree shows.
    pub fn zxid(&self) -> Zxid {
        *self.inner.shared.applied.borrow()
    }

    /// Waits until this member's tree shows `zxid`.
    pub async fn at_least(&self, zxid: Zxid) -> Result<(), CoordError> {
        let mut applied = self.inner.shared.applied.subscribe();
        let mut ended = self.inner.shared.ended_signal.subscribe();
        tokio::select! {
            biased;
            _ = applied.wait_for(|applied| *applied >= zxid) => Ok(()),
            _ = ended.wait_for(|ended| *ended) => Err(self.inner.shared.why_ended()),
        }
    }

    /// Closes the session, for all its clones, and waits until its ephemeral znodes are gone.
    pub async fn close(self) -> Result<(), CoordError> {
        let id = self.inner.id;
        let shared = &self.inner.shared;
        let close = |reply| Event::Ask(Request::CloseSessions { ids: vec![id] }, reply);
        let closed = shared.ask(0, close).await.map_err(|multi| multi.error);
        match closed {
            Ok(_) => self.inner.has_closed(),
            // It must end all the same, whatever clones are left: the service goes on trying.
            Err(CoordError::DiskFull(_)) => shared.events.push(Event::Dropped(id)),
            Err(_) => {}
        }
        closed.map(|_| ())
    }

    async fn single(&self, op: Op) -> Result<OpResult, CoordError> {
        let done = self.write(vec![op]).await.map_err(|multi| multi.error)?;
        Ok(done
            .results
            .into_iter()
            .next()
            .expect("one operation has one result"))
    }

    async fn write(&self, ops: Vec<Op>) -> Result<Done, MultiError> {
        let session = self.inner.id;
        let bytes = ops.iter().map(Op::size).sum();
        let write = |reply| Event::Ask(Request::internal(session, ops), reply);
        self.inner.shared.ask(bytes, write).await
    }
}
