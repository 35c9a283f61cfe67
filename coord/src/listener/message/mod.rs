//! The records of ZooKeeper's client protocol, a small file for each family: requests are read, answers written.
//! Nothing here asks the service or knows a socket.

pub(crate) mod acl;
pub(crate) mod admin;
pub(crate) mod connect;
pub(crate) mod header;
pub(crate) mod multi;
pub(crate) mod node;
pub(crate) mod op;
mod request;
pub(crate) mod session;
pub(crate) mod stat;
pub(crate) mod watch;

#[cfg(test)]
mod alloc_tests;
#[cfg(test)]
mod tests;

pub(crate) use op::OpCode;
pub(crate) use request::Request;
