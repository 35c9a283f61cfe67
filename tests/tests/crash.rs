//! kill -9 at random moments: every acknowledged record is there once and in order.

use std::time::Duration;

use milena_tests::load::{Load, Plan};
use milena_tests::process::{Spec, left_cleanly};
use milena_tests::random::{Random, rounds, seed};
use rustix::process::Signal;

const TOPIC: &str = "crash";
const PARTITIONS: i32 = 4;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_over_kill_9() {
    let seed = seed();
    let rounds = rounds("CRASH_ROUNDS", 25);
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let spec = Spec::new(folder.path());
    let mut node = spec.start();
    // Small segments, so that crashes meet rolls.
    node.connect()
        .make_topic(TOPIC, PARTITIONS, &[("segment.bytes", "1048576")]);
    let load = Load::start(Plan {
        address: spec.address(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        acks: vec![-1, -1, 1],
        seed,
    });
    for round in 0..rounds {
        load.wait_for_acks(random.within(1..300));
        // Not always right behind an acknowledgement.
        std::thread::sleep(Duration::from_micros(random.within(0..3000)));
        if random.once_in(5) {
            // As a machine that swaps, or a paused container.
            node.freeze();
            std::thread::sleep(Duration::from_millis(random.within(0..100)));
            node.signal(Signal::CONT);
            load.wait_for_acks(1);
        }
        node.kill();
        while random.once_in(3) {
            let starting = spec.spawn();
            std::thread::sleep(Duration::from_millis(random.within(0..60)));
            starting.kill();
        }
        node = spec.start();
        if round % 50 == 49 {
            println!("{} rounds, {} batches", round + 1, load.acked_batches());
        }
    }
    load.wait_for_acks(50);
    let batches = load.acked_batches();
    let history = load.finish();
    println!(
        "{rounds} crashes, {} records in {batches} batches acknowledged",
        history.acked_count()
    );
    history.assert_well(&mut node.connect(), TOPIC, PARTITIONS);
    let (status, _) = node.stop();
    assert!(left_cleanly(status), "{status}");
    let node = spec.start();
    history.assert_well(&mut node.connect(), TOPIC, PARTITIONS);
}
