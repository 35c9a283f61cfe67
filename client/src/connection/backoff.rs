//! How long to wait before the next try: exponential, with jitter, bounded. Pure: the jitter's
//! randomness is passed in.

use std::time::Duration;

/// A schedule of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer, jitter apart.
    pub most: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (at least one), within a fifth more or less:
    /// clients that failed together must not come back together.
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let base = self.first.saturating_mul(1 << doublings).min(self.most);
        let jitter_percent = 80 + (random % 41) as u32;
        base * jitter_percent / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_stay_within_the_jitter() {
        let backoff = Backoff {
            first: Duration::from_millis(50),
            most: Duration::from_secs(1),
        };
        for (failures, base_ms) in [
            (1, 50),
            (2, 100),
            (3, 200),
            (5, 800),
            (6, 1000),
            (999, 1000),
        ] {
            for random in 0..100 {
                let wait = backoff.wait(failures, random).as_millis() as u64;
                assert!(
                    (base_ms * 8 / 10..=base_ms * 12 / 10).contains(&wait),
                    "{failures} failures: {wait} ms"
                );
            }
        }
    }
}
