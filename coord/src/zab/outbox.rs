//! Holds messages back until what they say is on disk. Pure; whoever carries out the actions owns one.

use std::collections::VecDeque;

use super::messages::Message;
use super::types::{LinkId, MemberId, Token};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    pub link: LinkId,
    pub to: MemberId,
    pub message: Message,
}

/// Messages that wait for their tokens, in the order in which they were sent. A message that waits for nothing may
/// overtake them: it promises nothing, and a slow disk must not keep a member from answering pings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outbox {
    held: VecDeque<(Token, Outgoing)>,
    durable: Token,
}

impl Outbox {
    /// Takes in a message; gives it back if it may leave at once.
    #[must_use]
    pub fn send(&mut self, after: Option<Token>, outgoing: Outgoing) -> Option<Outgoing> {
        match after {
            Some(token) if token > self.durable => {
                debug_assert!(self.held.back().is_none_or(|(last, _)| *last <= token));
                self.held.push_back((token, outgoing));
                None
            }
            _ => Some(outgoing),
        }
    }

    /// Everything up to `token` is on disk: gives the messages that may leave. Acknowledgements reach as far as the
    /// last of them, so of several in a row to one member only that one is sent.
    #[must_use]
    pub fn durable(&mut self, token: Token) -> Vec<Outgoing> {
        self.durable = self.durable.max(token);
        let count = self
            .held
            .iter()
            .take_while(|(after, _)| *after <= self.durable)
            .count();
        let mut ready: Vec<Outgoing> = Vec::with_capacity(count);
        for (_, outgoing) in self.held.drain(..count) {
            let is_ack = |outgoing: &Outgoing| matches!(outgoing.message, Message::Ack { .. });
            match ready.last_mut() {
                Some(last) if last.link == outgoing.link && is_ack(last) && is_ack(&outgoing) => {
                    *last = outgoing;
                }
                _ => ready.push(outgoing),
            }
        }
        ready
    }

    /// The link has ended: what waits for it never leaves.
    pub fn link_down(&mut self, link: LinkId) {
        self.held.retain(|(_, outgoing)| outgoing.link != link);
    }

    /// The disk refused something: what waits will never be true.
    pub fn refused(&mut self) {
        self.held.clear();
    }
}
