//! Kafka's checkpoint files: a version, a count, and so many lines.
//!
//! `leader-epoch-checkpoint` has lines of `epoch offset`; the three offset checkpoints of a log
//! directory have lines of `topic partition offset`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use disk::Disk;

use super::error::LogError;

/// The lines of a checkpoint file after its version and count.
pub(super) struct Lines;

impl Lines {
    /// The file with these lines.
    pub(super) fn format(lines: impl ExactSizeIterator<Item = String>) -> String {
        let mut text = format!("0\n{}\n", lines.len());
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The lines of a file, as many as it says there are.
    pub(super) fn parse<'a>(
        path: &Path,
        text: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a str> + use<'a>, LogError> {
        let malformed = |reason: &str| LogError::malformed(path, reason);
        let text = std::str::from_utf8(text).map_err(|_| malformed("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some("0") {
            return Err(malformed("its version is not 0"));
        }
        let count: usize = number(lines.next()).ok_or_else(|| malformed("it has no count"))?;
        if lines.clone().count() < count {
            return Err(malformed("it has fewer lines than it says"));
        }
        Ok(lines.take(count))
    }
}

pub(super) fn number<T: std::str::FromStr>(word: Option<&str>) -> Option<T> {
    word?.trim().parse().ok()
}

/// Offsets by topic and partition, as an offset checkpoint holds them.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

/// Reads an offset checkpoint; none is empty.
pub(super) fn read<D: Disk>(disk: &D, path: &Path) -> Result<Offsets, LogError> {
    let Some(text) = disk.read_if_there(path)? else {
        return Ok(Offsets::new());
    };
    let mut offsets = Offsets::new();
    for line in Lines::parse(path, &text)? {
        let mut words = line.split(' ');
        let topic = words.next().unwrap_or_default().to_owned();
        match (number(words.next()), number(words.next())) {
            (Some(partition), Some(offset)) => offsets.insert((topic, partition), offset),
            _ => {
                let reason = format!("\"{line}\" is no topic, partition and offset");
                return Err(LogError::malformed(path, reason));
            }
        };
    }
    Ok(offsets)
}

/// Replaces an offset checkpoint, atomically and durably.
pub(super) fn write<'a, D: Disk>(
    disk: &D,
    path: &Path,
    offsets: impl IntoIterator<Item = (&'a str, i32, i64)>,
) -> io::Result<()> {
    let mut lines = String::new();
    let mut count = 0;
    for (topic, partition, offset) in offsets {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{topic} {partition} {offset}");
        count += 1;
    }
    disk.replace(path, format!("0\n{count}\n{lines}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::SimulatedDisk;

    #[test]
    fn an_offset_checkpoint_reads_back_and_is_kafkas() {
        let disk = SimulatedDisk::new(1);
        let path = Path::new("/recovery-point-offset-checkpoint");
        assert_eq!(read(&disk, path).expect("none"), Offsets::new());
        write(&disk, path, [("a", 0, 7), ("b.c-d", 12, 1 << 40)]).expect("write");
        assert_eq!(
            disk.read(path).expect("read"),
            b"0\n2\na 0 7\nb.c-d 12 1099511627776\n"
        );
        let offsets = read(&disk, path).expect("read");
        assert_eq!(offsets[&("b.c-d".to_owned(), 12)], 1 << 40);
        assert_eq!(offsets.len(), 2);
    }

    #[test]
    fn a_checkpoint_that_is_none_is_refused_by_name() {
        let disk = SimulatedDisk::new(1);
        let path = Path::new("/c");
        for text in [
            "",
            "1\n0\n",
            "0\nx\n",
            "0\n2\na 0 1\n",
            "0\n1\na 0\n",
            "0\n1\n\u{1}",
        ] {
            disk.replace(path, text.as_bytes()).expect("write");
            let error = read(&disk, path).expect_err(text).to_string();
            assert!(error.starts_with("/c is not understood"), "{error}");
        }
    }
}
