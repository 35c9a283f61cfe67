//! The power goes at random moments: every acknowledged record is on the disk.
//!
//! kill -9 keeps the page cache, so this goes further. The data lies on ext4 in an image in
//! memory, whose journal commits only when a sync asks for it. At a random moment under load the
//! node is stopped where it stands and the image copied: what the kernel had not written by then
//! is not in the copy. A node goes on with that, and so do the producers, which were told nothing.

use std::time::Duration;

use milena_tests::group::{Member, commit, committed, find_coordinator};
use milena_tests::history::{Anomaly, History};
use milena_tests::image::{Mount, cannot_mount, copy_as_it_stands, make_ext4};
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

/// What a round is to show.
struct Case<'a> {
    /// Configs of the topic.
    configs: &'a [(&'a str, &'a str)],
    /// Whether syncs do anything.
    syncs: bool,
    /// Whether what was acknowledged must be there afterwards.
    keeps: bool,
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    if let Some(reason) = cannot_mount() {
        println!("SKIPPED: the power-loss test mounts images, and {reason}");
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let case = Case {
        configs: &[("segment.bytes", "1048576")],
        syncs: true,
        keeps: true,
    };
    let rounds = rounds("POWER_ROUNDS", 8);
    let mut records = 0;
    for round in 0..rounds {
        match lose_power(&case, &mut random) {
            Ok(acked) => records += acked,
            Err(lost) => panic!("round {round} of SEED={seed}: {lost}"),
        }
        if round % 10 == 9 {
            println!("{} rounds, {records} records acknowledged", round + 1);
        }
    }
    println!("{rounds} rounds of {LOSSES} losses each, {records} records acknowledged");
}

/// Kafka's own promise, which a topic may ask for, does not survive this; if it did, the test
/// would not test anything.
#[test]
fn records_acknowledged_from_memory_are_lost() {
    let configs = [("flush.messages", "1000000")];
    must_lose(&Case {
        configs: &configs,
        syncs: true,
        keeps: false,
    });
}

#[test]
fn without_syncs_records_are_lost() {
    must_lose(&Case {
        configs: &[],
        syncs: false,
        keeps: false,
    });
}

fn must_lose(case: &Case) {
    const TRIES: u64 = 5;
    if let Some(reason) = cannot_mount() {
        println!("SKIPPED: the power-loss test mounts images, and {reason}");
        return;
    }
    let mut random = Random::new(seed());
    for _ in 0..TRIES {
        if let Err(lost) = lose_power(case, &mut random) {
            println!("lost, as it has to be: {lost}");
            return;
        }
    }
    panic!("nothing was lost in {TRIES} rounds: the power-loss test does not bite");
}

/// One round. Gives how many records were acknowledged, or says what was lost.
fn lose_power(case: &Case, random: &mut Random) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let memory = Mount::memory(&folder.path().join("memory"), MEMORY_BYTES).unwrap();
    let mut image = memory.path().join("image-0");
    make_ext4(&image, IMAGE_BYTES).unwrap();
    let mut disk = Mount::image(&image, &folder.path().join("disk-0")).unwrap();
    let mut spec = Spec::new(folder.path());
    spec.data = disk.path().join("data");
    if !case.syncs {
        spec.through = Some(env!("CARGO_BIN_EXE_milena-without-sync").into());
    }
    let mut node = spec.start();
    node.connect().make_topic(TOPIC, PARTITIONS, case.configs);
    let load = Load::start(Plan {
        address: spec.address(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        acks: vec![-1, 1],
        seed: random.any(),
    });
    let mut topics = Vec::new();
    let member = Member::alone(GROUP);
    let mut offset = 0;
    for loss in 1..=LOSSES {
        load.wait_for_acks(random.within(1..400));
        if random.once_in(2) {
            let name = format!("late-{loss}");
            node.connect().make_topic(&name, 1, &[]);
            topics.push(name);
        }
        if case.keeps {
            let mut connection = node.connect();
            find_coordinator(&mut connection, GROUP);
            for _ in 0..random.within(0..5) {
                offset += 1;
                let code = commit(&mut connection, &member, TOPIC, offset);
                assert_eq!(code, ErrorCode::None);
            }
        }
        std::thread::sleep(Duration::from_micros(random.within(0..3000)));
        let copy = memory.path().join(format!("image-{loss}"));
        if random.once_in(4) {
            // The power goes right after a clean stop, which must have left all on the disk.
            let (status, _) = node.stop();
            assert!(left_cleanly(status), "{status}");
            copy_as_it_stands(&image, &copy).unwrap();
        } else {
            node.freeze();
            copy_as_it_stands(&image, &copy).unwrap();
            node.kill();
        }
        drop(disk);
        std::fs::remove_file(&image).unwrap();
        image = copy;
        disk = Mount::image(&image, &folder.path().join(format!("disk-{loss}"))).unwrap();
        spec.data = disk.path().join("data");
        node = match restart(&spec, &topics) {
            Ok(node) => node,
            Err(lost) => {
                load.abandon();
                return Err(lost);
            }
        };
        if !case.keeps {
            // Producers would wait in vain for the places that they were promised.
            let history = load.abandon();
            let acked = history.acked_count();
            return check(&history, &mut node.connect()).map(|()| acked);
        }
        if offset > 0 {
            let (found, _) = committed(&mut node.connect(), GROUP, TOPIC);
            if found != offset {
                load.abandon();
                return Err(format!(
                    "offset {offset} was committed, and now it is {found}"
                ));
            }
        }
    }
    load.wait_for_acks(20);
    let history = load.finish();
    check(&history, &mut node.connect())?;
    Ok(history.acked_count())
}

/// Starts a node on what is left, which must know its topics.
fn restart(spec: &Spec, topics: &[String]) -> Result<Node, String> {
    let node = spec.start();
    let mut connection = node.connect();
    for name in topics.iter().map(String::as_str).chain([TOPIC]) {
        let topic = connection.topic(name).map_err(|error| error.to_string())?;
        let code = ErrorCode::from(topic.error_code);
        if code != ErrorCode::None {
            return Err(format!("topic {name}: {}", code.name()));
        }
        if topic
            .partitions
            .iter()
            .any(|partition| partition.error_code != 0)
        {
            return Err(format!("topic {name} has partitions that are not served"));
        }
    }
    Ok(node)
}

fn check(history: &History, connection: &mut Connection) -> Result<(), String> {
    for partition in 0..PARTITIONS {
        let log = connection
            .read_all(TOPIC, partition)
            .map_err(|error| error.to_string())?;
        let records = log
            .iter()
            .map(|record| (record.offset, record.value.as_deref().unwrap_or_default()));
        let found = history.check(partition, records);
        if let Some(first) = found.first() {
            let lost = found.iter().filter(|f| matches!(f, Anomaly::Lost { .. }));
            let lost = lost.count();
            return Err(format!(
                "{} anomalies, {lost} of them lost writes: {first}",
                found.len()
            ));
        }
    }
    Ok(())
}
