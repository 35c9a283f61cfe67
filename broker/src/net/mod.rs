//! The Kafka listener: sockets, frames, the order of answers, and limits. What a request
//! means is `api`'s business.

mod connection;
mod frame;
mod limits;
mod listener;
mod queue;
mod writer;

pub(crate) use connection::Client;
pub(crate) use limits::Limits;
pub(crate) use listener::{bind, listen};
pub(crate) use queue::{Answer, Outgoing};
