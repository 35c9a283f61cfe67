//! ZAB, the protocol by which the members agree on one history of transactions. Pure: no clock, disk, network,
//! randomness or waiting, and no knowledge of what a transaction says.
//!
//! ```text
//!              events                                          actions
//!  links  ─▶ Message, LinkUp, LinkDown   ┌────────┐ Send (after token), DropLink, SendSnapshot  ─▶ outbox, links
//!  disk   ─▶ Durable, Refused, …         │ Member │ Append, Truncate, Persist…, InstallSnapshot ─▶ disk, in order
//!  clock  ─▶ Tick                        └────────┘ Deliver, Execute, RoleChanged, Synced, …    ─▶ tree, clients
//!  tree   ─▶ Request, Propose, Sync, Applied
//! ```
//!
//! One module per phase, leader's and learner's side together, in the order of the paper: `election`,
//! `discovery`, `synchronization` (and `catching_up`), `broadcast`. `leader` and `learner` hold what each knows, `history` is the
//! log as seen from here, `membership` says what a quorum is and `reconfiguration` changes it, `requests` serves clients,
//! `delivery` hands out what is committed, `digests` compares trees, `retreat` leads back to an election.
//!
//! # What the shell owes
//!
//! - **Order.** Events are handled one at a time; actions are carried out in the order in which they were pushed.
//! - **The disk.** Actions with a token are done one after the other, however many share a sync. `Durable(t)` says that
//!   everything up to `t` is on disk. After a crash the disk holds what was durable, and of the rest a beginning.
//!   A failed sync is `Failed`, and the end. No room is `Refused(t)`: from then on the disk does nothing more until
//!   `Resume`, so nothing after `t` is done.
//! - **Messages** go through an [`Outbox`], which holds back those that say something about the disk.
//! - **Links** deliver in order, or end. A new connection is a new [`LinkId`], and comes up before its messages. After
//!   `DropLink` the shell makes a new one (at once, later after a pause). Between a member and each other there is one
//!   link; two members without a vote need none. That a peer is who it says, and of the same cluster, is the link's
//!   own hello.
//! - **The tree** takes what was appended up to the place that `Deliver` names, and answers each `Deliver` with
//!   `Applied` and its digest at that place; so it does after a start, a reload and an installed snapshot. It never needs
//!   to be undone: what is delivered is committed, and in this member's log on disk.
//! - **Snapshots** are streamed beside the protocol, but in the order of the link's messages. `SnapshotSent` names the
//!   zxid of the tree that was sent. What has come in of a snapshot when its link ends is thrown away.
//! - **Requests** come in as `Request` at any member; the leader's shell gets `Execute` and answers with `Propose` or
//!   `Refuse`. Whoever has delivered a transaction knows by its origin and number whose it was. When the role changes to
//!   looking, the outcome of what was asked for and not answered is not known.
//! - **A restart** gives `Start` with what the disk holds. A log, snapshot or epoch that was lost or cut, or a folder
//!   that is empty where a voter's should be, is said by `amnesiac`, until `ClearAmnesia` is done.

mod broadcast;
mod catching_up;
mod delivery;
mod digests;
mod discovery;
mod election;
mod events;
mod history;
mod leader;
mod learner;
mod member;
mod membership;
mod messages;
mod outbox;
mod planted;
mod reconfiguration;
mod requests;
mod retreat;
mod synchronization;
#[cfg(test)]
mod tests;
mod types;

pub use events::{Action, Event, Proposal};
pub use member::Member;
pub use membership::{Change, Config, Peer};
pub use messages::{FollowerInfo, Message, Notification, Standing, Vote};
pub use outbox::{Outbox, Outgoing};
#[cfg(feature = "planted-bugs")]
pub use planted::Bug;
pub use types::{
    Digest, LinkId, MemberId, NotProposed, Payload, Recovered, Role, Settings, Token, Txn,
};
