//! A number for the whole tree, kept up to date with every change: two members that have applied the same transactions
//! have the same, and one that has not is found out.
//!
//! It is the sum of one number per znode and session, so it does not matter in which order they came.

use super::SessionRecord;
use super::node::Node;

/// Data past this length counts with its ends and its length: a change of a parent must not cost a pass over a
/// megabyte, and the transaction that set the data counts in any case.
const END_BYTES: usize = 512;

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

struct Hash(u64);

impl Hash {
    fn number(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ SEED;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.number(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
    }
}

/// The part of one znode.
pub(super) fn of_node(path: &str, node: &Node) -> u64 {
    let mut hash = Hash(SEED);
    hash.bytes(path.as_bytes());
    for number in [
        node.owner as u64,
        node.czxid.0,
        node.mzxid.0,
        node.pzxid.0,
        node.ctime as u64,
        node.mtime as u64,
        u64::from(node.version as u32) << 32 | u64::from(node.created as u32),
        u64::from(node.aversion as u32),
    ] {
        hash.number(number);
    }
    let data = &node.data;
    if data.len() <= 2 * END_BYTES {
        hash.bytes(data);
    } else {
        hash.number(data.len() as u64);
        hash.bytes(&data[..END_BYTES]);
        hash.bytes(&data[data.len() - END_BYTES..]);
    }
    if !node.acl.is_open() {
        for line in node.acl.lines() {
            hash.number(line.perms as u64);
            hash.bytes(line.scheme.as_bytes());
            hash.bytes(line.id.as_bytes());
        }
    }
    hash.0
}

/// The part of one session.
pub(super) fn of_session(id: i64, record: &SessionRecord) -> u64 {
    let mut hash = Hash(!SEED);
    for number in [
        id as u64,
        u64::from(record.timeout_ms),
        record.member,
        record.incarnation,
    ] {
        hash.number(number);
    }
    hash.bytes(&record.password.0);
    hash.0
}
