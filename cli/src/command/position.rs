//! Where in a topic to begin, or where to put a group, as written on the command line. Pure but for
//! "now", which is handed in.

use std::fmt;
use std::str::FromStr;

/// A place in every partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Start,
    End,
    Offset(i64),
    /// The last N records, over all partitions.
    Last(u64),
    /// The first record not older than this, in milliseconds since 1970.
    Time(i64),
    /// The first record not older than this long ago, in milliseconds.
    Ago(i64),
}

impl Position {
    /// With [`Position::Ago`] turned into a time.
    #[must_use]
    pub fn at(self, now_ms: i64) -> Self {
        match self {
            Self::Ago(ms) => Self::Time(now_ms.saturating_sub(ms)),
            other => other,
        }
    }
}

/// What may be written, for help texts and errors.
pub const FORMS: &str = "start, end, an OFFSET, -N (the last N records), @TIME (@2026-01-31, @2026-01-31T12:00:00Z, @MILLISECONDS) or -AGO (-1h, -30m, -2d)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPosition(String);

impl fmt::Display for BadPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is none of: {FORMS}", self.0)
    }
}

impl std::error::Error for BadPosition {}

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.to_owned());
        Ok(match text {
            "start" | "beginning" | "earliest" => Self::Start,
            "end" | "latest" => Self::End,
            _ => {
                if let Some(time) = text.strip_prefix('@') {
                    Self::Time(parse_time_ms(time).ok_or_else(bad)?)
                } else if let Some(back) = text.strip_prefix('-') {
                    match back.parse() {
                        Ok(n) => Self::Last(n),
                        Err(_) => Self::Ago(parse_duration_ms(back).ok_or_else(bad)?),
                    }
                } else {
                    Self::Offset(text.parse().map_err(|_| bad())?)
                }
            }
        })
    }
}

/// `2026-01-31`, `2026-01-31T12:00`, both in the local zone, `2026-01-31T12:00:00Z`, or milliseconds.
fn parse_time_ms(text: &str) -> Option<i64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let time = jiff::tz::TimeZone::system().to_timestamp(civil).ok()?;
    Some(time.as_millisecond())
}

/// `500ms`, `30s`, `5m`, `1h`, `2d`, `1w`, and sums as `1h30m`.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        rest = &rest[unit_len..];
        total = total.checked_add(n.checked_mul(unit)?)?;
    }
    Some(total)
}

/// For clap: a duration of at least a millisecond.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    match parse_duration_ms(text) {
        Some(ms @ 1..) => Ok(std::time::Duration::from_millis(ms.cast_unsigned())),
        _ => Err("a duration is wanted, as 500ms, 30s, 5m, 1h or 2d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        for (text, expected) in [
            ("start", Position::Start),
            ("end", Position::End),
            ("0", Position::Offset(0)),
            ("17", Position::Offset(17)),
            ("-10", Position::Last(10)),
            ("-1h", Position::Ago(3_600_000)),
            ("-1h30m", Position::Ago(5_400_000)),
            ("-250ms", Position::Ago(250)),
            ("@1700000000000", Position::Time(1_700_000_000_000)),
            ("@1970-01-01T00:00:01Z", Position::Time(1000)),
            ("@1970-01-01T01:00:01+01:00", Position::Time(1000)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert!(matches!("@2026-01-31".parse(), Ok(Position::Time(_))));
        assert!(matches!("@2026-01-31T12:00".parse(), Ok(Position::Time(_))));
        for text in [
            "",
            "-",
            "@",
            "-x",
            "1h",
            "-1y",
            "@tomorrow",
            "-99999999999999999w",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn ago_counts_back_from_now() {
        assert_eq!(Position::Ago(10).at(100), Position::Time(90));
        assert_eq!(Position::Start.at(100), Position::Start);
    }
}
