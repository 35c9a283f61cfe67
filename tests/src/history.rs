//! What was sent, acknowledged and read during a test, and the anomalies that it may show.
//!
//! A stream is one producer's records to one partition, numbered from 0. An idempotent producer
//! keeps that order over retries, so that a partition must hold a prefix of each stream, once.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use crate::raw::Connection;

/// Bytes of a value that say which record it is.
const NAME_LEN: usize = 16;

/// Which record it is. A record's value begins with this, and the rest follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The producer, by its number in the test.
    pub producer: u32,
    /// The partition that it was sent to.
    pub partition: i32,
    /// Its place in the stream.
    pub count: u64,
}

impl Name {
    /// The value of this record, `len` bytes or a little more.
    pub fn value(self, len: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(len.max(NAME_LEN));
        value.extend(self.producer.to_be_bytes());
        value.extend(self.partition.to_be_bytes());
        value.extend(self.count.to_be_bytes());
        value.resize(len.max(NAME_LEN), self.fill());
        value
    }

    /// The name that a value says; none if it is not a value that [`value`](Self::value) made.
    pub fn of(value: &[u8]) -> Option<Self> {
        let (producer, rest) = value.split_first_chunk()?;
        let (partition, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let name = Self {
            producer: u32::from_be_bytes(*producer),
            partition: i32::from_be_bytes(*partition),
            count: u64::from_be_bytes(*count),
        };
        rest.iter().all(|byte| *byte == name.fill()).then_some(name)
    }

    fn fill(self) -> u8 {
        (self.count as u8).wrapping_mul(31) ^ self.producer as u8
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Name {
            producer,
            partition,
            count,
        } = self;
        write!(
            f,
            "record {count} of producer {producer} to partition {partition}"
        )
    }
}

/// What must not happen, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anomaly {
    /// Acknowledged, and not there.
    Lost { name: Name, offset: i64 },
    /// There more than once.
    Duplicate { name: Name, offsets: [i64; 2] },
    /// There, and never sent to this partition, or not as it was sent.
    Unsent { offset: i64 },
    /// Behind a later record of its stream, or ahead of an earlier one that is missing.
    Order {
        name: Name,
        offset: i64,
        expected: u64,
    },
    /// Acknowledged or read at an offset that now holds another record, or none.
    TwoValues {
        offset: i64,
        was: Name,
        is: Option<Name>,
    },
    /// Offsets that nobody has.
    Gap { after: i64, next: i64 },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anomaly::Lost { name, offset } => {
                write!(f, "lost write: {name} was acknowledged at offset {offset}")
            }
            Anomaly::Duplicate {
                name,
                offsets: [a, b],
            } => {
                write!(f, "duplicate: {name} is at offsets {a} and {b}")
            }
            Anomaly::Unsent { offset } => write!(f, "what is at offset {offset} was never sent"),
            Anomaly::Order {
                name,
                offset,
                expected,
            } => write!(
                f,
                "order: {name} is at offset {offset}, where record {expected} of it should come"
            ),
            Anomaly::TwoValues {
                offset,
                was,
                is: Some(is),
            } => {
                write!(f, "offset {offset} held {was}, and now {is}")
            }
            Anomaly::TwoValues {
                offset,
                was,
                is: None,
            } => {
                write!(f, "offset {offset} held {was}, and now nothing")
            }
            Anomaly::Gap { after, next } => write!(f, "gap: offset {next} follows {after}"),
        }
    }
}

/// What has happened, by stream and partition.
#[derive(Debug, Default, Clone)]
pub struct History {
    /// How many records were sent, by producer and partition.
    sent: BTreeMap<(u32, i32), u64>,
    acked: BTreeMap<Name, i64>,
    /// What consumers were given, by partition and offset.
    read: BTreeMap<(i32, i64), Name>,
    /// Found while it happened.
    found: Vec<Anomaly>,
}

impl History {
    /// `count` more records are on their way.
    pub fn sent(&mut self, producer: u32, partition: i32, count: u64) {
        *self.sent.entry((producer, partition)).or_default() += count;
    }

    /// A batch from `first` on was acknowledged.
    pub fn acked(&mut self, first: Name, count: u64, base_offset: i64) {
        for step in 0..count {
            let name = Name {
                count: first.count + step,
                ..first
            };
            self.acked.insert(name, base_offset + step as i64);
        }
    }

    /// How many records were acknowledged.
    pub fn acked_count(&self) -> usize {
        self.acked.len()
    }

    /// How many records consumers were given.
    pub fn read_count(&self) -> usize {
        self.read.len()
    }

    /// A consumer that asked for `asked` was given the record at `offset`.
    pub fn read(&mut self, partition: i32, asked: i64, offset: i64, value: &[u8]) {
        if asked != offset {
            self.found.push(Anomaly::Gap {
                after: asked - 1,
                next: offset,
            });
        }
        let Some(name) = Name::of(value) else {
            self.found.push(Anomaly::Unsent { offset });
            return;
        };
        if let Some(was) = self.read.insert((partition, offset), name)
            && was != name
        {
            self.found.push(Anomaly::TwoValues {
                offset,
                was,
                is: Some(name),
            });
        }
    }

    /// Reads the first so many partitions of a topic and compares each with what happened.
    pub fn anomalies(
        &self,
        connection: &mut Connection,
        topic: &str,
        partitions: i32,
    ) -> io::Result<Vec<Anomaly>> {
        let mut found = Vec::new();
        for partition in 0..partitions {
            let log = connection.read_all(topic, partition)?;
            let records = log
                .iter()
                .map(|record| (record.offset, record.value.as_deref().unwrap_or_default()));
            found.extend(self.check(partition, records));
        }
        Ok(found)
    }

    /// Asserts that there are none.
    ///
    /// # Panics
    /// If there are, with the first of them.
    pub fn assert_well(&self, connection: &mut Connection, topic: &str, partitions: i32) {
        const TOLD: usize = 10;
        let found = self
            .anomalies(connection, topic, partitions)
            .unwrap_or_else(|error| panic!("{topic} cannot be read: {error}"));
        let told: Vec<_> = found.iter().take(TOLD).map(ToString::to_string).collect();
        assert!(
            found.is_empty(),
            "{} anomalies in {topic}:\n{}",
            found.len(),
            told.join("\n")
        );
    }

    /// Compares a partition's whole log, offsets and values, with what happened.
    pub fn check<'a>(
        &self,
        partition: i32,
        log: impl IntoIterator<Item = (i64, &'a [u8])>,
    ) -> Vec<Anomaly> {
        let mut found = self.found.clone();
        let mut at: BTreeMap<i64, Name> = BTreeMap::new();
        let mut places: BTreeMap<Name, i64> = BTreeMap::new();
        let mut next_of: BTreeMap<u32, u64> = BTreeMap::new();
        let mut expected = None;
        for (offset, value) in log {
            if let Some(expected) = expected
                && expected != offset
            {
                found.push(Anomaly::Gap {
                    after: expected - 1,
                    next: offset,
                });
            }
            expected = Some(offset + 1);
            let name = Name::of(value).filter(|name| {
                let sent = self.sent.get(&(name.producer, partition)).copied();
                name.partition == partition && name.count < sent.unwrap_or(0)
            });
            let Some(name) = name else {
                found.push(Anomaly::Unsent { offset });
                continue;
            };
            at.insert(offset, name);
            let first = *places.entry(name).or_insert(offset);
            if first != offset {
                found.push(Anomaly::Duplicate {
                    name,
                    offsets: [first, offset],
                });
                continue;
            }
            let next = next_of.entry(name.producer).or_default();
            if name.count != *next {
                found.push(Anomaly::Order {
                    name,
                    offset,
                    expected: *next,
                });
            }
            *next = name.count + 1;
        }
        for (&name, &offset) in &self.acked {
            if name.partition != partition {
                continue;
            }
            match places.get(&name) {
                None => found.push(Anomaly::Lost { name, offset }),
                Some(&place) if place != offset => found.push(Anomaly::TwoValues {
                    offset,
                    was: name,
                    is: at.get(&offset).copied(),
                }),
                Some(_) => {}
            }
        }
        for (&(_, offset), &was) in self.read.range((partition, 0)..(partition + 1, 0)) {
            let is = at.get(&offset).copied();
            if is != Some(was) {
                found.push(Anomaly::TwoValues { offset, was, is });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(count: u64) -> Name {
        Name {
            producer: 1,
            partition: 0,
            count,
        }
    }

    /// Four records sent, of which the first two are acknowledged at offsets 0 and 1.
    fn history() -> History {
        let mut history = History::default();
        history.sent(1, 0, 4);
        history.acked(name(0), 2, 0);
        history
    }

    fn check(history: &History, counts: &[u64]) -> Vec<Anomaly> {
        let log: Vec<_> = counts.iter().map(|count| name(*count).value(40)).collect();
        history.check(0, (0..).zip(log.iter().map(Vec::as_slice)))
    }

    #[test]
    fn a_prefix_of_each_stream_that_holds_what_was_acknowledged_is_well() {
        for log in [&[0, 1][..], &[0, 1, 2], &[0, 1, 2, 3]] {
            assert_eq!(check(&history(), log), []);
        }
    }

    #[test]
    fn each_anomaly_is_found() {
        let history = history();
        let lost = Anomaly::Lost {
            name: name(1),
            offset: 1,
        };
        assert_eq!(check(&history, &[0]), [lost]);
        let duplicate = Anomaly::Duplicate {
            name: name(1),
            offsets: [1, 2],
        };
        assert_eq!(check(&history, &[0, 1, 1]), [duplicate]);
        let order = |count, offset, expected| Anomaly::Order {
            name: name(count),
            offset,
            expected,
        };
        assert_eq!(
            check(&history, &[0, 1, 3, 2]),
            [order(3, 2, 2), order(2, 3, 4)]
        );
        assert_eq!(
            check(&history, &[0, 1, 2, 3, 4]),
            [Anomaly::Unsent { offset: 4 }]
        );
        let values = [name(0).value(20), name(1).value(20)];
        let gap = history.check(0, [(0, &*values[0]), (2, &*values[1])]);
        let moved = Anomaly::TwoValues {
            offset: 1,
            was: name(1),
            is: None,
        };
        assert_eq!(gap, [Anomaly::Gap { after: 0, next: 2 }, moved]);
        let mut torn = name(2).value(30);
        torn[29] ^= 1;
        let torn = history.check(0, [(0, &*values[0]), (1, &*values[1]), (2, &*torn)]);
        assert_eq!(torn, [Anomaly::Unsent { offset: 2 }]);
    }

    #[test]
    fn what_a_consumer_was_given_must_stay() {
        let mut history = history();
        history.read(0, 2, 2, &name(2).value(20));
        assert_eq!(check(&history, &[0, 1, 2]), []);
        let gone = Anomaly::TwoValues {
            offset: 2,
            was: name(2),
            is: None,
        };
        assert_eq!(check(&history, &[0, 1]), [gone]);
        history.read(0, 3, 4, &name(3).value(20));
        let skipped = Anomaly::Gap { after: 2, next: 4 };
        assert_eq!(check(&history, &[0, 1, 2])[0], skipped);
    }
}
