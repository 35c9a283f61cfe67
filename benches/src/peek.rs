//! A look at a few fields at the head of a frame whose records are not wanted.
//!
//! Whole messages are `protocol`'s business; the clients here throw megabytes away and must not pay for decoding them.

use anyhow::{Result, bail};

/// Reads fields one after another from the head of some bytes.
#[derive(Debug)]
pub struct Peek<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Peek<'a> {
    /// Starts at the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some(taken) = self.bytes[self.at..].get(..len) else {
            bail!("a frame ends in the middle of a field");
        };
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take gives as many as asked for"))
    }

    /// A big-endian i16.
    pub fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    /// A big-endian i32.
    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// A big-endian i64.
    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned varint of at most five bytes.
    pub fn varint(&mut self) -> Result<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a varint is longer than five bytes")
    }

    /// The length of a compact string, array or byte field; null counts as empty.
    pub fn compact_len(&mut self) -> Result<usize> {
        Ok(self.varint()?.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_one_another_and_a_short_frame_is_an_error() {
        let mut peek = Peek::new(&[0, 5, 0x82, 0x02, 0, 0, 1]);
        assert_eq!(peek.i16().unwrap(), 5);
        assert_eq!(peek.compact_len().unwrap(), 257);
        assert_eq!(peek.position(), 4);
        assert!(peek.i32().is_err());
    }
}
