//! The last N records over several partitions, whatever the order they come in. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use client::ConsumerRecord;

/// Holds at most N records.
#[derive(Debug)]
pub struct Last {
    keep: u64,
    heap: BinaryHeap<Reverse<ByTime>>,
}

#[derive(Debug)]
struct ByTime(ConsumerRecord);

impl ByTime {
    fn order(&self) -> (i64, &str, i32, i64) {
        (
            self.0.timestamp,
            &self.0.topic,
            self.0.partition,
            self.0.offset,
        )
    }
}

impl PartialEq for ByTime {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for ByTime {}

impl PartialOrd for ByTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByTime {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl Last {
    pub fn new(keep: u64) -> Self {
        Self {
            keep,
            heap: BinaryHeap::new(),
        }
    }

    pub fn push(&mut self, record: ConsumerRecord) {
        self.heap.push(Reverse(ByTime(record)));
        if self.heap.len() as u64 > self.keep {
            self.heap.pop();
        }
    }

    /// Oldest first, by timestamp, then by partition and offset.
    pub fn into_sorted(self) -> Vec<ConsumerRecord> {
        let mut all: Vec<ByTime> = self.heap.into_iter().map(|r| r.0).collect();
        all.sort();
        all.into_iter().map(|r| r.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use client::TimestampType;

    use super::*;

    fn record(partition: i32, offset: i64, timestamp: i64) -> ConsumerRecord {
        ConsumerRecord {
            topic: "t".into(),
            partition,
            offset,
            timestamp,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_newest_of_all_partitions_are_kept() {
        let mut last = Last::new(3);
        for (partition, offset, timestamp) in
            [(0, 7, 70), (0, 8, 80), (1, 1, 75), (2, 5, 10), (1, 2, 75)]
        {
            last.push(record(partition, offset, timestamp));
        }
        let kept: Vec<_> = last
            .into_sorted()
            .iter()
            .map(|r| (r.partition, r.offset))
            .collect();
        assert_eq!(kept, [(1, 1), (1, 2), (0, 8)]);
        assert!(Last::new(0).into_sorted().is_empty());
    }
}
