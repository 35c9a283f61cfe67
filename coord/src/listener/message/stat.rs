//! A znode's numbers.

use super::super::jute::Writer;
use crate::Stat;

/// Bytes of a stat.
#[cfg(test)]
pub(crate) const STAT_BYTES: usize = 68;

/// Writes a stat.
pub(crate) fn encode(stat: &Stat, writer: &mut Writer<'_>) {
    writer.long(stat.czxid.0 as i64);
    writer.long(stat.mzxid.0 as i64);
    writer.long(stat.ctime);
    writer.long(stat.mtime);
    writer.int(stat.version);
    writer.int(stat.cversion);
    writer.int(stat.aversion);
    writer.long(stat.ephemeral_owner);
    writer.int(stat.data_length);
    writer.int(stat.num_children);
    writer.long(stat.pzxid.0 as i64);
}
