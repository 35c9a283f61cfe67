//! `dump`: sessions, their ephemeral znodes, and connections.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::Context;
use crate::wire::SessionInfo;

pub(super) fn dump(context: &Context) -> String {
    let sessions = context.wire.sessions();
    let mut text = String::from("SessionTracker dump:\n");
    // ZooKeeper puts those together that expire in the same tick; here it is those that may be silent for equally long.
    let mut by_timeout: BTreeMap<u32, Vec<&SessionInfo>> = BTreeMap::new();
    for session in &sessions {
        by_timeout
            .entry(session.timeout_ms)
            .or_default()
            .push(session);
    }
    let _ = writeln!(
        text,
        "Session Sets ({})/({}):",
        by_timeout.len(),
        sessions.len()
    );
    for (timeout_ms, sessions) in by_timeout {
        let _ = writeln!(
            text,
            "{} expire at {timeout_ms} ms of silence:",
            sessions.len()
        );
        for session in sessions {
            let _ = writeln!(text, "\t0x{:x}", session.id);
        }
    }
    text.push_str("ephemeral nodes dump:\n");
    let owners = || {
        sessions
            .iter()
            .filter(|session| !session.ephemerals.is_empty())
    };
    let _ = writeln!(text, "Sessions with Ephemerals ({}):", owners().count());
    for session in owners() {
        let _ = writeln!(text, "0x{:x}:", session.id);
        for path in &session.ephemerals {
            let _ = writeln!(text, "\t{path}");
        }
    }
    let connections = context.registry.open();
    let _ = writeln!(
        text,
        "Connections dump:\nConnections Sets (1)/({}):",
        connections.len()
    );
    for traffic in connections {
        let session = traffic.counts().session;
        let _ = writeln!(text, "\tip: /{} sessionId: 0x{session:x}", traffic.peer);
    }
    text
}
