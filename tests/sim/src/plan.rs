//! What a seed has in store: how large the ensemble is, and which faults come how often. Every seed leaves some kinds
//! out, as faults of one kind can hide what another would show.

use std::sync::Arc;

use coord::zab::{Config, Settings};

use crate::random::Random;

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Crash,
    CrashLeader,
    DropLink,
    Partition,
    OneWayCut,
    IsolateLeader,
    /// All cuts end.
    Mend,
    SlowDisk,
    FullDisk,
    FailingSync,
    LostDisk,
    FlippedTree,
    SlowNetwork,
}

const FAULTS: [Fault; 13] = [
    Fault::Crash,
    Fault::CrashLeader,
    Fault::DropLink,
    Fault::Partition,
    Fault::OneWayCut,
    Fault::IsolateLeader,
    Fault::Mend,
    Fault::SlowDisk,
    Fault::FullDisk,
    Fault::FailingSync,
    Fault::LostDisk,
    Fault::FlippedTree,
    Fault::SlowNetwork,
];

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) members: u64,
    pub(crate) config: Arc<Config>,
    pub(crate) settings: Settings,
    pub(crate) faults: Vec<Fault>,
    /// Between two faults, at most.
    pub(crate) fault_us: u64,
    /// Between two operations of clients, at most.
    pub(crate) load_us: u64,
    /// In a million, at each action of a member.
    pub(crate) crashes: u64,
    /// In a million messages.
    pub(crate) losses: u64,
    /// Whether the members change.
    pub(crate) changes: bool,
    /// When everything is healed.
    pub(crate) heals_us: u64,
    /// By when all must agree.
    pub(crate) ends_us: u64,
}

impl Plan {
    pub(crate) fn new(random: &mut Random) -> Plan {
        let voters = [3, 3, 3, 5, 5, 7][random.within(0..6) as usize];
        let observers = [0, 0, 1, 2][random.within(0..4) as usize];
        let members = voters + observers;
        let ids: Vec<u64> = (1..=members).collect();
        let (voting, observing) = ids.split_at(voters as usize);
        let kept = random.within(3..10);
        let mut faults: Vec<Fault> = FAULTS
            .into_iter()
            .filter(|_| random.within(0..10) < kept)
            .collect();
        if faults.iter().any(|fault| {
            matches!(
                fault,
                Fault::Partition | Fault::OneWayCut | Fault::IsolateLeader
            )
        }) {
            faults.push(Fault::Mend);
        }
        let heals_us = random.within(1_500_000..5_000_000);
        Plan {
            members,
            config: Arc::new(Config::new(voting, observing)),
            settings: Settings {
                ping_ms: 40,
                sync_limit_ms: 200,
                init_limit_ms: 500,
                finalize_ms: 20,
                notify_ms: 40,
                room_retry_ms: 100,
                counter_max: [25, 200, u32::MAX][random.within(0..3) as usize],
                window: [2, 8, 1_000][random.within(0..3) as usize],
                batch_max: [1, 4, 256][random.within(0..3) as usize],
                outstanding_max: 64,
            },
            faults,
            fault_us: [30_000, 100_000, 300_000, 600_000][random.within(0..4) as usize],
            load_us: [1_000, 4_000, 15_000][random.within(0..3) as usize],
            crashes: [0, 0, 200, 1_000][random.within(0..4) as usize],
            losses: [0, 0, 1_000, 5_000][random.within(0..4) as usize],
            changes: random.within(0..3) == 0,
            heals_us,
            ends_us: heals_us + 6_000_000,
        }
    }
}
