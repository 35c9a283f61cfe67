//! Counts per key over tumbling windows, by event time. Pure: times come in as values.
//!
//! A window closes once the watermark has passed its end by the grace. The watermark is the least of the
//! partitions' newest event times; a partition that has been silent for a while does not hold it back, and
//! when all are silent, the wall clock carries it on. What comes for a closed window is late.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use client::TopicPartition;

/// How windows are cut and closed, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub size_ms: i64,
    pub grace_ms: i64,
    /// A partition without records for this long counts as silent.
    pub idle_ms: i64,
    /// At most this many keys in all open windows.
    pub max_keys: usize,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Counted,
    Late,
    /// There is no room for another key.
    Full,
}

/// A closed window's count for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub key: Option<Bytes>,
    pub start_ms: i64,
    pub end_ms: i64,
    pub count: u64,
}

/// The longest time between two ticks that counts as listening.
const TICK_MS_MAX: i64 = 2000;

#[derive(Debug, Default)]
struct Window {
    counts: BTreeMap<Option<Bytes>, u64>,
    /// The first offset of each partition that is counted here.
    first: BTreeMap<TopicPartition, i64>,
}

#[derive(Debug)]
struct Progress {
    newest_ms: Option<i64>,
    /// For how long it has been silent while we listened.
    silent_ms: i64,
    /// Since the last tick its broker did not answer.
    unheard: bool,
}

/// The open windows.
#[derive(Debug)]
pub struct Windows {
    shape: Shape,
    open: BTreeMap<i64, Window>,
    keys: usize,
    partitions: BTreeMap<TopicPartition, Progress>,
    watermark_ms: i64,
    ticked_ms: Option<i64>,
    /// Records in counts that were not put out, as an earlier run had put out one for the same key and window.
    pub repeated: u64,
    /// Counts that an earlier run has put out already.
    done: BTreeSet<(i64, Option<Bytes>)>,
}

impl Windows {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            open: BTreeMap::new(),
            keys: 0,
            partitions: BTreeMap::new(),
            watermark_ms: i64::MIN,
            ticked_ms: None,
            repeated: 0,
            done: BTreeSet::new(),
        }
    }

    /// An earlier run has put out this count. If its records come again after a restart, it is not put
    /// out again.
    pub fn already(&mut self, start_ms: i64, key: Option<Bytes>) {
        self.done.insert((start_ms, key));
    }

    /// The partition's records follow: until the first, it holds the watermark back.
    pub fn assigned(&mut self, partition: TopicPartition) {
        self.partitions.entry(partition).or_insert(Progress {
            newest_ms: None,
            silent_ms: 0,
            unheard: false,
        });
    }

    /// Time has passed in which records could have come. More than a little between two ticks does not count:
    /// we were busy or stopped then, and did not listen.
    pub fn tick(&mut self, now_ms: i64) {
        let before = self.ticked_ms.replace(now_ms).unwrap_or(now_ms);
        let passed = (now_ms - before).clamp(0, TICK_MS_MAX);
        for progress in self.partitions.values_mut() {
            progress.silent_ms = if std::mem::take(&mut progress.unheard) {
                0
            } else {
                progress.silent_ms.saturating_add(passed)
            };
        }
    }

    /// The partitions' brokers do not answer. Nobody knows what these have by now, so their silence begins
    /// anew after the next tick: else all that was written meanwhile would come late.
    pub fn unheard(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(progress) = self.partitions.get_mut(partition) {
                progress.unheard = true;
            }
        }
    }

    /// The partitions are someone else's now. Windows with records of them are dropped as a whole: the
    /// stage commits no further than their first records, so these come again, here or there.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions.remove(partition);
            self.open.retain(|_, w| !w.first.contains_key(partition));
        }
        self.keys = self.open.values().map(|w| w.counts.len()).sum();
    }

    /// Counts a record with the event time `time_ms`.
    pub fn add(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        time_ms: i64,
        key: Option<&Bytes>,
    ) -> Added {
        let start = time_ms.div_euclid(self.shape.size_ms) * self.shape.size_ms;
        let progress = self
            .partitions
            .entry(partition.clone())
            .or_insert(Progress {
                newest_ms: None,
                silent_ms: 0,
                unheard: false,
            });
        progress.newest_ms = progress.newest_ms.max(Some(time_ms));
        progress.silent_ms = 0;
        if self.is_closed(start) {
            return Added::Late;
        }
        let window = self.open.entry(start).or_default();
        let key = key.map(|k| Bytes::copy_from_slice(k));
        match window.counts.get_mut(&key) {
            Some(count) => *count += 1,
            None if self.keys >= self.shape.max_keys => return Added::Full,
            None => {
                self.keys += 1;
                window.counts.insert(key, 1);
            }
        }
        window.first.entry(partition.clone()).or_insert(offset);
        Added::Counted
    }

    /// Closes the windows that the watermark has passed by now, oldest first, keys in order.
    pub fn close(&mut self, now_ms: i64) -> Vec<Count> {
        self.watermark_ms = self.watermark_ms.max(self.watermark(now_ms));
        let mut out = Vec::new();
        while let Some((start, _)) = self.open.first_key_value() {
            if !self.is_closed(*start) {
                break;
            }
            out.extend(self.put_out());
        }
        out
    }

    /// Closes all windows: the input has ended.
    pub fn close_all(&mut self) -> Vec<Count> {
        let mut out = Vec::new();
        while !self.open.is_empty() {
            out.extend(self.put_out());
        }
        out
    }

    fn put_out(&mut self) -> Vec<Count> {
        let Some((start_ms, window)) = self.open.pop_first() else {
            return Vec::new();
        };
        self.keys -= window.counts.len();
        let counts = window.counts.into_iter().map(|(key, count)| Count {
            key,
            start_ms,
            end_ms: start_ms + self.shape.size_ms,
            count,
        });
        let done = &self.done;
        let (again, new): (Vec<Count>, Vec<Count>) =
            counts.partition(|c| done.contains(&(c.start_ms, c.key.clone())));
        self.repeated += again.iter().map(|c| c.count).sum::<u64>();
        self.done.retain(|(start, _)| *start > start_ms);
        new
    }

    /// The lowest offset of `partition` that an open window counts.
    pub fn holds(&self, partition: &TopicPartition) -> Option<i64> {
        let firsts = self.open.values().filter_map(|w| w.first.get(partition));
        firsts.min().copied()
    }

    fn is_closed(&self, start_ms: i64) -> bool {
        let end_ms = start_ms.saturating_add(self.shape.size_ms);
        end_ms.saturating_add(self.shape.grace_ms) <= self.watermark_ms
    }

    fn watermark(&self, now_ms: i64) -> i64 {
        let silent = |p: &Progress| p.silent_ms >= self.shape.idle_ms;
        let heard = self.partitions.values().filter(|p| !silent(p));
        match heard.map(|p| p.newest_ms.unwrap_or(i64::MIN)).min() {
            Some(least) => least,
            None if self.partitions.is_empty() => i64::MIN,
            None => {
                let newest = self.partitions.values().filter_map(|p| p.newest_ms).max();
                newest.unwrap_or(i64::MIN).max(now_ms - self.shape.idle_ms)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        size_ms: 60,
        grace_ms: 10,
        idle_ms: 1000,
        max_keys: 3,
    };

    struct World {
        windows: Windows,
        offset: i64,
        now: i64,
    }

    impl World {
        fn new() -> Self {
            Self {
                windows: Windows::new(SHAPE),
                offset: 0,
                now: 0,
            }
        }

        fn add(&mut self, partition: i32, time: i64, key: &'static str) -> Added {
            self.offset += 1;
            let key = Bytes::from(key);
            self.windows
                .add(&tp(partition), self.offset, time, Some(&key))
        }

        fn close(&mut self) -> Vec<(i64, String, u64)> {
            self.windows.tick(self.now);
            let closed = self.windows.close(self.now);
            let short = |c: Count| {
                let key = c.key.map(|k| String::from_utf8_lossy(&k).into_owned());
                (c.start_ms, key.unwrap_or_default(), c.count)
            };
            closed.into_iter().map(short).collect()
        }
    }

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn one(start: i64, key: &str, count: u64) -> (i64, String, u64) {
        (start, key.to_owned(), count)
    }

    #[test]
    fn a_window_closes_by_event_time_and_grace() {
        let mut w = World::new();
        for (time, key) in [(0, "a"), (59, "b"), (30, "a"), (60, "a"), (69, "a")] {
            assert_eq!(w.add(0, time, key), Added::Counted);
            assert_eq!(w.close(), []);
        }
        assert_eq!(w.windows.holds(&tp(0)), Some(1));
        w.add(0, 70, "a");
        assert_eq!(w.close(), [one(0, "a", 2), one(0, "b", 1)]);
        assert_eq!(w.windows.holds(&tp(0)), Some(4));
        assert_eq!(w.add(0, 59, "b"), Added::Late);
        assert_eq!(w.add(0, -1, "b"), Added::Late);
    }

    #[test]
    fn the_slowest_partition_holds_windows_open_until_it_falls_silent() {
        let mut w = World::new();
        w.windows.assigned(tp(1));
        w.add(0, 10, "a");
        w.add(0, 500, "a");
        assert_eq!(w.close(), []);
        w.add(1, 20, "a");
        assert_eq!(w.close(), []);
        w.now = 999;
        w.add(0, 510, "a");
        assert_eq!(w.close(), []);
        w.now = 1000;
        assert_eq!(w.close(), [one(0, "a", 2)]);
        assert_eq!(w.add(1, 30, "a"), Added::Late);
    }

    #[test]
    fn when_all_are_silent_the_wall_clock_closes_the_last_window() {
        let mut w = World::new();
        w.now = 100;
        w.add(0, 100, "a");
        assert_eq!(w.close(), []);
        w.now = 1129;
        assert_eq!(w.close(), []);
        w.now = 1130;
        assert_eq!(w.close(), [one(60, "a", 1)]);
    }

    #[test]
    fn time_in_which_nobody_listened_makes_no_partition_silent() {
        let mut w = World::new();
        w.windows = Windows::new(Shape {
            idle_ms: 30_000,
            ..SHAPE
        });
        w.windows.assigned(tp(1));
        w.add(0, 10, "a");
        w.add(0, 500, "a");
        assert_eq!(w.close(), []);
        // A record that took long, or a machine that slept.
        w.now = 100_000;
        assert_eq!(w.close(), []);
        assert_eq!(w.add(1, 20, "a"), Added::Counted);
    }

    #[test]
    fn a_partition_whose_broker_does_not_answer_is_not_silent() {
        let mut w = World::new();
        w.add(0, 10, "a");
        assert_eq!(w.close(), []);
        for _ in 0..10 {
            w.now += 900;
            w.windows.unheard(&[tp(0)]);
            assert_eq!(w.close(), []);
        }
        w.now += 900;
        assert_eq!(w.close(), []);
        assert_eq!(w.add(0, 20, "a"), Added::Counted);
        w.now += 1000;
        assert_eq!(w.close(), [one(0, "a", 2)]);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut w = World::new();
        for key in ["a", "b", "c"] {
            assert_eq!(w.add(0, 0, key), Added::Counted);
        }
        assert_eq!(w.add(0, 0, "d"), Added::Full);
        assert_eq!(w.add(0, 0, "a"), Added::Counted);
        w.add(0, 1000, "a");
        w.close();
        assert_eq!(w.add(0, 1000, "d"), Added::Counted);
    }

    #[test]
    fn what_an_earlier_run_has_put_out_is_not_put_out_again() {
        let mut w = World::new();
        w.windows.already(0, Some(Bytes::from("a")));
        w.add(0, 5, "a");
        w.add(0, 6, "b");
        w.add(0, 70, "a");
        assert_eq!(w.close(), [one(0, "b", 1)]);
        assert_eq!(w.windows.repeated, 1);
    }

    #[test]
    fn revoked_partitions_take_their_windows_along() {
        let mut w = World::new();
        w.add(0, 5, "a");
        w.add(1, 65, "a");
        w.windows.revoked(&[tp(1)]);
        assert_eq!(w.windows.holds(&tp(1)), None);
        assert_eq!(w.windows.holds(&tp(0)), Some(1));
    }
}
