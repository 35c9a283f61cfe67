//! Agreement: in the end all members have delivered everything that any has, and their trees are the same.

use coord::zab::MemberId;

use super::total_order::TotalOrder;
use super::{Verdict, require};
use crate::tree::Tree;

pub(crate) fn converged<'a>(
    trees: impl Iterator<Item = (MemberId, &'a Tree)>,
    order: &TotalOrder,
) -> Verdict {
    let mut first: Option<(MemberId, &Tree)> = None;
    for (member, tree) in trees {
        require(tree.applied == order.last(), "agreement", || {
            format!(
                "member {} has applied {}, another {}",
                member.0,
                tree.applied,
                order.last()
            )
        })?;
        let (other, expected) = *first.get_or_insert((member, tree));
        require(tree.digest == expected.digest, "agreement", || {
            format!(
                "the trees of members {} and {} differ at {}",
                member.0, other.0, tree.applied
            )
        })?;
    }
    Ok(())
}
