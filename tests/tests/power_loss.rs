//! The power goes at random moments: every acknowledged record is on the disk.
//!
//! kill -9 keeps the page cache, so this goes further. The data lies on ext4 in an image in
//! memory, whose journal commits only when a sync asks for it. At a random moment under load the
//! node is stopped where it stands and the image copied: what the kernel had not written by then
//! is not in the copy. A node goes on with that, and so do the producers, which were told nothing.

use std::time::Duration;

use milena_tests::group::{Member, commit, committed, find_coordinator};
use milena_tests::history::{Anomaly, History};
use milena_tests::image::{Disk, can_mount};
use milena_tests::load::{Load, Plan};
use milena_tests::process::{Node, Spec, left_cleanly};
use milena_tests::random::{Random, rounds, seed};
use milena_tests::raw::Connection;
use protocol::ErrorCode;

const TOPIC: &str = "power";
const GROUP: &str = "powerless";
const PARTITIONS: i32 = 3;
/// How often the power goes in each round: the second time, what recovery wrote is at stake.
const LOSSES: usize = 2;
const IMAGE_BYTES: u64 = 64 << 20;
const MEMORY_BYTES: u64 = 256 << 20;

/// What stands behind an acknowledgement.
#[derive(Clone, Copy, PartialEq)]
enum Behind {
    /// A sync of each record.
    Syncs,
    /// Memory, for records; all else is synced.
    Memory,
    /// Syncs that do nothing.
    Nothing,
}

/// What is not as it should be.
enum Fault {
    /// So many acknowledged records are gone; and the first anomaly.
    Records(usize, String),
    /// Something other than records, as a sentence.
    Other(String),
}

impl Fault {
    fn other(what: impl ToString) -> Self {
        Self::Other(what.to_string())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records(lost, first) => write!(f, "{lost} lost writes, and first: {first}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    if !can_mount() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let rounds = rounds("POWER_ROUNDS", 8);
    let mut records = 0;
    for round in 0..rounds {
        match lose_power(Behind::Syncs, &mut random) {
            Ok(acked) => records += acked,
            Err(fault) => panic!("round {round} of SEED={seed}: {fault}"),
        }
        if round % 10 == 9 {
            println!("{} rounds, {records} records acknowledged", round + 1);
        }
    }
    println!("{rounds} rounds of {LOSSES} losses each, {records} records acknowledged");
}

/// Kafka's own promise, which a topic may ask for, does not survive this; if it did, the test
/// would not test anything. All but the records is there.
#[test]
fn records_acknowledged_from_memory_are_lost() {
    must_lose(Behind::Memory);
}

/// Here the start may be refused, too.
#[test]
fn without_syncs_records_are_lost() {
    must_lose(Behind::Nothing);
}

fn must_lose(behind: Behind) {
    const TRIES: u64 = 5;
    if !can_mount() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    for _ in 0..TRIES {
        match lose_power(behind, &mut random) {
            Ok(_) | Err(Fault::Records(0, _)) => {}
            Err(Fault::Other(what)) if behind == Behind::Memory => panic!("SEED={seed}: {what}"),
            Err(fault) => {
                println!("lost, as it has to be: {fault}");
                return;
            }
        }
    }
    panic!("nothing was lost in {TRIES} rounds: the power-loss test does not bite");
}

/// One round. Gives how many records were acknowledged, or says what is wrong.
fn lose_power(behind: Behind, random: &mut Random) -> Result<usize, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = Disk::new(folder.path(), IMAGE_BYTES, MEMORY_BYTES).unwrap();
    let mut spec = Spec::new(folder.path());
    spec.data = disk.path().join("data");
    if behind == Behind::Nothing {
        spec.through = Some(env!("CARGO_BIN_EXE_milena-without-sync").into());
    }
    let configs: &[_] = match behind {
        // Small segments, so that the power goes at rolls, too.
        Behind::Syncs => &[("segment.bytes", "1048576")],
        Behind::Memory => &[("flush.messages", "1000000")],
        Behind::Nothing => &[],
    };
    let mut node = spec.start();
    node.connect().make_topic(TOPIC, PARTITIONS, configs);
    let load = Load::start(Plan {
        address: spec.address(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        acks: vec![-1, 1],
        seed: random.any(),
    });
    let mut topics = vec![TOPIC.to_owned()];
    let member = Member::alone(GROUP);
    let mut offset = 0;
    for loss in 1..=LOSSES {
        load.wait_for_acks(random.within(1..400));
        if random.once_in(2) {
            let name = format!("late-{loss}");
            node.connect().make_topic(&name, 1, &[]);
            topics.push(name);
        }
        if behind == Behind::Syncs {
            let mut connection = node.connect();
            find_coordinator(&mut connection, GROUP);
            for _ in 0..random.within(0..5) {
                offset += 1;
                let code = commit(&mut connection, &member, TOPIC, offset);
                assert_eq!(code, ErrorCode::None);
            }
        }
        std::thread::sleep(Duration::from_micros(random.within(0..3000)));
        let copy = if random.once_in(4) {
            // The power goes right after a clean stop, which must have left all on the disk.
            let (status, _) = node.stop();
            assert!(left_cleanly(status), "{status}");
            disk.copy_as_it_stands()
        } else {
            node.freeze();
            let copy = disk.copy_as_it_stands();
            node.kill();
            copy
        };
        disk.restore(copy.unwrap()).unwrap();
        node = restart(&spec, &topics)?;
        if behind != Behind::Syncs {
            // Producers would wait in vain for the places that they were promised.
            let history = load.abandon();
            let acked = history.acked_count();
            return check(&history, &mut node.connect()).map(|()| acked);
        }
        if offset > 0 {
            let (found, _) = committed(&mut node.connect(), GROUP, TOPIC);
            if found != offset {
                return Err(Fault::Other(format!(
                    "offset {offset} was committed, and now it is {found}"
                )));
            }
        }
    }
    load.wait_for_acks(20);
    let history = load.finish();
    check(&history, &mut node.connect())?;
    Ok(history.acked_count())
}

/// Starts a node on what is left, which must know its topics.
fn restart(spec: &Spec, topics: &[String]) -> Result<Node, Fault> {
    let node = spec
        .try_start()
        .map_err(|(status, said)| Fault::Other(format!("the node left with {status}:\n{said}")))?;
    let mut connection = node.connect();
    for name in topics {
        let topic = connection.topic(name).map_err(Fault::other)?;
        let code = ErrorCode::from(topic.error_code);
        if code != ErrorCode::None {
            return Err(Fault::Other(format!("topic {name}: {}", code.name())));
        }
        let mut partitions = topic.partitions.iter();
        if partitions.any(|partition| partition.error_code != 0) {
            return Err(Fault::Other(format!(
                "topic {name} has partitions that are not served"
            )));
        }
    }
    Ok(node)
}

fn check(history: &History, connection: &mut Connection) -> Result<(), Fault> {
    let found = history
        .anomalies(connection, TOPIC, PARTITIONS)
        .map_err(Fault::other)?;
    let is_lost = |found: &&Anomaly| matches!(found, Anomaly::Lost { .. });
    match found.first() {
        None => Ok(()),
        Some(first) => Err(Fault::Records(
            found.iter().filter(is_lost).count(),
            first.to_string(),
        )),
    }
}
