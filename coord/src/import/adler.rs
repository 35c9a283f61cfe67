//! Adler-32, the checksum of ZooKeeper's files.

const MODULUS: u32 = 65_521;
/// So many bytes cannot overflow the sums.
const STRIDE: usize = 5_552;

/// A checksum under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adler {
    low: u32,
    high: u32,
}

impl Adler {
    pub(super) fn new() -> Adler {
        Adler { low: 1, high: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(STRIDE) {
            for byte in part {
                self.low += u32::from(*byte);
                self.high += self.low;
            }
            self.low %= MODULUS;
            self.high %= MODULUS;
        }
    }

    pub(super) fn value(self) -> u32 {
        self.high << 16 | self.low
    }
}

/// The checksum of these bytes.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    let mut adler = Adler::new();
    adler.update(bytes);
    adler.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_sums() {
        assert_eq!(adler32(b""), 1);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(&vec![0xff; 100_000]), {
            // By the definition, in wide numbers.
            let (mut low, mut high) = (1_u64, 0_u64);
            for _ in 0..100_000 {
                low = (low + 255) % 65_521;
                high = (high + low) % 65_521;
            }
            (high << 16 | low) as u32
        });
    }
}
