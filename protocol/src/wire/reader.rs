//! The bounded reader: it hands out slices of the frame and never trusts a length.

use bytes::Bytes;
use uuid::Uuid;

use super::{DecodeError, Str};

/// Reads Kafka's primitive types from one frame (without its 4-byte length) or other buffer.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $ty:ty;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub fn $name(&mut self) -> Result<$ty, DecodeError> {
                self.array().map(<$ty>::from_be_bytes)
            }
        )*
    };
}

impl Reader {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The bytes that are left, as a slice of the frame.
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated {
            needed,
            left: self.remaining(),
        }
    }

    fixed! {
        /// Reads an `int8`.
        i8: i8;
        /// Reads a `uint8`.
        u8: u8;
        /// Reads an `int16`.
        i16: i16;
        /// Reads a `uint16`.
        u16: u16;
        /// Reads an `int32`.
        i32: i32;
        /// Reads an `int64`.
        i64: i64;
    }

    /// Reads a `uuid`.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    /// Reads an unsigned varint of at most 32 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            if shift == 28 && byte > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Takes the next `len` bytes as a slice of the frame.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(self.truncated(len));
        }
        let slice = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(slice)
    }

    /// Takes the next `len` bytes as a string.
    #[inline]
    pub fn str(&mut self, len: usize) -> Result<Str, DecodeError> {
        Str::try_from(self.bytes(len)?).map_err(|_| DecodeError::NotUtf8)
    }

    /// Reads a compact length, which is one more than what it counts; 0 is null.
    #[inline]
    pub(crate) fn compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    /// Reads an `int32` length; -1 is null.
    #[inline]
    pub(crate) fn len32(&mut self) -> Result<Option<usize>, DecodeError> {
        let len = self.i32()?;
        nullable_len(i64::from(len))
    }

    /// Reads an `int16` length; -1 is null.
    #[inline]
    pub(crate) fn len16(&mut self) -> Result<Option<usize>, DecodeError> {
        let len = self.i16()?;
        nullable_len(i64::from(len))
    }

    /// Reads the tagged fields that close every struct of a flexible version. `known` reads the
    /// field of a tag that it knows, from a reader of that field's bytes alone, and says whether
    /// it did; the others are skipped.
    pub(crate) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let len = self.uvarint()? as usize;
            let mut field = Reader::new(self.bytes(len)?);
            if known(tag, &mut field)? && field.remaining() > 0 {
                return Err(DecodeError::LeftOver(field.remaining()));
            }
        }
        Ok(())
    }
}

#[inline]
fn nullable_len(len: i64) -> Result<Option<usize>, DecodeError> {
    match len {
        -1 => Ok(None),
        0.. => Ok(Some(len as usize)),
        _ => Err(DecodeError::BadLength(len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn uvarints_end_within_five_bytes_and_32_bits() {
        assert_eq!(reader(&[0x00]).uvarint(), Ok(0));
        assert_eq!(reader(&[0xac, 0x02]).uvarint(), Ok(300));
        assert_eq!(
            reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(),
            Ok(u32::MAX)
        );
        for long in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80; 6]] {
            assert_eq!(
                Reader::new(Bytes::copy_from_slice(long)).uvarint(),
                Err(DecodeError::VarintTooLong)
            );
        }
        assert!(matches!(
            reader(&[0x80]).uvarint(),
            Err(DecodeError::Truncated { .. })
        ));
    }

    #[test]
    fn a_length_past_the_end_is_refused() {
        assert_eq!(
            reader(b"abc").bytes(4),
            Err(DecodeError::Truncated { needed: 4, left: 3 })
        );
        assert_eq!(
            reader(&[0xff, 0xfe]).len16(),
            Err(DecodeError::BadLength(-2))
        );
        assert_eq!(reader(&[0xff, 0xff]).len16(), Ok(None));
    }

    #[test]
    fn unknown_tags_are_skipped_and_known_ones_must_fill_their_size() {
        // Two fields: tag 0 with one byte, tag 9 with two.
        let bytes: &[u8] = &[2, 0, 1, 7, 9, 2, 1, 2, 42];
        let mut r = reader(bytes);
        let mut seen = None;
        r.tagged_fields(|tag, field| {
            if tag == 0 {
                seen = Some(field.i8()?);
            }
            Ok(tag == 0)
        })
        .unwrap();
        assert_eq!((seen, r.u8()), (Some(7), Ok(42)));

        let left = reader(bytes).tagged_fields(|tag, _| Ok(tag == 0));
        assert_eq!(left, Err(DecodeError::LeftOver(1)));
    }
}
