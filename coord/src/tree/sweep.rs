//! Which container and TTL znodes have had their time. Whoever leads proposes an [`Op::Expire`] for each, and
//! `prepare` looks once more, as a child may have come meanwhile.

use super::Tree;
use super::node::{Kind, Node};
use super::request::Op;

/// Whether a znode of this kind has had its time: a container that had a child and has none, a TTL znode without
/// children whose data was not set for its TTL. A container that never had a child stays.
pub(crate) fn has_expired(kind: Kind, created: i32, children: usize, mtime: i64, now: i64) -> bool {
    children == 0
        && match kind {
            Kind::Container => created != 0,
            Kind::Ttl(ttl) => now.saturating_sub(mtime) > ttl,
            Kind::Persistent | Kind::Ephemeral(_) => false,
        }
}

impl Tree {
    /// Up to `limit` deletions of znodes that have had their time at `now` (milliseconds since 1970), in path order.
    pub(crate) fn sweep(&self, now: i64, limit: usize) -> Vec<Op> {
        let over = |node: &Node| {
            has_expired(
                node.kind(),
                node.created,
                node.child_count(),
                node.mtime,
                now,
            )
        };
        self.mortals
            .iter()
            .filter(|path| self.find(path).is_some_and(over))
            .take(limit)
            .map(|path| Op::Expire {
                path: path.to_string(),
            })
            .collect()
    }
}
