//! Jute, ZooKeeper's encoding: big-endian numbers, and lengths in 32 bits before what they measure; -1 is null.
//!
//! Here are the bounded [`Reader`] and the [`Writer`]. What the records look like is `listener::message`; where a
//! frame ends is `listener::frame`.

mod reader;
mod writer;

pub(crate) use reader::{Decode, JuteError, Reader};
pub(crate) use writer::Writer;
