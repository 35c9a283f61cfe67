//! Frames out of a stream of bytes: a length, and so many bytes.

use bytes::{Buf, Bytes, BytesMut};

/// Room that is made for the next read at least.
const READ_BYTES_MIN: usize = 4 << 10;

/// A length that no frame may have; there is no telling where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes is announced, and {limit} are the limit (jute.maxbuffer)")]
pub(crate) struct FrameError {
    pub(crate) length: i32,
    pub(crate) limit: usize,
}

/// What has come in and is no complete frame yet. It holds what was received, whatever length a frame claims.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: BytesMut,
}

impl Input {
    /// Where the socket's next bytes go.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        self.bytes.reserve(READ_BYTES_MIN);
        &mut self.bytes
    }

    /// The first four bytes, which may be a word instead of a length.
    pub(crate) fn first_word(&self) -> Option<[u8; 4]> {
        self.bytes.first_chunk().copied()
    }

    /// The next frame, if it is there whole.
    pub(crate) fn next(&mut self, limit: usize) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = self.bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*head);
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= limit => bytes,
            _ => return Err(FrameError { length, limit }),
        };
        if self.bytes.len() < 4 + bytes {
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(bytes).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_and_too_long_ones_not_at_all() {
        let mut input = Input::default();
        let stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03cde\0\0\0\x09";
        let mut frames = Vec::new();
        for byte in stream {
            input.room().extend_from_slice(&[*byte]);
            while let Some(frame) = input.next(8).unwrap_or(None) {
                frames.push(frame);
            }
        }
        assert_eq!(frames, ["ab", "", "cde"]);
        assert_eq!(
            input.next(8),
            Err(FrameError {
                length: 9,
                limit: 8
            })
        );
        let mut input = Input::default();
        input.room().extend_from_slice(b"\xff\xff\xff\xff");
        assert_eq!(
            input.next(8),
            Err(FrameError {
                length: -1,
                limit: 8
            })
        );
    }
}
