//! The APIs that are implemented, with their version ranges.
//!
//! The maxima are the newest stable versions of Kafka 4.3, the minima those of its message
//! definitions. What a broker advertises is its own affair.

use std::ops::RangeInclusive;

use crate::wire::DecodeError;

macro_rules! api_keys {
    ($($name:ident = $key:literal, $min:literal..=$max:literal, flexible $flexible:expr;)*) => {
        /// An API, by Kafka's name and key for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// All implemented APIs, by key.
            pub const ALL: &[ApiKey] = &[$(ApiKey::$name,)*];

            /// Kafka's name for it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => stringify!($name),)*
                }
            }

            /// The implemented versions.
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(ApiKey::$name => $min..=$max,)*
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if none.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(ApiKey::$name => $flexible,)*
                }
            }
        }

        impl TryFrom<i16> for ApiKey {
            type Error = DecodeError;

            fn try_from(key: i16) -> Result<Self, DecodeError> {
                match key {
                    $($key => Ok(ApiKey::$name),)*
                    _ => Err(DecodeError::UnknownApi(key)),
                }
            }
        }
    };
}

api_keys! {
    Produce = 0, 3..=13, flexible 9;
    Fetch = 1, 4..=18, flexible 12;
    ListOffsets = 2, 1..=11, flexible 6;
    Metadata = 3, 0..=13, flexible 9;
    OffsetCommit = 8, 2..=10, flexible 8;
    OffsetFetch = 9, 1..=10, flexible 6;
    FindCoordinator = 10, 0..=6, flexible 3;
    JoinGroup = 11, 0..=9, flexible 6;
    Heartbeat = 12, 0..=4, flexible 4;
    LeaveGroup = 13, 0..=5, flexible 4;
    SyncGroup = 14, 0..=5, flexible 4;
    DescribeGroups = 15, 0..=6, flexible 5;
    ListGroups = 16, 0..=5, flexible 3;
    ApiVersions = 18, 0..=4, flexible 3;
    CreateTopics = 19, 2..=7, flexible 5;
    DeleteTopics = 20, 1..=6, flexible 4;
    DeleteRecords = 21, 0..=2, flexible 2;
    InitProducerId = 22, 0..=5, flexible 2;
    OffsetForLeaderEpoch = 23, 2..=4, flexible 4;
    DescribeConfigs = 32, 1..=4, flexible 4;
    AlterConfigs = 33, 0..=2, flexible 2;
    DescribeLogDirs = 35, 1..=5, flexible 2;
    CreatePartitions = 37, 0..=3, flexible 2;
    DeleteGroups = 42, 0..=2, flexible 2;
    IncrementalAlterConfigs = 44, 0..=1, flexible 1;
    OffsetDelete = 47, 0..=0, flexible i16::MAX;
    DescribeCluster = 60, 0..=2, flexible 0;
    DescribeTopicPartitions = 75, 0..=0, flexible 0;
}

impl ApiKey {
    /// The version of the request header in front of a request of this version.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if version >= self.flexible_from() {
            2
        } else {
            1
        }
    }

    /// The version of the response header in front of an answer of this version. That of
    /// ApiVersions is always 0: its reader does not yet know what the broker speaks (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            ApiKey::ApiVersions => 0,
            _ if version >= self.flexible_from() => 1,
            _ => 0,
        }
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
