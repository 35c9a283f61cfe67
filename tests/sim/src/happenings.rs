//! What clients, operators and misfortune do to the ensemble.

use bytes::Bytes;
use coord::zab::{Change, Config, Event, MemberId, Role};

use crate::node::Node;
use crate::plan::Fault;
use crate::properties::Verdict;
use crate::store::{Image, Store};
use crate::world::{Happening, Operation, World};

impl World {
    fn running(&self) -> Vec<MemberId> {
        self.nodes
            .values()
            .filter(|node| node.up.is_some())
            .map(|node| node.id)
            .collect()
    }

    fn leader(&self) -> Option<MemberId> {
        let leads = |id: &MemberId| {
            let up = self.nodes.get(id).and_then(|node| node.up.as_ref());
            up.is_some_and(|up| up.member.role() == Role::Leading)
        };
        // The newest of them, as one that was deposed may not know it yet.
        let epoch = |id: &MemberId| {
            let up = self.nodes.get(id).and_then(|node| node.up.as_ref());
            up.map(|up| up.member.current_epoch())
        };
        self.nodes.keys().copied().filter(leads).max_by_key(epoch)
    }

    /// A client writes, or reads after a sync.
    pub(crate) fn load(&mut self) -> Verdict {
        if self.healed && self.now > self.plan.heals_us + 1_000_000 {
            return Ok(());
        }
        let us = self.random.within(100..self.plan.load_us);
        self.after(us, Happening::Load);
        let running = self.running();
        let Some(id) = self.random.pick(&running).copied() else {
            return Ok(());
        };
        self.operations_begun += 1;
        let request = self.operations_begun;
        let began = self.properties.reads.began();
        self.operations
            .insert(request, Operation { node: id, began });
        if self.random.within(0..5) < 3 {
            let bytes = Bytes::copy_from_slice(&request.to_be_bytes());
            self.handle(id, Event::Request { request, bytes })
        } else {
            self.handle(id, Event::Sync { request })
        }
    }

    /// An operator changes the members.
    pub(crate) fn change(&mut self) -> Verdict {
        if self.healed {
            return Ok(());
        }
        let us = self.random.within(100_000..800_000);
        self.after(us, Happening::Change);
        let Some(leader) = self.leader() else {
            return Ok(());
        };
        let ids: Vec<u64> = self.nodes.keys().map(|id| id.0).collect();
        let mut voters = Vec::new();
        let mut observers = Vec::new();
        for id in &ids {
            match self.random.within(0..4) {
                0 => observers.push(*id),
                1 if ids.len() > 4 => {}
                _ => voters.push(*id),
            }
        }
        if voters.len() < 3 {
            return Ok(());
        }
        let members = Config::new(&voters, &observers).members;
        let request = 0;
        let change = Change::Whole(members);
        self.handle(
            leader,
            Event::Reconfigure {
                origin: leader,
                request,
                change,
                version: None,
            },
        )?;
        // In the middle of a change is where a cut hurts.
        if self.plan.faults.contains(&Fault::Partition) && self.random.within(0..2) == 0 {
            self.partition();
        }
        Ok(())
    }

    pub(crate) fn fault(&mut self) -> Verdict {
        if self.healed {
            return Ok(());
        }
        let us = self.random.within(1_000..self.plan.fault_us);
        self.after(us, Happening::Fault);
        let faults = self.plan.faults.clone();
        let Some(fault) = self.random.pick(&faults).copied() else {
            return Ok(());
        };
        let running = self.running();
        let Some(id) = self.random.pick(&running).copied() else {
            return Ok(());
        };
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        let leader = self.leader();
        match fault {
            Fault::Crash => self.crash(id),
            Fault::CrashLeader => {
                if let Some(leader) = leader {
                    self.crash(leader);
                }
            }
            Fault::DropLink => {
                let open = self
                    .network
                    .links
                    .iter()
                    .filter(|(_, link)| link.open == [true, true]);
                let open: Vec<_> = open.map(|(id, link)| (*id, link.ends)).collect();
                if let Some((link, ends)) = self.random.pick(&open).copied() {
                    let end = ends[self.random.within(0..2) as usize];
                    self.close(end, link);
                    self.handle(end, Event::LinkDown { link })?;
                }
            }
            Fault::Partition => self.partition(),
            Fault::OneWayCut => {
                let to = all[self.random.within(0..all.len() as u64) as usize];
                self.network.cut.insert((id, to));
            }
            Fault::IsolateLeader => {
                let Some(leader) = leader else { return Ok(()) };
                let from = self.random.within(0..3) != 0;
                let to = !from || self.random.within(0..2) == 0;
                for other in all.into_iter().filter(|other| *other != leader) {
                    if from {
                        self.network.cut.insert((leader, other));
                    }
                    if to {
                        self.network.cut.insert((other, leader));
                    }
                }
            }
            Fault::Mend => {
                self.network.cut.clear();
                self.latency_us = 1_000;
            }
            Fault::SlowDisk => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.sync_us = 300_000;
                }
                self.usual_disk_soon(id);
            }
            Fault::FullDisk => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.store.fill(true);
                }
                self.usual_disk_soon(id);
            }
            Fault::FailingSync => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.store.fail_next_sync();
                }
            }
            Fault::LostDisk => self.lose_disk(id),
            Fault::FlippedTree => {
                let up = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut());
                if let Some(up) = up
                    && matches!(up.member.role(), Role::Following(_) | Role::Observing(_))
                {
                    up.tree.digest ^= 1;
                }
            }
            Fault::SlowNetwork => self.latency_us = self.random.within(1_000..120_000),
        }
        Ok(())
    }

    fn partition(&mut self) {
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        let side: Vec<bool> = all.iter().map(|_| self.random.within(0..2) == 0).collect();
        for (a, side_a) in all.iter().zip(&side) {
            for (b, side_b) in all.iter().zip(&side) {
                if side_a != side_b {
                    self.network.cut.insert((*a, *b));
                }
            }
        }
    }

    fn usual_disk_soon(&mut self, id: MemberId) {
        let us = self.random.within(10_000..500_000);
        self.after(us, Happening::DiskIsUsual(id));
    }

    /// A disk is lost, or what was written last on it; one at a time, as nobody survives the loss of a quorum.
    fn lose_disk(&mut self, id: MemberId) {
        if self.nodes.values().any(Node::is_amnesiac) {
            return;
        }
        self.crash(id);
        let whole = self.random.within(0..2) == 0;
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let image = node.store.image_mut();
        if whole {
            *image = Image::new(self.plan.config.clone());
        } else {
            let kept = image
                .log
                .partition_point(|txn| txn.zxid <= image.snapshot.applied);
            let kept = kept + self.random.within(0..(image.log.len() - kept) as u64 + 1) as usize;
            image.log.truncate(kept);
            image.committed = image.committed.min(image.last());
            image.current_epoch = image.current_epoch.min(image.last().epoch());
            image.accepted_epoch = image.current_epoch;
        }
        image.amnesiac = true;
        self.properties.epochs.lost(id);
    }
}
