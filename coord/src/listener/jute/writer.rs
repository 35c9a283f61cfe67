//! Writing, into a buffer that holds many frames one after another until the socket takes them.

use bytes::{BufMut, BytesMut};

/// Writes records and frames at the end of a buffer.
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    #[cfg(test)]
    pub(crate) fn new(out: &'a mut BytesMut) -> Writer<'a> {
        Writer { out }
    }

    /// Writes a frame: its length, and what `write` writes.
    pub(crate) fn frame(out: &'a mut BytesMut, write: impl FnOnce(&mut Writer<'_>)) {
        let start = out.len();
        out.put_i32(0);
        write(&mut Writer { out });
        // Answers are made of what the tree holds, whose requests were a thousandth of this; were there ever more,
        // the client would have to give up on the frame whatever its length said.
        let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.out.put_u8(value.into());
    }

    pub(crate) fn int(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub(crate) fn long(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// A length or a count.
    pub(crate) fn count(&mut self, count: usize) {
        self.int(i32::try_from(count).unwrap_or(i32::MAX));
    }

    pub(crate) fn buffer(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.put_slice(bytes);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.buffer(text.as_bytes());
    }

    /// A vector, each of whose items `write` writes.
    pub(crate) fn vector<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Writer<'_>, &T)) {
        self.count(items.len());
        for item in items {
            write(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_with_its_length() {
        let mut out = BytesMut::from(&b"before"[..]);
        Writer::frame(&mut out, |w| {
            w.bool(true);
            w.int(-2);
            w.long(7);
            w.string("/a");
            w.vector(&["x", ""], |w, text| w.string(text));
        });
        assert_eq!(
            &out[..],
            b"before\0\0\0\x20\x01\xff\xff\xff\xfe\0\0\0\0\0\0\0\x07\0\0\0\x02/a\0\0\0\x02\0\0\0\x01x\0\0\0\0"
        );
    }
}
