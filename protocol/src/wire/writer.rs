//! The writer, and the frames that it makes.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

/// Writes Kafka's primitive types into one growing buffer.
///
/// Records that lie elsewhere are not written but noted as [`Piece`]s.
#[derive(Debug, Default)]
pub struct Writer {
    buf: BytesMut,
    pieces: Vec<Piece>,
    elsewhere: usize,
}

/// Records that belong into a frame but lie elsewhere, most often in a log's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Before which byte of [`Encoded::bytes`] these records go.
    pub at: usize,
    /// Their length in bytes.
    pub len: u32,
    /// What their owner knows them by, as given in [`Records::Elsewhere`](super::Records::Elsewhere).
    pub token: u32,
}

/// A frame with its 4-byte length in front; `pieces` go between its bytes, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// All of the frame but its pieces.
    pub bytes: Bytes,
    /// What is sent from elsewhere; already counted in the frame's length.
    pub pieces: Vec<Piece>,
}

impl Encoded {
    /// The frame's whole size in bytes, its length field and its pieces included.
    pub fn size(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|p| p.len as usize).sum();
        self.bytes.len() + pieces
    }
}

impl Writer {
    /// A writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buf: BytesMut::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// How many bytes have been written, without pieces.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Writes an `int8`.
    pub fn i8(&mut self, value: i8) {
        self.buf.put_i8(value);
    }

    /// Writes an `int16`.
    pub fn i16(&mut self, value: i16) {
        self.buf.put_i16(value);
    }

    /// Writes a `uint16`.
    pub fn u16(&mut self, value: u16) {
        self.buf.put_u16(value);
    }

    /// Writes an `int32`.
    pub fn i32(&mut self, value: i32) {
        self.buf.put_i32(value);
    }

    /// Writes an `int64`.
    pub fn i64(&mut self, value: i64) {
        self.buf.put_i64(value);
    }

    /// Writes a `uuid`.
    pub fn uuid(&mut self, value: Uuid) {
        self.buf.put_slice(value.as_bytes());
    }

    /// Writes an unsigned varint.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buf.put_u8(value as u8);
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.put_slice(bytes);
    }

    /// Notes `len` bytes that are to be sent from elsewhere at this place.
    pub(crate) fn piece(&mut self, len: u32, token: u32) {
        let at = self.buf.len();
        self.pieces.push(Piece { at, len, token });
        self.elsewhere += len as usize;
    }

    /// Writes what `content` writes as a tagged field. Pieces have no place in one.
    pub(crate) fn tagged_field(&mut self, tag: u32, content: impl FnOnce(&mut Writer)) {
        let mut field = Writer::default();
        content(&mut field);
        self.uvarint(tag);
        self.uvarint(field.buf.len() as u32);
        self.buf.put_slice(&field.buf);
    }

    /// A writer at the start of a frame, with its length yet to be known.
    pub(crate) fn frame() -> Self {
        let mut frame = Self::with_capacity(256);
        frame.i32(0);
        frame
    }

    /// Closes a frame that [`Writer::frame`] began.
    pub(crate) fn end_frame(mut self) -> Encoded {
        let len = (self.buf.len() - 4 + self.elsewhere) as u32;
        self.buf[..4].copy_from_slice(&len.to_be_bytes());
        Encoded {
            bytes: self.buf.freeze(),
            pieces: self.pieces,
        }
    }

    /// What has been written.
    pub fn into_bytes(self) -> Bytes {
        self.buf.freeze()
    }
}
