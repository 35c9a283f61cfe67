//! Where a reset puts a group in one partition. Pure.

use super::position::Position;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Position(Position),
    /// From where the group is.
    Shift(i64),
}

/// What is known of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The first offset that is there.
    pub begin: i64,
    /// The offset behind the last record.
    pub end: i64,
    /// What the group has committed.
    pub current: Option<i64>,
    /// The first record not older than the time asked for, if there is one.
    pub at_time: Option<i64>,
}

/// The new offset, which always lies within the partition.
pub fn target(to: To, bounds: &Bounds) -> i64 {
    let Bounds { begin, end, .. } = *bounds;
    let offset = match to {
        To::Position(Position::Start) => begin,
        To::Position(Position::End) => end,
        To::Position(Position::Offset(offset)) => offset,
        To::Position(Position::Last(n)) => end.saturating_sub_unsigned(n),
        To::Position(Position::Time(_) | Position::Ago(_)) => bounds.at_time.unwrap_or(end),
        // A group without an offset would begin at the start.
        To::Shift(by) => bounds.current.unwrap_or(begin).saturating_add(by),
    };
    offset.clamp(begin, end.max(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_within_the_partition() {
        let bounds = Bounds {
            begin: 10,
            end: 100,
            current: Some(50),
            at_time: Some(70),
        };
        for (to, expected) in [
            (To::Position(Position::Start), 10),
            (To::Position(Position::End), 100),
            (To::Position(Position::Offset(20)), 20),
            (To::Position(Position::Offset(5)), 10),
            (To::Position(Position::Offset(500)), 100),
            (To::Position(Position::Last(30)), 70),
            (To::Position(Position::Last(u64::MAX)), 10),
            (To::Position(Position::Time(1)), 70),
            (To::Shift(-20), 30),
            (To::Shift(-45), 10),
            (To::Shift(i64::MAX), 100),
        ] {
            assert_eq!(target(to, &bounds), expected, "{to:?}");
        }
        let fresh = Bounds {
            current: None,
            at_time: None,
            ..bounds
        };
        assert_eq!(target(To::Shift(5), &fresh), 15);
        assert_eq!(target(To::Position(Position::Time(1)), &fresh), 100);
    }
}
