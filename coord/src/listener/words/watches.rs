//! `wchs`, `wchc` and `wchp`: who watches what.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::wire::Stats;

/// `wchs`.
pub(super) fn summary(stats: &Stats) -> String {
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        stats.watching_connections, stats.watched_paths, stats.watches
    )
}

/// `wchc`.
pub(super) fn by_session(watches: &[(i64, Vec<String>)]) -> String {
    let mut text = String::new();
    for (session, paths) in watches {
        let _ = writeln!(text, "0x{session:x}");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text.push('\n');
    text
}

/// `wchp`.
pub(super) fn by_path(watches: &[(i64, Vec<String>)]) -> String {
    let mut sessions: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (session, paths) in watches {
        for path in paths {
            sessions.entry(path).or_default().push(*session);
        }
    }
    let mut text = String::new();
    for (path, sessions) in sessions {
        let _ = writeln!(text, "{path}");
        for session in sessions {
            let _ = writeln!(text, "\t0x{session:x}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_told_either_way_round() {
        let paths = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let watches = [(0x10, paths(&["/a", "/b"])), (0x20, paths(&["/a"]))];
        assert_eq!(by_session(&watches), "0x10\n\t/a\n\t/b\n0x20\n\t/a\n\n");
        assert_eq!(by_path(&watches), "/a\n\t0x10\n\t0x20\n/b\n\t0x10\n\n");
        assert_eq!(by_path(&[]), "\n");
    }
}
