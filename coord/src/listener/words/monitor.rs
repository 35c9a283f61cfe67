//! `mntr`: numbers for whoever collects them, by ZooKeeper's names.

use std::fmt::Write;

use super::super::{Context, VERSION};
use super::server::{average, mode};

pub(super) fn monitor(context: &Context) -> String {
    let stats = context.wire.stats();
    let (connections, rejected) = context.registry.counts();
    let sessions = stats.sessions;
    let all: [(&str, String); 21] = [
        ("version", VERSION.to_owned()),
        ("server_state", mode(context).to_owned()),
        ("ephemerals_count", stats.ephemerals.to_string()),
        ("num_alive_connections", connections.to_string()),
        ("avg_latency", average(stats.latency_avg_ms)),
        ("outstanding_requests", stats.outstanding.to_string()),
        ("znode_count", stats.znodes.to_string()),
        ("global_sessions", sessions.to_string()),
        ("packets_sent", stats.sent.to_string()),
        ("packets_received", stats.received.to_string()),
        ("watch_count", stats.watches.to_string()),
        ("min_latency", stats.latency_min_ms.to_string()),
        ("max_latency", stats.latency_max_ms.to_string()),
        ("approximate_data_size", stats.data_bytes.to_string()),
        ("local_sessions", "0".to_owned()),
        ("uptime", context.started.elapsed().as_millis().to_string()),
        ("connection_rejected", rejected.to_string()),
        ("throttled_ops", "0".to_owned()),
        ("stale_requests", "0".to_owned()),
        ("connection_drop_count", "0".to_owned()),
        ("commit_count", stats.answered.to_string()),
    ];
    let mut text = String::new();
    for (name, value) in all {
        let _ = writeln!(text, "zk_{name}\t{value}");
    }
    text
}
