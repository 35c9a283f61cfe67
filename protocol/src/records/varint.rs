//! Zigzag varints, in which records write their lengths and deltas.

/// Reads a varint at the start of `bytes`, with its length; `None` if it does not end there.
///
/// One of more than ten bytes comes out as the zero-length `Some((_, 0))`, which no caller takes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(i64, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((unzigzag(u64::from(first)), 1));
    }
    let mut value = u64::from(first & 0x7f);
    for (i, &byte) in bytes.iter().enumerate().skip(1).take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((unzigzag(value), i + 1));
        }
    }
    (bytes.len() >= 10).then_some((0, 0))
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// How many bytes the varint of `value` takes.
pub(super) fn len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends the varint of `value`.
pub(super) fn put(buf: &mut impl bytes::BufMut, value: i64) {
    let mut value = zigzag(value);
    while value >= 0x80 {
        buf.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buf.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_varints() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (64, &[0x80, 0x01]),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ] {
            let mut buf = Vec::new();
            put(&mut buf, value);
            assert_eq!(buf, bytes);
        }
        assert_eq!(read(&[0x80; 10]), Some((0, 0)));
        assert_eq!(read(&[0x80; 9]), None);
    }

    proptest! {
        #[test]
        fn varints_come_back(value in any::<i64>(), shift in 0..64) {
            let value = value >> shift;
            let mut buf = Vec::new();
            put(&mut buf, value);
            prop_assert_eq!(buf.len(), len(value));
            prop_assert_eq!(read(&buf), Some((value, buf.len())));
        }
    }
}
