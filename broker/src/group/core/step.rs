//! One step of the machine: where a decision finds the time and the settings, and leaves its
//! wishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::api::join_group::JoinGroupResponse;
use protocol::error::ErrorCode;

use super::group::Member;
use super::{Action, Config, Now, Record, Reply, ReplyTo, Token, refused_join, refused_sync};

/// The surroundings of one decision.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) config: &'a Config,
    pub(super) writes: &'a mut Writes,
    pub(super) actions: &'a mut Vec<Action>,
}

/// The writes under way, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) next: u64,
    pub(super) under_way: BTreeMap<Token, Write>,
}

/// A write under way.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) group: String,
    pub(super) records: Arc<[Record]>,
    pub(super) then: Then,
    /// Answers that wait for it, as they are if it succeeds.
    pub(super) replies: Vec<(ReplyTo, Reply)>,
}

/// What the end of a write decides, beyond the answers that wait for it and the offsets it brings.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    /// The leader's assignment of the generation that is completing.
    Stabilise {
        assignments: BTreeMap<String, bytes::Bytes>,
    },
    /// A static member's new id, while the group stays stable.
    Replace(Replaced),
    /// The end of the group.
    Delete,
}

/// A static member's new id; the old one comes back if it cannot be written.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) member_id: String,
    pub(super) old_id: String,
    pub(super) old: Box<Member>,
    pub(super) can_skip_assignment: bool,
    pub(super) was_led_by: Option<String>,
}

impl Step<'_> {
    pub(super) fn reply(&mut self, to: ReplyTo, reply: Reply) {
        self.actions.push(Action::Reply(to, reply));
    }

    pub(super) fn join(&mut self, to: ReplyTo, reply: JoinGroupResponse) {
        self.reply(to, Reply::Join(reply));
    }

    pub(super) fn refuse_join(
        &mut self,
        to: ReplyTo,
        member_id: impl Into<String>,
        error: ErrorCode,
    ) {
        self.join(to, refused_join(member_id, error));
    }

    pub(super) fn refuse_sync(&mut self, to: ReplyTo, error: ErrorCode) {
        self.reply(to, Reply::Sync(refused_sync(error)));
    }

    /// Asks for a write.
    pub(super) fn append(&mut self, group: &str, records: Vec<Record>, then: Then) -> Token {
        let token = Token(self.writes.next);
        self.writes.next += 1;
        let records: Arc<[Record]> = records.into();
        self.writes.under_way.insert(
            token,
            Write {
                group: group.to_owned(),
                records: Arc::clone(&records),
                then,
                replies: Vec::new(),
            },
        );
        self.actions.push(Action::Append { token, records });
        token
    }

    /// Lets an answer wait for a write, or sends it at once when there is none to wait for.
    pub(super) fn reply_after(&mut self, token: Option<Token>, to: ReplyTo, reply: Reply) {
        match token.and_then(|token| self.writes.under_way.get_mut(&token)) {
            Some(write) => write.replies.push((to, reply)),
            None => self.reply(to, reply),
        }
    }

    pub(super) fn after_ms(&self, ms: i32) -> i64 {
        self.now.ticks_ms + i64::from(ms.max(0))
    }
}
