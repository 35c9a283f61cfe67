//! Where lines end. Pure: bytes in, ranges out.
//!
//! A line ends with LF; a CR before it belongs to the end. Everything else is the writer's: NULs and bytes
//! that are not UTF-8 pass as they are.

use std::ops::Range;

/// One line within the bytes that were handed in, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub range: Range<usize>,
    /// The line was longer than the limit, and `range` covers only its beginning.
    pub cut: bool,
}

/// What [`split`] made of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub lines: Vec<Found>,
    /// How many bytes are done with; the rest is the beginning of a line that has not ended yet.
    pub consumed: usize,
    /// The bytes ended inside a line over the limit, whose beginning is already among the lines.
    pub skipping: bool,
}

/// Splits `data`, at most `max_lines` of it, into lines of at most `limit` bytes.
///
/// `skipping` says that `data` begins inside a line over the limit, `last` that nothing will follow, so
/// that an unfinished line is one, too.
pub fn split(data: &[u8], skipping: bool, limit: usize, max_lines: usize, last: bool) -> Split {
    let mut out = Split {
        lines: Vec::new(),
        consumed: 0,
        skipping,
    };
    while out.lines.len() < max_lines && out.consumed < data.len() {
        let start = out.consumed;
        let rest = &data[start..];
        if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            out.consumed = start + at + 1;
            if out.skipping {
                out.skipping = false;
            } else {
                out.lines.push(found(data, start..start + at, limit));
            }
        } else if out.skipping {
            out.consumed = data.len();
        } else if rest.len() > limit + 1 {
            // One byte more than the limit may yet turn out to be the CR of a CRLF.
            out.lines.push(found(data, start..data.len(), limit));
            out.consumed = data.len();
            out.skipping = true;
        } else if last {
            out.lines.push(found(data, start..data.len(), limit));
            out.consumed = data.len();
        } else {
            break;
        }
    }
    out
}

fn found(data: &[u8], mut range: Range<usize>, limit: usize) -> Found {
    let ended = data.get(range.end) == Some(&b'\n');
    if ended && data[range.clone()].last() == Some(&b'\r') {
        range.end -= 1;
    }
    let cut = range.len() > limit;
    if cut {
        range.end = range.start + limit;
    }
    Found { range, cut }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(data: &[u8], last: bool, expected: &[&[u8]], consumed: usize) {
        let split = split(data, false, 10, 100, last);
        let lines: Vec<&[u8]> = split.lines.iter().map(|l| &data[l.range.clone()]).collect();
        assert_eq!(lines, expected);
        assert_eq!(split.consumed, consumed);
    }

    #[test]
    fn lines_of_every_kind() {
        check(b"", false, &[], 0);
        check(b"a\nb\n", false, &[b"a", b"b"], 4);
        check(b"a\nb", false, &[b"a"], 2);
        check(b"a\nb", true, &[b"a", b"b"], 3);
        check(b"a\r\n\r\nb\rc\n", false, &[b"a", b"", b"b\rc"], 9);
        check(b"a\r", true, &[b"a\r"], 2);
        check(b"\0\xff\n", false, &[b"\0\xff"], 3);
        check(b"0123456789\r\nx\n", false, &[b"0123456789", b"x"], 14);
        check(b"0123456789abc\nx\n", false, &[b"0123456789", b"x"], 16);
    }

    #[test]
    fn a_line_past_the_limit_is_cut_once_and_skipped_to_its_end() {
        let first = split(b"0123456789abcdef", false, 10, 100, false);
        assert_eq!(
            first.lines,
            [Found {
                range: 0..10,
                cut: true
            }]
        );
        assert!(first.skipping && first.consumed == 16);
        let second = split(b"ghi\nnext\n", true, 10, 100, false);
        assert_eq!(
            second.lines,
            [Found {
                range: 4..8,
                cut: false
            }]
        );
        assert!(!second.skipping);
    }

    proptest! {
        #[test]
        fn cutting_the_input_anywhere_changes_nothing(
            data in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cut in 0usize..200,
        ) {
            let whole = split(&data, false, 1000, 1000, true);
            let cut = cut.min(data.len());
            let one = split(&data[..cut], false, 1000, 1000, false);
            let two = split(&data[one.consumed..], one.skipping, 1000, 1000, true);
            let mut joined: Vec<&[u8]> = one.lines.iter().map(|l| &data[l.range.clone()]).collect();
            joined.extend(two.lines.iter().map(|l| &data[one.consumed..][l.range.clone()]));
            let whole: Vec<&[u8]> = whole.lines.iter().map(|l| &data[l.range.clone()]).collect();
            prop_assert_eq!(joined, whole);
        }
    }
}
