//! What is committed becomes the tree's.

use super::events::Action;
use super::member::Member;
use super::planted::planted;
use crate::Zxid;

impl Member {
    /// Everything up to `zxid` is committed.
    pub(super) fn commit(&mut self, zxid: Zxid, out: &mut Vec<Action>) {
        self.note_committed(zxid, out);
        self.deliver(out);
    }

    /// As `commit`, without handing anything out yet: that lets go of what a leader still has to send.
    pub(super) fn note_committed(&mut self, zxid: Zxid, out: &mut Vec<Action>) {
        self.committed = self.committed.max(zxid);
        if self.membership.settle(self.committed) {
            self.config_changed(out);
        }
    }

    /// Hands out what is committed and on this member's own disk: a tree must never be ahead of the log beneath it.
    pub(super) fn deliver(&mut self, out: &mut Vec<Action>) {
        let mut up_to = self.committed.min(self.history.durable());
        if planted!(self, DeliverBeforeDurable) {
            up_to = self.committed.min(self.history.last());
        }
        if up_to <= self.delivered {
            return;
        }
        if let Some(stop) = self.digests.stop_before(up_to)
            && stop > self.delivered
        {
            out.push(Action::Deliver { up_to: stop });
        }
        out.push(Action::Deliver { up_to });
        self.delivered = up_to;
        self.waiting.delivered(up_to, out);
        self.history.trim(self.settings.window, up_to);
    }
}
