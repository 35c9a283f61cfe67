//! The records of a Fetch response, which need not be in memory.

use bytes::Bytes;

use super::{Context, DecodeError, Nullable, Reader, Writer};

/// Record batches in a Fetch response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Batches in memory. What is decoded is always this.
    Bytes(Bytes),
    /// `len` bytes that the sender puts into the frame from elsewhere, known to it by `token`.
    Elsewhere { len: u32, token: u32 },
}

impl Default for Records {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl Records {
    /// The length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Elsewhere { len, .. } => *len as usize,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Nullable for Records {
    fn read_nullable(r: &mut Reader, cx: Context) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(r, cx)?.map(Self::Bytes))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer, cx: Context) {
        match value {
            None => Bytes::write_nullable(None, w, cx),
            Some(Self::Bytes(bytes)) => Bytes::write_nullable(Some(bytes), w, cx),
            Some(&Self::Elsewhere { len, token }) => {
                if cx.flexible {
                    w.uvarint(len + 1);
                } else {
                    w.i32(len as i32);
                }
                w.piece(len, token);
            }
        }
    }

    #[cfg(test)]
    fn arbitrary(g: &mut super::Gen, cx: Context) -> Self {
        Self::Bytes(Nullable::arbitrary(g, cx))
    }
}
