//! The simulated world: time, machines, links and clients, all moved by one queue of what happens next.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use coord::zab::{Event, LinkId, Member, MemberId, Outbox, Outgoing, Role};
use coord::zab::{Message, Recovered};

use crate::network::{Network, Packet};
use crate::node::{Node, Running};
use crate::plan::Plan;
use crate::properties::{
    Properties, Verdict, Violation, agreement, durability, old_links, require, skipped_writes,
};
use crate::random::Random;
use crate::store::{Image, ModelStore, Store, Synced};

/// What happens next. A run's number that is not the node's any more makes it void.
#[derive(Debug)]
pub(crate) enum Happening {
    Tick(MemberId, u64),
    Sync(MemberId, u64),
    Arrive(LinkId, usize),
    LinkUp(LinkId, usize),
    LinkEnds(LinkId, usize),
    Reconnect,
    Start(MemberId),
    /// Something the machine does beside the protocol is done.
    Local(MemberId, u64, Event),
    Flush(MemberId, u64),
    SendSnapshot {
        from: MemberId,
        run: u64,
        link: LinkId,
        at_least: coord::Zxid,
    },
    ReadHistory {
        at: MemberId,
        run: u64,
        link: LinkId,
        after: coord::Zxid,
        up_to: coord::Zxid,
    },
    Load,
    Change,
    Fault,
    DiskIsUsual(MemberId),
    Heal,
    Check,
}

/// What a client waits for.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) node: MemberId,
    pub(crate) began: usize,
}

/// What came of a run that violated nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub reigns: usize,
    pub delivered: usize,
    pub acked: usize,
    pub reads: usize,
    pub events: u64,
    /// Of everything that happened, in order.
    pub trace: u64,
    /// From the end of all faults to agreement, in simulated time.
    pub converged_us: u64,
}

pub struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
    pub(crate) nodes: BTreeMap<MemberId, Node>,
    pub(crate) network: Network,
    pub(crate) latency_us: u64,
    pub(crate) plan: Plan,
    pub(crate) healed: bool,
    pub(crate) properties: Properties,
    pub(crate) operations: BTreeMap<u64, Operation>,
    pub(crate) operations_begun: u64,
    trace: Fnv,
    events: u64,
    shows: bool,
    #[cfg(feature = "planted-bugs")]
    bug: Option<coord::zab::Bug>,
}

/// How often a member's clock ticks.
const TICK_US: u64 = 20_000;

impl World {
    pub fn new(seed: u64, shows: bool) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::new(&mut random);
        let mut nodes = BTreeMap::new();
        for id in (1..=plan.members).map(MemberId) {
            let store = ModelStore::new(Image::new(plan.config.clone()));
            nodes.insert(
                id,
                Node {
                    id,
                    run: 0,
                    up: None,
                    store,
                    clock_rate: random.within(950..1_050),
                    clock_start_ms: random.within(0..1_000_000),
                    sync_us: 1_000,
                },
            );
        }
        World {
            now: 0,
            random,
            queue: BTreeMap::new(),
            queued: 0,
            nodes,
            network: Network::default(),
            latency_us: 1_000,
            plan,
            healed: false,
            properties: Properties::default(),
            operations: BTreeMap::new(),
            operations_begun: 0,
            trace: Fnv::default(),
            events: 0,
            shows,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: coord::zab::Bug) {
        self.bug = Some(bug);
    }

    /// Until all agree, or something is violated.
    pub fn run(mut self) -> Result<Report, Violation> {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            let after = self.random.within(0..50_000);
            self.after(after, Happening::Start(id));
        }
        self.after(1_000, Happening::Reconnect);
        self.after(50_000, Happening::Load);
        self.after(400_000, Happening::Fault);
        if self.plan.changes {
            self.after(300_000, Happening::Change);
        }
        self.after(self.plan.heals_us, Happening::Heal);
        loop {
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                unreachable!("reconnecting never ends");
            };
            self.now = at;
            if matches!(happening, Happening::Check) && self.has_converged()? {
                return self.report();
            }
            self.happen(happening)?;
            require(self.now <= self.plan.ends_us, "liveness", || {
                let roles: Vec<_> = self
                    .nodes
                    .values()
                    .map(|node| {
                        let up = node.up.as_ref();
                        (
                            node.id.0,
                            up.map(|up| {
                                (
                                    up.member.role(),
                                    up.member.delivered(),
                                    up.member.committed(),
                                )
                            }),
                            node.is_amnesiac(),
                        )
                    })
                    .collect();
                format!(
                    "no agreement {} ms after all was healed: {roles:?}",
                    (self.plan.ends_us - self.plan.heals_us) / 1_000
                )
            })?;
        }
    }

    pub(crate) fn after(&mut self, us: u64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((self.now + us, self.queued), happening);
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Tick(id, run) => {
                if let Some(node) = self.nodes.get(&id)
                    && node.run == run
                {
                    let us = TICK_US * 1_000 / node.clock_rate + self.random.within(0..2_000);
                    self.after(us, Happening::Tick(id, run));
                    self.handle(id, Event::Tick)?;
                    self.check_leadership(id)?;
                }
            }
            Happening::Sync(id, run) => self.sync(id, run)?,
            Happening::Arrive(link, direction) => self.arrive(link, direction)?,
            Happening::LinkUp(link, side) => self.link_up(link, side)?,
            Happening::LinkEnds(link, side) => self.link_ends(link, side)?,
            Happening::Reconnect => self.reconnect()?,
            Happening::Start(id) => self.start(id)?,
            Happening::Local(id, run, event) => {
                if self.nodes.get(&id).is_some_and(|node| node.run == run) {
                    self.handle(id, event)?;
                    self.tell_digest(id)?;
                }
            }
            Happening::Flush(id, run) => {
                if let Some(node) = self.nodes.get_mut(&id)
                    && node.run == run
                    && let Some(up) = &mut node.up
                {
                    let proposals = std::mem::take(&mut up.proposals);
                    self.handle(id, Event::Propose(proposals))?;
                }
            }
            Happening::SendSnapshot {
                from,
                run,
                link,
                at_least,
            } => self.send_snapshot(from, run, link, at_least)?,
            Happening::ReadHistory {
                at,
                run,
                link,
                after,
                up_to,
            } => self.read_history(at, run, link, after, up_to)?,
            Happening::Load => self.load()?,
            Happening::Change => self.change()?,
            Happening::Fault => self.fault()?,
            Happening::DiskIsUsual(id) => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.sync_us = 1_000;
                    node.store.fill(false);
                }
            }
            Happening::Heal => self.heal(),
            Happening::Check => self.after(20_000, Happening::Check),
        }
        Ok(())
    }

    fn start(&mut self, id: MemberId) -> Verdict {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        if node.up.is_some() {
            return Ok(());
        }
        let image = node.store.image();
        let committed = image.committed.max(image.snapshot.applied);
        let tree = image.tree_at(committed);
        let recovered: Recovered = image.recover(committed);
        let place = self.properties.order.place_after(id, tree.applied)?;
        #[allow(unused_mut, reason = "a fault may be put in")]
        let mut member = Member::new(id, self.plan.settings);
        let outbox = Outbox::default();
        #[cfg(feature = "planted-bugs")]
        if let Some(bug) = self.bug {
            member.plant(bug);
        }
        node.up = Some(Running {
            member,
            outbox,
            tree,
            place,
            syncing: false,
            snapshots: BTreeMap::new(),
            proposals: Vec::new(),
        });
        let run = node.run;
        self.after(1, Happening::Tick(id, run));
        self.handle(id, Event::Start(recovered))?;
        self.tell_digest(id)
    }

    /// Tells a core what the tree looks like that it was started with.
    fn tell_digest(&mut self, id: MemberId) -> Verdict {
        match self.nodes.get(&id).and_then(|node| node.up.as_ref()) {
            Some(up) => self.handle(id, Event::Applied(up.tree.digest())),
            None => Ok(()),
        }
    }

    /// The machine stops in this moment. What it was writing may be on its disk, or a part of it.
    pub(crate) fn crash(&mut self, id: MemberId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.up.take().is_none() {
            return;
        }
        node.run += 1;
        node.store.crash(&mut self.random);
        self.properties.leadership.leads(id, false, self.now);
        self.operations.retain(|_, operation| operation.node != id);
        let mut ends = Vec::new();
        for (link_id, link) in &mut self.network.links {
            if link.ends.contains(&id) && link.open[link.side(id)] {
                let side = link.side(id);
                link.open[side] = false;
                let kept = self.random.within(0..link.under_way[side].len() as u64 + 1) as usize;
                link.under_way[side].truncate(kept);
                link.under_way[1 - side].clear();
                ends.push((*link_id, 1 - side));
            }
        }
        for (link, side) in ends {
            // Most often the other end is told; when the power goes, it has to find out.
            let us = if self.random.within(0..4) == 0 {
                1_000_000
            } else {
                self.random.within(100..5_000)
            };
            self.after(us, Happening::LinkEnds(link, side));
        }
        let us = if self.healed {
            50_000
        } else {
            self.random.within(5_000..700_000)
        };
        self.after(us, Happening::Start(id));
    }

    fn sync(&mut self, id: MemberId, run: u64) -> Verdict {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        if node.run != run {
            return Ok(());
        }
        let queued = node.store.queued() as u64;
        let count = if self.random.within(0..3) == 0 {
            self.random.within(0..queued + 1)
        } else {
            queued
        };
        let synced = node.store.sync(count.max(1) as usize);
        up.syncing = false;
        self.properties.epochs.written(id, node.store.image())?;
        match synced {
            Synced::Durable(token, trees) => {
                if let Some(tree) = trees.into_iter().next_back() {
                    up.place = self.properties.order.place_after(id, tree.applied)?;
                    up.tree = tree;
                    let digest = up.tree.digest();
                    self.handle(id, Event::Applied(digest))?;
                }
                if token.0 > 0 {
                    let Some(up) = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut()) else {
                        return Ok(());
                    };
                    let ready = up.outbox.durable(token);
                    for outgoing in ready {
                        self.transmit(id, outgoing)?;
                    }
                    self.handle(id, Event::Durable(token))?;
                }
            }
            Synced::Refused(token) => {
                up.outbox.refused();
                self.handle(id, Event::Refused(token))?;
            }
            Synced::Failed => self.handle(id, Event::Failed("the sync failed".to_owned()))?,
        }
        self.sync_soon(id);
        Ok(())
    }

    /// Orders wait: a sync begins, unless one is under way.
    pub(crate) fn sync_soon(&mut self, id: MemberId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let Some(up) = &mut node.up else { return };
        if !up.syncing && node.store.queued() > 0 {
            up.syncing = true;
            let (run, us) = (node.run, self.random.within(50..node.sync_us));
            self.after(us, Happening::Sync(id, run));
        }
    }

    pub(crate) fn transmit(&mut self, from: MemberId, outgoing: Outgoing) -> Verdict {
        if let Some(node) = self.nodes.get(&from) {
            durability::said(from, node.store.image(), &outgoing.message)?;
        }
        if self.random.happens(self.plan.losses) && !self.healed {
            return Ok(());
        }
        self.put(from, outgoing.link, Packet::Message(outgoing.message));
        Ok(())
    }

    pub(crate) fn put(&mut self, from: MemberId, link_id: LinkId, packet: Packet) {
        let delay = self.random.within(50..self.latency_us);
        let Some(link) = self.network.links.get_mut(&link_id) else {
            return;
        };
        let side = link.side(from);
        if !link.open[side] {
            return;
        }
        link.under_way[side].push_back(packet);
        let at = (self.now + delay).max(link.arrives_at[side]);
        link.arrives_at[side] = at;
        self.after(at - self.now, Happening::Arrive(link_id, side));
    }

    fn arrive(&mut self, link_id: LinkId, direction: usize) -> Verdict {
        let Some(link) = self.network.links.get_mut(&link_id) else {
            return Ok(());
        };
        let (from, to) = (link.ends[direction], link.ends[1 - direction]);
        if self.network.cut.contains(&(from, to)) {
            let us = self.random.within(2_000..10_000);
            self.after(us, Happening::Arrive(link_id, direction));
            return Ok(());
        }
        let Some(packet) = link.under_way[direction].pop_front() else {
            return Ok(());
        };
        let runs = link.runs[1 - direction];
        let open = link.open[1 - direction];
        let Some(node) = self.nodes.get_mut(&to) else {
            return Ok(());
        };
        let Some(up) = &mut node.up else {
            return Ok(());
        };
        if node.run != runs {
            return Ok(());
        }
        match packet {
            // A shell drops what comes over a link that is closed at its end, but the core does not rely on it.
            Packet::Message(message) if !open => {
                let now_ms = self
                    .nodes
                    .get(&to)
                    .map_or(0, |node| node.clock_ms(self.now));
                let Some(up) = self.nodes.get_mut(&to).and_then(|node| node.up.as_mut()) else {
                    return Ok(());
                };
                let mut actions = Vec::new();
                let event = Event::Message {
                    link: link_id,
                    from,
                    message,
                };
                up.member.handle(now_ms, event.clone(), &mut actions);
                self.note(to, &event);
                old_links::heard(to, &event, &actions)
            }
            Packet::Message(message) => {
                if !matches!(message, Message::Notification(_)) {
                    self.properties.leadership.heard(to, from, self.now);
                }
                self.handle(
                    to,
                    Event::Message {
                        link: link_id,
                        from,
                        message,
                    },
                )
            }
            Packet::Snapshot(tree) if open => {
                let (zxid, config) = (tree.applied, tree.config.clone());
                up.snapshots.insert(link_id, tree);
                self.handle(
                    to,
                    Event::SnapshotReceived {
                        link: link_id,
                        zxid,
                        config,
                    },
                )
            }
            Packet::Snapshot(_) => Ok(()),
        }
    }

    /// A member ends a link.
    pub(crate) fn close(&mut self, id: MemberId, link_id: LinkId) {
        let Some(link) = self.network.links.get_mut(&link_id) else {
            return;
        };
        let side = link.side(id);
        if !std::mem::replace(&mut link.open[side], false) {
            return;
        }
        if self.random.within(0..3) == 0 {
            let kept = self.random.within(0..link.under_way[side].len() as u64 + 1) as usize;
            link.under_way[side].truncate(kept);
        }
        if self.random.within(0..2) == 0 {
            link.under_way[1 - side].clear();
        }
        let us = (link.arrives_at[side].max(self.now) - self.now) + self.random.within(50..1_000);
        self.after(us, Happening::LinkEnds(link_id, 1 - side));
    }

    fn link_ends(&mut self, link_id: LinkId, side: usize) -> Verdict {
        let Some(link) = self.network.links.get_mut(&link_id) else {
            return Ok(());
        };
        if !std::mem::replace(&mut link.open[side], false) {
            return Ok(());
        }
        let (id, run) = (link.ends[side], link.runs[side]);
        if self.nodes.get(&id).is_some_and(|node| node.run == run) {
            self.handle(id, Event::LinkDown { link: link_id })?;
        }
        Ok(())
    }

    fn link_up(&mut self, link_id: LinkId, side: usize) -> Verdict {
        let Some(link) = self.network.links.get(&link_id) else {
            return Ok(());
        };
        let (id, peer, run) = (link.ends[side], link.ends[1 - side], link.runs[side]);
        if !link.open[side] || self.nodes.get(&id).is_none_or(|node| node.run != run) {
            return Ok(());
        }
        for (other, link) in &mut self.network.links {
            if *other != link_id && link.ends.contains(&id) && link.other(id) == peer {
                let side = link.side(id);
                link.open[side] = false;
            }
        }
        self.handle(
            id,
            Event::LinkUp {
                peer,
                link: link_id,
            },
        )
    }

    fn reconnect(&mut self) -> Verdict {
        let us = self.random.within(2_000..8_000);
        self.after(us, Happening::Reconnect);
        self.network.sweep();
        let up: Vec<(MemberId, u64)> = self
            .nodes
            .values()
            .filter(|node| node.up.is_some())
            .map(|node| (node.id, node.run))
            .collect();
        for (place, (a, run_a)) in up.iter().enumerate() {
            for (b, run_b) in &up[place + 1..] {
                // Making a link can be the last thing a member does.
                let is_up = |(id, run): (&MemberId, &u64)| {
                    self.nodes
                        .get(id)
                        .is_some_and(|node| node.run == *run && node.up.is_some())
                };
                if !is_up((a, run_a)) || !is_up((b, run_b)) {
                    continue;
                }
                let cut = self.network.is_cut(*a, *b) || self.network.is_cut(*b, *a);
                if cut || self.network.is_connected(*a, *b) || self.random.within(0..3) == 0 {
                    continue;
                }
                let link = self.network.connect([*a, *b], [*run_a, *run_b], self.now);
                let first = self.random.within(0..2) as usize;
                let us = self.random.within(10..2_000);
                if let Some(made) = self.network.links.get_mut(&link) {
                    made.arrives_at[first] = self.now + us;
                }
                self.after(us, Happening::LinkUp(link, 1 - first));
                self.link_up(link, first)?;
            }
        }
        Ok(())
    }

    fn check_leadership(&mut self, id: MemberId) -> Verdict {
        let Some(up) = self.nodes.get(&id).and_then(|node| node.up.as_ref()) else {
            return Ok(());
        };
        // Twice the limit: clocks differ, and messages heard are not all what the core counts.
        let limit_us = self.plan.settings.sync_limit_ms * 2_000;
        self.properties
            .leadership
            .ticked(id, up.member.config(), self.now, limit_us)
    }

    fn heal(&mut self) {
        self.healed = true;
        self.network.cut.clear();
        self.latency_us = 1_000;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.after(1, Happening::DiskIsUsual(id));
            self.after(50_000, Happening::Start(id));
        }
        self.after(100_000, Happening::Check);
    }

    fn has_converged(&mut self) -> Result<bool, Violation> {
        let last = self.properties.order.last();
        let mut leaders = 0;
        for node in self.nodes.values() {
            let Some(up) = &node.up else { return Ok(false) };
            leaders += usize::from(up.member.role() == Role::Leading);
            if up.member.role() == Role::Looking
                || up.tree.applied != last
                || up.member.last_proposed() != last
            {
                return Ok(false);
            }
        }
        if leaders != 1 || self.now < self.plan.heals_us + 1_500_000 {
            return Ok(false);
        }
        let trees = self
            .nodes
            .values()
            .filter_map(|node| node.up.as_ref().map(|up| (node.id, &up.tree)));
        // A tree that differs is noticed at the next ping but one.
        if self.now < self.plan.ends_us - 100_000
            && agreement::converged(trees.clone(), &self.properties.order).is_err()
        {
            return Ok(false);
        }
        agreement::converged(trees, &self.properties.order)?;
        for node in self.nodes.values() {
            skipped_writes::converged(node.id, node.store.image(), &self.properties.order)?;
        }
        self.properties.acked.converged(&self.properties.order)?;
        Ok(true)
    }

    fn report(self) -> Result<Report, Violation> {
        let report = Report {
            reigns: self.properties.global.reigns(),
            delivered: self.properties.order.len(),
            acked: self.properties.acked.count(),
            reads: self.properties.reads.reads(),
            events: self.events,
            trace: self.trace.finish(),
            converged_us: self.now - self.plan.heals_us,
        };
        require(report.reigns > 0 && report.acked > 0, "exercise", || {
            "the run elected nobody or committed nothing, and so has shown nothing".to_owned()
        })?;
        Ok(report)
    }

    /// Notes what happens.
    pub(crate) fn note(&mut self, id: MemberId, event: &Event) {
        self.events += 1;
        (self.now, id, event).hash(&mut self.trace);
        if self.shows {
            println!("{:>9} {} {event:?}", self.now, id.0);
        }
    }

    pub(crate) fn show(&self, id: MemberId, action: &impl std::fmt::Debug) {
        if self.shows {
            println!("            {}   → {action:?}", id.0);
        }
    }
}

/// A hash that is the same on every machine and in every build.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
