//! Epochs on a disk only go up, and none is entered before it was promised. A lost disk begins again.

use std::collections::BTreeMap;

use coord::zab::MemberId;

use super::{Verdict, require};
use crate::store::Image;

#[derive(Debug, Default)]
pub(crate) struct Epochs {
    seen: BTreeMap<MemberId, (u32, u32)>,
}

impl Epochs {
    pub(crate) fn written(&mut self, member: MemberId, image: &Image) -> Verdict {
        let now = (image.accepted_epoch, image.current_epoch);
        let before = self.seen.insert(member, now).unwrap_or_default();
        require(
            now.0 >= before.0 && now.1 >= before.1,
            "epochs monotone",
            || format!("member {} went from {before:?} back to {now:?}", member.0),
        )?;
        require(now.1 <= now.0, "epochs monotone", || {
            format!(
                "member {} entered epoch {} and had promised only {}",
                member.0, now.1, now.0
            )
        })
    }

    pub(crate) fn lost(&mut self, member: MemberId) {
        self.seen.remove(&member);
    }
}
