//! Quotas: how many znodes and bytes a subtree may hold, and holds.
//!
//! `/zookeeper/quota/PATH/zookeeper_limits` says how much PATH and all under it may be, in a client's words. While it
//! exists the counts are kept up to date, and reading `zookeeper_stats` beside it gives them. They are no part of any
//! znode's stored data, so that a log replayed over a fuzzy snapshot cannot count twice.

use std::collections::BTreeMap;

use super::Tree;
use super::node::Node;
use super::path::split;
use crate::error::CoordError;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// What is under a quota: the znode itself and everything below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) znodes: i64,
    pub(crate) bytes: i64,
}

/// The subtrees under quotas, by the path of their top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quotas(BTreeMap<Box<str>, Counts>);

impl Quotas {
    /// A znode came or went, or its data has another length.
    pub(crate) fn count(&mut self, path: &str, znodes: i64, bytes: i64) {
        if self.0.is_empty() {
            return;
        }
        for top in ancestry(path) {
            if let Some(counts) = self.0.get_mut(top) {
                counts.znodes += znodes;
                counts.bytes += bytes;
            }
        }
    }

    /// The innermost quota over `path`.
    fn over<'a>(&self, path: &'a str) -> Option<(&'a str, Counts)> {
        if self.0.is_empty() {
            return None;
        }
        ancestry(path).find_map(|top| Some((top, *self.0.get(top)?)))
    }

    pub(crate) fn begin(&mut self, top: &str, counts: Counts) {
        self.0.insert(top.into(), counts);
    }

    pub(crate) fn end(&mut self, top: &str) {
        self.0.remove(top);
    }

    fn of(&self, top: &str) -> Option<Counts> {
        self.0.get(top).copied()
    }
}

/// The path itself and all above it but the root, on which there is no quota.
fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let below_root = |path: &'_ str| path != "/";
    let mut next = Some(path).filter(|path| below_root(path));
    std::iter::from_fn(move || {
        let path = next?;
        next = Some(split(path).0).filter(|path| below_root(path));
        Some(path)
    })
}

/// The subtree whose limits this znode holds.
pub(crate) fn limits_of(path: &str) -> Option<&str> {
    top_of(path, LIMITS)
}

fn top_of<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(ROOT)?;
    let (top, last) = split(rest);
    (rest.starts_with('/') && last == name && top != "/").then_some(top)
}

/// A quota's limits; less than 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    znodes: i64,
    bytes: i64,
    hard_znodes: i64,
    hard_bytes: i64,
}

impl Limits {
    /// `count=5,bytes=-1=;byteHardLimit=10;countHardLimit=5`, as ZooKeeper's tools write them; what cannot be read is
    /// no limit.
    fn parse(data: &[u8]) -> Limits {
        let mut limits = Limits {
            znodes: -1,
            bytes: -1,
            hard_znodes: -1,
            hard_bytes: -1,
        };
        let text = String::from_utf8_lossy(data);
        for pair in text.split([',', ';']) {
            let mut parts = pair.split('=');
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Ok(value) = value.trim().parse() else {
                continue;
            };
            match key {
                "count" => limits.znodes = value,
                "bytes" => limits.bytes = value,
                "countHardLimit" => limits.hard_znodes = value,
                "byteHardLimit" => limits.hard_bytes = value,
                _ => {}
            }
        }
        limits
    }
}

/// How a change stands to the quota over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    /// Past a soft limit: the words are for the log.
    Past(String),
}

impl Tree {
    /// Whether a znode more (or none), and so many bytes more, are within the quota over `path`. As in ZooKeeper, what
    /// is proposed and not yet applied does not count.
    pub(crate) fn within_quota(
        &self,
        path: &str,
        znodes: i64,
        bytes: i64,
    ) -> Result<Verdict, CoordError> {
        let Some((top, counts)) = self.quotas.over(path) else {
            return Ok(Verdict::Within);
        };
        let Some(node) = self.find(&format!("{ROOT}{top}/{LIMITS}")) else {
            return Ok(Verdict::Within);
        };
        let limits = Limits::parse(&node.data);
        let mut verdict = Verdict::Within;
        for (what, more, held, soft, hard) in [
            (
                "znodes",
                znodes,
                counts.znodes,
                limits.znodes,
                limits.hard_znodes,
            ),
            (
                "bytes",
                bytes,
                counts.bytes,
                limits.bytes,
                limits.hard_bytes,
            ),
        ] {
            let is_past = |limit: i64| more != 0 && limit > -1 && held + more > limit;
            if hard > -1 {
                if is_past(hard) {
                    return Err(CoordError::QuotaExceeded {
                        path: top.to_owned(),
                    });
                }
            } else if is_past(soft) {
                verdict = Verdict::Past(format!(
                    "the quota of {top} is exceeded: {} {what} of {soft}",
                    held + more
                ));
            }
        }
        Ok(verdict)
    }

    /// What is in the subtree of `top`.
    pub(super) fn counts(&self, top: &str) -> Counts {
        fn add(node: &Node, counts: &mut Counts) {
            counts.znodes += 1;
            counts.bytes += node.data.len() as i64;
            for child in node.children().into_iter().flat_map(|c| c.values()) {
                add(child, counts);
            }
        }
        let mut counts = Counts::default();
        if let Some(node) = self.find(top) {
            add(node, &mut counts);
        }
        counts
    }

    /// The data of a `zookeeper_stats` znode whose quota is kept up to date.
    pub(super) fn quota_stats(&self, path: &str) -> Option<String> {
        let counts = self.quotas.of(top_of(path, STATS)?)?;
        Some(format!("count={},bytes={}", counts.znodes, counts.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_zookeepers_tools_write_them() {
        let of = |znodes, bytes, hard_znodes, hard_bytes| Limits {
            znodes,
            bytes,
            hard_znodes,
            hard_bytes,
        };
        for (text, expected) in [
            ("count=5,bytes=-1", of(5, -1, -1, -1)),
            (
                "count=1,bytes=2=;byteHardLimit=10;countHardLimit=20",
                of(1, 2, 20, 10),
            ),
            ("count=,bytes=7", of(-1, 7, -1, -1)),
            ("", of(-1, -1, -1, -1)),
            ("noise", of(-1, -1, -1, -1)),
        ] {
            assert_eq!(Limits::parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_limits_znode_names_its_subtree() {
        for (path, top) in [
            ("/zookeeper/quota/a/b/zookeeper_limits", Some("/a/b")),
            ("/zookeeper/quota/zookeeper_limits", None),
            ("/zookeeper/quota/a/zookeeper_stats", None),
            ("/zookeeper/quotas/zookeeper_limits", None),
            ("/a/zookeeper_limits", None),
        ] {
            assert_eq!(limits_of(path), top, "{path}");
        }
        assert_eq!(
            ancestry("/a/b/c").collect::<Vec<_>>(),
            ["/a/b/c", "/a/b", "/a"]
        );
        assert_eq!(ancestry("/").count(), 0);
    }
}
