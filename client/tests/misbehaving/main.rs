//! The library against a broker that misbehaves as a script says, over real sockets.

mod admin;
mod connection;
mod consumer;
mod fake;
mod group;
mod producer;
