//! No skipped write comes back: in the end no member's log holds anything that the common history passed over.

use coord::zab::MemberId;

use super::total_order::TotalOrder;
use super::{Verdict, require};
use crate::store::Image;

pub(crate) fn converged(member: MemberId, image: &Image, order: &TotalOrder) -> Verdict {
    let from = order.place_after(member, image.log_base)?;
    let expected = &order.order()[from..];
    let same = image.log.len() <= expected.len() && image.log[..] == expected[..image.log.len()];
    require(same, "no skipped write back", || {
        format!(
            "the log of member {} is not the common history after {}",
            member.0, image.log_base
        )
    })
}
