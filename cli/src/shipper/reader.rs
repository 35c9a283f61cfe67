//! Reads whole lines from one file at a place, and sees whether it is still the file that was read.

use std::fs::File;
use std::io;

use bytes::Bytes;

use super::lines::split;
use super::look::read_full;
use super::place::{HEAD_LEN, Mark, Place, TAIL_LEN};

/// What one read gave.
#[derive(Debug)]
pub enum Read {
    /// Lines and whether each was cut. None: no whole line is there yet.
    Lines(Vec<(Bytes, bool)>),
    /// The bytes before the position are not the ones that were read: the file was written anew.
    Rewritten,
}

/// The buffer that all files are read through, one at a time: what is kept of a file between reads is
/// only its place, so memory does not grow with the number of files or with unfinished lines.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    line_limit: usize,
}

impl Buffer {
    pub fn new(line_limit: usize) -> Self {
        Self {
            bytes: vec![0; TAIL_LEN + (line_limit + 2).max(256 << 10)],
            line_limit,
        }
    }

    /// Reads from `place` on and moves it past the lines it returns, at most `max_lines`. `last`: the
    /// file will not grow any more, so an unfinished line is a line.
    pub fn read(
        &mut self,
        file: &File,
        place: &mut Place,
        max_lines: usize,
        last: bool,
    ) -> io::Result<Read> {
        let tail_len = place.tail_len();
        let from = place.position - tail_len as u64;
        let n = read_full(file, &mut self.bytes, from)?;
        let window = &self.bytes[..n];
        let is_other = place.position == 0 && !place.head.begins(window);
        if is_other || !place.tail.begins(window) {
            return Ok(Read::Rewritten);
        }
        let data = &window[tail_len..];
        // A full buffer may have more behind it: its last line is then no last line.
        let last = last && n < self.bytes.len();
        let found = split(data, place.skipping, self.line_limit, max_lines, last);
        if found.consumed == 0 {
            return Ok(Read::Lines(Vec::new()));
        }
        // One copy for all lines of this read.
        let used = found.lines.last().map_or(0, |line| line.range.end);
        let shared = Bytes::copy_from_slice(&data[..used]);
        let lines = found
            .lines
            .into_iter()
            .map(|line| (shared.slice(line.range), line.cut))
            .collect();
        place.advance(window, found.consumed, found.skipping);
        self.extend_head(file, place)?;
        Ok(Read::Lines(lines))
    }

    fn extend_head(&self, file: &File, place: &mut Place) -> io::Result<()> {
        let want = HEAD_LEN.min(usize::try_from(place.position).unwrap_or(HEAD_LEN));
        if (place.head.len as usize) < want {
            let mut head = [0; HEAD_LEN];
            let n = read_full(file, &mut head[..want], 0)?;
            if place.head.begins(&head[..n]) {
                place.head = Mark::of(&head[..n]);
            }
        }
        Ok(())
    }
}

/// `place`, with as much of the file's beginning marked as there is.
pub fn with_head(file: &File, mut place: Place) -> io::Result<Place> {
    let mut head = [0; HEAD_LEN];
    let n = read_full(file, &mut head, 0)?;
    if place.head.begins(&head[..n]) {
        place.head = Mark::of(&head[..n]);
    }
    Ok(place)
}

/// The place at the end of `file` as it is now, for `--from end`.
pub fn end_of(file: &File) -> io::Result<Place> {
    let size = file.metadata()?.len();
    let mut place = Place {
        position: size,
        prefix: None,
        ..Place::start()
    };
    let mut bytes = [0; TAIL_LEN];
    let tail = TAIL_LEN.min(usize::try_from(size).unwrap_or(TAIL_LEN));
    let n = read_full(file, &mut bytes[..tail], size - tail as u64)?;
    place.tail = Mark::of(&bytes[..n]);
    Ok(place)
}

/// Whether `file` begins with exactly the bytes that were read before `place`. Where reading began in the
/// middle, these are not known as a whole: what is at the beginning and before the place must do.
pub fn holds_all_before(file: &File, place: &Place) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    for (mark, at) in [
        (place.head, 0),
        (place.tail, place.position - place.tail_len() as u64),
    ] {
        let n = read_full(file, &mut buffer[..mark.len as usize], at)?;
        if !mark.begins(&buffer[..n]) {
            return Ok(false);
        }
    }
    let Some(expected) = place.prefix else {
        return Ok(true);
    };
    let (mut at, mut crc) = (0, 0);
    while at < place.position {
        let want = buffer
            .len()
            .min(usize::try_from(place.position - at).unwrap_or(usize::MAX));
        let n = read_full(file, &mut buffer[..want], at)?;
        if n == 0 {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, &buffer[..n]);
        at += n as u64;
    }
    Ok(crc == expected)
}
