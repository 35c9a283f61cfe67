//! What an operator can set about groups, by Kafka's names and defaults, and the limits that keep a
//! peer from growing us.

/// The settings of a shard. Times are in milliseconds, sizes in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the members of one group.
    pub group_members_max: usize,
    /// How long a member whom no answer has told its id yet may wait in a rebalance (Kafka: five
    /// minutes, fixed).
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`, counted like Kafka in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// The groups of one shard.
    pub groups_max: usize,
    /// The bytes of all protocols' metadata that one member may bring.
    pub member_metadata_bytes_max: usize,
    /// The bytes of all members' metadata, and of all assignments, in one group.
    pub group_metadata_bytes_max: usize,
}

/// The longest group, member, instance and protocol id in bytes. Kafka's own limit is the wire's
/// (32767).
pub(super) const ID_BYTES_MAX: usize = 4096;
/// The protocols (assignment strategies) that one member may name.
pub(super) const PROTOCOLS_MAX: usize = 64;

impl Default for Config {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            group_members_max: 10_000,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 10_080 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            groups_max: 20_000,
            member_metadata_bytes_max: 1 << 20,
            group_metadata_bytes_max: 16 << 20,
        }
    }
}
