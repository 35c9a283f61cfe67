//! `snapshot.ZXID`: a header, the sessions, the lists of who may do what, the znodes, and a checksum. What follows the
//! checksum (digests) is of no use here.

use std::collections::HashMap;

use bytes::Bytes;

use super::state::{Node, State};
use super::{adler32, because};
use crate::listener::jute::Reader;
use crate::{Acl, Zxid};

const MAGIC: &[u8; 4] = b"ZKSN";
/// The number that stands for the list that lets everybody do everything.
const OPEN: i64 = -1;

/// Reads one; an error is why it cannot be believed.
pub(super) fn read(bytes: &Bytes) -> Result<State, String> {
    let mut reader = Reader::new(bytes.clone());
    if bytes.first_chunk() != Some(MAGIC) {
        return Err("it does not begin as a snapshot".to_owned());
    }
    let state = read_all(&mut reader).map_err(because)?;
    let summed = bytes.len() - reader.left();
    let sum = reader.long().map_err(because)?;
    if sum != i64::from(adler32(&bytes[..summed])) {
        return Err("its checksum is wrong".to_owned());
    }
    Ok(state)
}

fn read_all(reader: &mut Reader) -> Result<State, crate::listener::jute::JuteError> {
    let (_magic, _version, _database) = (reader.int()?, reader.int()?, reader.long()?);
    for _ in 0..reader.int()? {
        let (_session, _timeout) = (reader.long()?, reader.int()?);
    }
    let mut acls: HashMap<i64, Vec<Acl>> = HashMap::new();
    for _ in 0..reader.int()? {
        let number = reader.long()?;
        acls.insert(number, reader.vector()?);
    }
    let mut state = State::default();
    loop {
        let path = reader.string()?;
        // The root's name is empty; a single slash ends the list.
        if path == "/" {
            break;
        }
        let data = reader.buffer()?.unwrap_or_default();
        let number = reader.long()?;
        let node = Node {
            data,
            acl: if number == OPEN {
                Vec::new()
            } else {
                acls.get(&number).cloned().unwrap_or_default()
            },
            czxid: reader.long()?,
            mzxid: reader.long()?,
            ctime: reader.long()?,
            mtime: reader.long()?,
            version: reader.int()?,
            cversion: reader.int()?,
            aversion: reader.int()?,
            owner: reader.long()?,
            pzxid: reader.long()?,
        };
        // Whatever the snapshot shows has happened; the log is replayed from its name's zxid on all the same.
        state.zxid = state.zxid.max(Zxid(node.pzxid.max(node.mzxid) as u64));
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            path
        };
        state.insert(path, node);
    }
    Ok(state)
}
