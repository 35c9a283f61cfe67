//! `srvr`, `stat` and `cons`: the server in a few lines, and its connections.

use std::fmt::Write;

use super::super::registry::Traffic;
use super::super::{Context, VERSION};

/// `srvr`, or with the connections `stat`.
pub(super) fn server(context: &Context, with_connections: bool) -> String {
    let stats = context.wire.stats();
    let mut text = format!("Zookeeper version: {VERSION}\n");
    if context.is_read_only() {
        text.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    if with_connections {
        text.push_str("Clients:\n");
        for traffic in context.registry.open() {
            connection(&mut text, &traffic, true);
        }
        text.push('\n');
    }
    let (connections, _) = context.registry.counts();
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {connections}\nOutstanding: {}\n\
         Zxid: 0x{:x}\nMode: {}\nNode count: {}\n",
        stats.latency_min_ms,
        average(stats.latency_avg_ms),
        stats.latency_max_ms,
        stats.received,
        stats.sent,
        stats.outstanding,
        stats.zxid.0,
        mode(context),
        stats.znodes,
    );
    text
}

/// `cons`.
pub(super) fn connections(context: &Context) -> String {
    let mut text = String::new();
    for traffic in context.registry.open() {
        connection(&mut text, &traffic, false);
    }
    text.push('\n');
    text
}

/// The part that this member plays.
pub(super) fn mode(context: &Context) -> &'static str {
    if context.is_read_only() {
        "read-only"
    } else {
        "standalone"
    }
}

/// A mean with up to four digits after the point, as ZooKeeper has it.
pub(super) fn average(mean: f64) -> String {
    let rounded = (mean * 10_000.0).round() / 10_000.0;
    format!("{rounded:?}")
}

fn connection(text: &mut String, traffic: &Traffic, brief: bool) {
    let counts = traffic.counts();
    // The number in brackets is what the server waits for: 1 is to read.
    let waits = u8::from(counts.session != 0);
    let _ = write!(
        text,
        " /{}[{waits}](queued={},recved={},sent={}",
        traffic.peer, counts.queued, counts.received, counts.sent
    );
    if !brief && counts.session != 0 {
        let _ = write!(
            text,
            ",sid=0x{:x},lop={},est={},to={}",
            counts.session, counts.last_op, counts.established, counts.timeout_ms
        );
        if counts.last_xid >= 0 {
            let _ = write!(text, ",lcxid=0x{:x}", counts.last_xid);
        }
        let minimum = if counts.latency_min == u64::MAX {
            0
        } else {
            counts.latency_min
        };
        let _ = write!(
            text,
            ",lzxid=0x{:x},lresp={},llat={},minlat={minimum},avglat={},maxlat={}",
            counts.last_zxid,
            counts.last_response,
            counts.last_latency,
            counts.latency_avg(),
            counts.latency_max
        );
    }
    text.push_str(")\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_look_like_javas() {
        for (mean, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.333_333, "0.3333"),
            (12.5, "12.5"),
        ] {
            assert_eq!(average(mean), text);
        }
    }
}
