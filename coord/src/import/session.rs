//! Sessions are carried over, as ZooKeeper itself carries them over its own restart: a client that connects to the new
//! service with its old session goes on with it and keeps its ephemeral znodes, and one that does not come ends by
//! silence, one timeout after the start. Leaving them out would make every lock, leader and broker registration drop at
//! once, for clients that are about to reconnect; and of an old backup nothing stays but for one timeout.
//!
//! ZooKeeper stores no passwords: it reckons each from the session's id, with `java.util.Random`. So does this. They
//! can be guessed here as they can be there, until those sessions have ended; new sessions get the kernel's random bytes.

use super::error::ImportError;
use crate::tree::{Kind, Password, SessionRecord};

/// What ZooKeeper mixes into the id.
const SUPER_SECRET: i64 = 0xb341_5c00;

/// What the tree keeps of a session with this timeout.
pub(super) fn record(id: i64, timeout_ms: i32) -> Result<SessionRecord, ImportError> {
    let unfit = |reason: &str| {
        Err(ImportError::Unfit {
            what: format!("session 0x{id:x}"),
            reason: reason.to_owned(),
        })
    };
    if Kind::of_owner(id) != Kind::Ephemeral(id) {
        return unfit(
            "its id (of a server with myid 255) cannot be told from the mark of a znode with a TTL; close it first",
        );
    }
    let Ok(timeout_ms) = u32::try_from(timeout_ms) else {
        return unfit("its timeout is negative");
    };
    Ok(SessionRecord::of_client(timeout_ms, password(id)))
}

fn password(id: i64) -> Password {
    const FACTOR: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = ((id ^ SUPER_SECRET) as u64 ^ FACTOR) & MASK;
    let mut bytes = [0; 16];
    for four in bytes.chunks_exact_mut(4) {
        seed = seed.wrapping_mul(FACTOR).wrapping_add(0xb) & MASK;
        four.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    Password(bytes)
}
