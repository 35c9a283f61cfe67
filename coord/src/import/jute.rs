//! Reading ZooKeeper's encoding off a file or a record, with its checksum along the way. Every length is held against
//! what is left before anything is allocated. (What clients send is read by `listener::jute`, off whole frames.)

use std::io::{self, Read};

use super::adler::Adler;
use crate::tree::Acl;

/// Why there is nothing to be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// In words.
    #[error("{0}")]
    Bad(String),
}

pub(super) fn bad<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Bad(reason.into()))
}

/// What is left of a file or a record.
#[derive(Clone)]
pub(super) struct Jute<R> {
    source: R,
    left: u64,
    position: u64,
    adler: Adler,
}

impl<'a> Jute<&'a [u8]> {
    pub(super) fn of_record(record: &'a [u8]) -> Jute<&'a [u8]> {
        Jute::new(record, record.len() as u64)
    }
}

impl<R: Read> Jute<R> {
    /// Of a source that gives `left` bytes.
    pub(super) fn new(source: R, left: u64) -> Jute<R> {
        Jute {
            source,
            left,
            position: 0,
            adler: Adler::new(),
        }
    }

    /// How much has been read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The checksum of all that has been read.
    pub(super) fn checksum(&self) -> u32 {
        self.adler.value()
    }

    fn need(&self, needed: u64) -> Result<(), Fault> {
        if needed > self.left {
            return bad(format!(
                "{needed} bytes must come, and {} are left",
                self.left
            ));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.need(bytes.len() as u64)?;
        self.source.read_exact(bytes)?;
        self.adler.update(bytes);
        self.left -= bytes.len() as u64;
        self.position += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn bool(&mut self) -> Result<bool, Fault> {
        let mut bytes = [0; 1];
        self.fill(&mut bytes)?;
        Ok(bytes[0] != 0)
    }

    pub(super) fn int(&mut self) -> Result<i32, Fault> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(i32::from_be_bytes(bytes))
    }

    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(i64::from_be_bytes(bytes))
    }

    /// How many things of at least `each` bytes come; null is none.
    pub(super) fn count(&mut self, each: u64) -> Result<u64, Fault> {
        match self.int()? {
            -1 => Ok(0),
            count => {
                let Ok(count) = u64::try_from(count) else {
                    return bad(format!("a length of {count}"));
                };
                self.need(count * each)?;
                Ok(count)
            }
        }
    }

    /// A buffer; null is taken for an empty one.
    pub(super) fn buffer(&mut self) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; self.count(1)? as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn string(&mut self) -> Result<String, Fault> {
        let Ok(text) = String::from_utf8(self.buffer()?) else {
            return bad("a string that is not UTF-8");
        };
        Ok(text)
    }

    /// The lines of an access control list.
    pub(super) fn acl(&mut self) -> Result<Vec<Acl>, Fault> {
        let count = self.count(12)?;
        let line = |_| Ok(Acl::new(self.int()?, self.string()?, self.string()?));
        (0..count).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_longer_than_the_rest_is_refused_before_anything_is_allocated() {
        for bytes in [
            b"\x7f\xff\xff\xffx".as_slice(),
            b"\xff\xff\xff\xfe",
            b"\0\0\0\x02x",
        ] {
            assert!(Jute::of_record(bytes).buffer().is_err());
            assert!(Jute::of_record(bytes).acl().is_err());
        }
        assert_eq!(
            Jute::of_record(b"\xff\xff\xff\xff").buffer().unwrap(),
            b"",
            "null"
        );
        assert_eq!(Jute::of_record(b"\0\0\0\x02/a").string().unwrap(), "/a");
    }
}
