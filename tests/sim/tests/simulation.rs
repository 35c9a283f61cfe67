//! A sample of seeds with every change; continuous integration runs more of them, optimised.

use milena_sim::{World, run};

#[test]
fn two_hundred_seeds_violate_nothing() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..200).step_by(threads as usize) {
                    if let Err(violation) = run(|| World::new(seed, false)) {
                        panic!(
                            "{}: {}\n  cargo run -p milena-sim --release -- --seed {seed} --trace",
                            violation.property, violation.what
                        );
                    }
                }
            });
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2, 3, 77] {
        let first = run(|| World::new(seed, false));
        assert!(first.is_ok());
        assert_eq!(first, run(|| World::new(seed, false)), "seed {seed}");
    }
    let trace = |seed| run(|| World::new(seed, false)).map(|report| report.trace);
    assert_ne!(trace(1), trace(2));
}

/// `cargo test -p milena-sim --release --features planted-bugs`: the simulator finds every fault that is put in.
#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    for bug in coord::zab::Bug::ALL {
        let found = (0..3_000).any(|seed| {
            let planted = || {
                let mut world = World::new(seed, false);
                world.plant(*bug);
                world
            };
            run(planted).is_err()
        });
        assert!(found, "{bug:?}");
    }
}
