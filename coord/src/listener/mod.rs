//! ZooKeeper's client protocol over TCP.
//!
//! `jute` is the encoding, `message` the records. Neither asks the service or knows a socket.

// Until the connections are here, only the tests read and write messages.
#![allow(dead_code, unused_imports)]

pub(crate) mod jute;
pub(crate) mod message;
