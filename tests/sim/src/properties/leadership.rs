//! A leader that hears no quorum stops leading within its limit.

use std::collections::BTreeMap;

use coord::zab::{Config, MemberId};

use super::{Verdict, require};

#[derive(Debug, Default)]
pub(crate) struct Leadership {
    /// When each member last took in a message of each other.
    heard: BTreeMap<(MemberId, MemberId), u64>,
    since: BTreeMap<MemberId, u64>,
}

impl Leadership {
    pub(crate) fn heard(&mut self, member: MemberId, from: MemberId, now: u64) {
        self.heard.insert((member, from), now);
    }

    pub(crate) fn leads(&mut self, member: MemberId, leads: bool, now: u64) {
        if leads {
            self.since.insert(member, now);
        } else {
            self.since.remove(&member);
        }
    }

    /// Checked after the member's clock has ticked.
    pub(crate) fn ticked(
        &self,
        member: MemberId,
        config: &Config,
        now: u64,
        limit: u64,
    ) -> Verdict {
        let Some(since) = self.since.get(&member) else {
            return Ok(());
        };
        let fresh = |voter: &MemberId| {
            let heard = self
                .heard
                .get(&(member, *voter))
                .copied()
                .unwrap_or(0)
                .max(*since);
            *voter == member || heard + limit >= now
        };
        let heard = config.voters().filter(fresh).count();
        require(heard * 2 > config.voters().count(), "leadership", || {
            format!(
                "member {} still leads, having heard only {heard} voters of late",
                member.0
            )
        })
    }
}
