//! The coordinator's decisions, with nothing that acts: no clock, no log, no randomness, no
//! waiting.
//!
//! ```text
//!            Event (a request, a finished write, a passed deadline), Now
//!                                   │
//!                                   ▼
//!   Shard ── finds the group ──▶ Group ── join, sync, heartbeat, leave, offsets
//!                                   │
//!                                   ▼
//!            Action::Reply (to a waiting request)   Action::Append (records for the log)
//! ```
//!
//! What a group is in memory is soft: the log holds its last stable generation. Committed offsets
//! change only when the log has them. A request whose answer depends on a write is answered when
//! [`Event::Written`] tells how the write went.

mod action;
mod config;
mod expiry;
mod group;
mod join;
mod leave;
mod offsets;
mod rebalance;
mod records;
mod replay;
mod request;
mod shard;
mod step;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use action::{Action, Reply, ReplyTo, Token, refused_join, refused_sync};
pub(crate) use config::Config;
pub(crate) use group::{Group, State};
pub(crate) use records::{CommittedOffset, GroupRecord, MemberRecord, Record};
pub(crate) use request::{
    CommitOffset, CommitRequest, DeleteOffsetsRequest, Event, JoinRequest, LeaveRequest, Leaver,
    Now, SyncRequest,
};
pub(crate) use shard::Shard;
