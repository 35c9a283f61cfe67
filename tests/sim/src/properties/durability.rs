//! A member delivers only what is in its own log on disk, and what it says of its disk is so.

use coord::Zxid;
use coord::zab::{MemberId, Message};

use super::{Verdict, require};
use crate::store::Image;

pub(crate) fn delivered(member: MemberId, image: &Image, up_to: Zxid) -> Verdict {
    let found = up_to <= image.log_base
        || image
            .log
            .binary_search_by_key(&up_to, |txn| txn.zxid)
            .is_ok();
    require(found, "durability", || {
        format!(
            "member {} delivers up to {up_to}, but its log on disk ends at {}",
            member.0,
            image.last()
        )
    })
}

/// A message leaves.
pub(crate) fn said(member: MemberId, image: &Image, message: &Message) -> Verdict {
    let is_so = match message {
        Message::LeaderInfo { epoch, .. } | Message::AckEpoch { epoch, .. } => {
            image.accepted_epoch >= *epoch
        }
        Message::AckNewLeader { epoch, last } => {
            image.current_epoch >= *epoch && image.last() >= *last
        }
        Message::Ack { zxid } => image.last() >= *zxid,
        Message::Healed => !image.amnesiac,
        _ => true,
    };
    require(is_so, "durability", || {
        format!(
            "member {} says {message:?}, but its disk does not know it",
            member.0
        )
    })
}
