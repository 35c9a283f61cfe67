//! Channels are in order and end: what a link delivers after its end has no effect.

use coord::zab::{Action, Event, MemberId};

use super::{Verdict, require};

pub(crate) fn heard(member: MemberId, event: &Event, actions: &[Action]) -> Verdict {
    require(actions.is_empty(), "channels end", || {
        format!(
            "member {} acted on {event:?}, which came over a link that had ended: {actions:?}",
            member.0
        )
    })
}
