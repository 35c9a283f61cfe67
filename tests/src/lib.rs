//! Whole-system tests: real processes, crashes, power loss, bad input.
//!
//! What lives here is what those tests share: a node as a child process ([`process`]), a small
//! blocking client that can also misbehave ([`raw`]), producers that keep on through crashes
//! ([`load`]), the record of what was sent, acknowledged and read, with the anomalies it may show
//! ([`history`]), file systems that may be pulled away ([`image`]), and
//! a way to say that a test cannot run here ([`skip()`]).

pub mod admin;
pub mod group;
pub mod guard;
pub mod history;
pub mod image;
pub mod load;
pub mod numbered;
pub mod process;
pub mod random;
pub mod raw;
pub mod segment;
mod skip;
pub mod wait;

pub use skip::skip;
