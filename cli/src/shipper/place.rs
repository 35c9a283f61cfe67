//! A place in a file, with the marks by which the file is known again. Pure.
//!
//! Device and inode alone do not name a file: inodes are used again, and `copytruncate` keeps them. So a
//! place carries checksums of the file's head, of the bytes just before the position, and of everything
//! before it. A file in which these differ is another file in the same inode.

/// How many bytes at the beginning of a file the head's mark covers.
pub const HEAD_LEN: usize = 1024;
/// How many bytes before the position the tail's mark covers.
pub const TAIL_LEN: usize = 256;

/// A checksum of some bytes, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    pub len: u32,
    pub crc: u32,
}

impl Mark {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            len: u32::try_from(bytes.len()).expect("marks cover at most a kilobyte"),
            crc: crc32c::crc32c(bytes),
        }
    }

    /// Whether `bytes` begin with what this mark was taken of.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        bytes
            .get(..self.len as usize)
            .is_some_and(|head| crc32c::crc32c(head) == self.crc)
    }
}

/// How far a file has been read or shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Bytes before this one are done with. Always the beginning of a line, except while `skipping`.
    pub position: u64,
    /// The first bytes of the file, at most [`HEAD_LEN`]: also where nothing was read yet, or nothing would
    /// tell a file that was truncated and written anew.
    pub head: Mark,
    /// The bytes just before the position, at most [`TAIL_LEN`].
    pub tail: Mark,
    /// The checksum of all bytes before the position; none when reading began in the middle.
    pub prefix: Option<u32>,
    /// The position lies inside a line that was over the limit; what is left of it is dropped.
    pub skipping: bool,
}

impl Place {
    /// The beginning of a file of which nothing is known.
    pub fn start() -> Self {
        Self {
            prefix: Some(0),
            ..Self::default()
        }
    }

    /// How many bytes before the position a read must take along to check the tail.
    pub fn tail_len(&self) -> usize {
        self.tail.len as usize
    }

    /// Moves on by `consumed` bytes. `window` are the bytes from `position - tail_len` on.
    pub fn advance(&mut self, window: &[u8], consumed: usize, skipping: bool) {
        let end = self.tail_len() + consumed;
        self.prefix = self
            .prefix
            .map(|crc| crc32c::crc32c_append(crc, &window[self.tail_len()..end]));
        self.position += consumed as u64;
        self.tail = Mark::of(&window[end.saturating_sub(TAIL_LEN)..end]);
        self.skipping = skipping;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_are_the_same_however_the_reads_fall(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            cuts in proptest::collection::vec(1usize..700, 1..20),
        ) {
            let mut place = Place::start();
            for cut in cuts {
                let from = place.position as usize - place.tail_len();
                let take = cut.min(bytes.len() - place.position as usize);
                place.advance(&bytes[from..], take, false);
            }
            let done = &bytes[..place.position as usize];
            prop_assert_eq!(place.prefix, Some(crc32c::crc32c(done)));
            prop_assert_eq!(place.tail, Mark::of(&done[done.len().saturating_sub(TAIL_LEN)..]));
        }
    }

    #[test]
    fn a_mark_wants_all_its_bytes() {
        let mark = Mark::of(b"hello");
        assert!(mark.begins(b"hello world"));
        assert!(!mark.begins(b"hell"));
        assert!(!mark.begins(b"hallo world"));
        assert!(Mark::default().begins(b""));
    }
}
