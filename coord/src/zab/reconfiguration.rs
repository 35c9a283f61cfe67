//! Changes of the members, proposed by the leader like any other transaction.

use std::sync::Arc;

use super::events::Action;
use super::leader::FollowerStage;
use super::member::{Member, Phase};
use super::membership::{Change, Config};
use super::types::{MemberId, NotProposed, Payload, Txn};
use crate::Zxid;

impl Member {
    /// Proposes another set of members.
    pub(super) fn reconfigure(
        &mut self,
        origin: MemberId,
        request: u64,
        change: Change,
        version: Option<Zxid>,
        out: &mut Vec<Action>,
    ) {
        match self.plan(change, version) {
            Ok((zxid, config)) => {
                let payload = Payload::Config(Arc::new(config));
                self.broadcast(
                    vec![Txn {
                        zxid,
                        origin,
                        request,
                        payload,
                    }],
                    out,
                );
            }
            Err(reason) => self.not_proposed(origin, request, reason, out),
        }
    }

    fn plan(&self, change: Change, version: Option<Zxid>) -> Result<(Zxid, Config), NotProposed> {
        let Phase::Leading(leader) = &self.phase else {
            return Err(NotProposed::NoLeader);
        };
        let zxid = self.next_zxid().ok_or(NotProposed::EpochEnds)?;
        let membership = &self.membership;
        if !membership.pending.is_empty() {
            return Err(NotProposed::ChangeUnderWay);
        }
        if version.is_some_and(|version| version != membership.committed.version) {
            return Err(NotProposed::BadVersion);
        }
        let config = change
            .apply(&membership.committed, zxid)
            .ok_or(NotProposed::BadChange)?;
        // Voters that still have to learn everything would stop all commits until they have.
        let is_ready = |id: MemberId| {
            let follower = leader.followers.get(&id);
            id == self.id || follower.is_some_and(|f| f.counts_from(FollowerStage::Active))
        };
        let ready = config.voters().filter(|id| is_ready(*id)).count();
        if ready * 2 <= config.voters().count() {
            return Err(NotProposed::NewQuorumNotReady);
        }
        Ok((zxid, config))
    }
}
