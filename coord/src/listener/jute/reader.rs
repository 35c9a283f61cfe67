//! Reading: every length is held against what is left before anything is allocated.

use bytes::{Buf, Bytes};

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JuteError {
    /// Less is left than what must come.
    #[error("{needed} bytes must come, {left} are left")]
    Truncated {
        /// What is missing, and what comes after it.
        needed: usize,
        /// What is left.
        left: usize,
    },
    /// A length that is negative, and not the -1 of null.
    #[error("a length of {0}")]
    Length(i32),
    /// Null where something must be.
    #[error("null in a place that must not be null")]
    Null,
    /// A number that stands for nothing in its place.
    #[error("the number {0} stands for nothing here")]
    Number(i32),
}

/// What is left of a record. Buffers that it gives are slices of the frame.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    rest: Bytes,
}

/// A record that can be read.
pub(crate) trait Decode: Sized {
    /// The least bytes that one takes, so that a vector's count can be checked; at least 1.
    const BYTES_MIN: usize;

    /// Reads one.
    fn decode(reader: &mut Reader) -> Result<Self, JuteError>;
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    fn need(&self, needed: usize) -> Result<(), JuteError> {
        let left = self.rest.len();
        if left < needed {
            return Err(JuteError::Truncated { needed, left });
        }
        Ok(())
    }

    pub(crate) fn bool(&mut self) -> Result<bool, JuteError> {
        self.need(1)?;
        Ok(self.rest.get_u8() != 0)
    }

    pub(crate) fn int(&mut self) -> Result<i32, JuteError> {
        self.need(4)?;
        Ok(self.rest.get_i32())
    }

    pub(crate) fn long(&mut self) -> Result<i64, JuteError> {
        self.need(8)?;
        Ok(self.rest.get_i64())
    }

    /// A length or count of things of at least `each` bytes, or none for null.
    fn count(&mut self, each: usize) -> Result<Option<usize>, JuteError> {
        match self.int()? {
            -1 => Ok(None),
            length => {
                let count = usize::try_from(length).map_err(|_| JuteError::Length(length))?;
                self.need(count.saturating_mul(each))?;
                Ok(Some(count))
            }
        }
    }

    /// A buffer; none is null.
    pub(crate) fn buffer(&mut self) -> Result<Option<Bytes>, JuteError> {
        Ok(self.count(1)?.map(|length| self.rest.split_to(length)))
    }

    /// A string; none is null. What is not UTF-8 becomes U+FFFD, as in Java, and no path may hold that.
    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, JuteError> {
        Ok(self.buffer()?.map(|bytes| {
            // Looked at before it is copied: the usual case allocates once, and exactly.
            match std::str::from_utf8(&bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
            }
        }))
    }

    /// A string that must be there.
    pub(crate) fn string(&mut self) -> Result<String, JuteError> {
        self.nullable_string()?.ok_or(JuteError::Null)
    }

    /// A vector; null is taken for an empty one.
    pub(crate) fn vector<T: Decode>(&mut self) -> Result<Vec<T>, JuteError> {
        let count = self.count(T::BYTES_MIN)?.unwrap_or(0);
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(T::decode(self)?);
        }
        Ok(all)
    }
}

impl Decode for String {
    const BYTES_MIN: usize = 4;

    fn decode(reader: &mut Reader) -> Result<String, JuteError> {
        reader.string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn numbers_strings_and_buffers_are_read_as_jute_has_them() {
        let mut all = reader(b"\x01\x00\x00\x00\x2a\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x02/a\0\0\0\x01x\xff\xff\xff\xff\0\0\0\0");
        assert_eq!(all.bool(), Ok(true));
        assert_eq!(all.int(), Ok(42));
        assert_eq!(all.long(), Ok(-2));
        assert_eq!(all.string().as_deref(), Ok("/a"));
        assert_eq!(all.buffer(), Ok(Some("x".into())));
        assert_eq!(all.buffer(), Ok(None));
        assert_eq!(all.vector::<String>(), Ok(vec![]));
        assert_eq!(all.left(), 0);
        assert_eq!(all.int(), Err(JuteError::Truncated { needed: 4, left: 0 }));
    }

    #[test]
    fn a_length_that_is_longer_than_the_rest_is_refused() {
        let text = |bytes| reader(bytes).string();
        assert_eq!(
            text(b"\x7f\xff\xff\xffx"),
            Err(JuteError::Truncated {
                needed: 0x7fff_ffff,
                left: 1
            })
        );
        assert_eq!(text(b"\xff\xff\xff\xfe"), Err(JuteError::Length(-2)));
        assert_eq!(text(b"\xff\xff\xff\xff"), Err(JuteError::Null));
        assert_eq!(text(b"\0\0\0\x01\xff").as_deref(), Ok("\u{fffd}"));
        assert_eq!(
            reader(b"\x10\0\0\0\0\0\0\0").vector::<String>(),
            Err(JuteError::Truncated {
                needed: 0x4000_0000,
                left: 4
            })
        );
    }
}
