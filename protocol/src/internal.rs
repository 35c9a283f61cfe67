//! What Kafka keeps in its own formats inside records and opaque bytes: committed offsets and
//! groups in `__consumer_offsets`, and what members of a consumer group tell each other.
//!
//! Each is an `int16` version in front of a message.

use bytes::Bytes;
use uuid::Uuid;

use crate::wire::{DecodeError, Message, Reader, Str, Writer, messages};

messages! {
    flexible from 4;

    /// The value of an offset's record in `__consumer_offsets`, versions 0 to 4.
    pub struct OffsetCommitValue {
        pub offset: i64,
        pub leader_epoch: i32 { 3.. } = -1,
        pub metadata: Str,
        pub commit_timestamp: i64,
        pub expire_timestamp: i64 { 1..=1 } = -1,
        pub topic_id: Uuid { 4.., tag 0 },
    }

    /// The value of a classic group's record in `__consumer_offsets`, versions 0 to 4.
    pub struct GroupMetadataValue {
        pub protocol_type: Str,
        pub generation: i32,
        pub protocol: Option<Str>,
        pub leader: Option<Str>,
        pub current_state_timestamp: i64 { 2.. } = -1,
        pub members: Vec<MemberMetadata>,
    }

    /// An element of [`GroupMetadataValue::members`].
    pub struct MemberMetadata {
        pub member_id: Str,
        pub group_instance_id: Option<Str> { 3.. },
        pub client_id: Str,
        pub client_host: Str,
        pub rebalance_timeout: i32 { 1.. } = -1,
        pub session_timeout: i32,
        pub subscription: Bytes,
        pub assignment: Bytes,
    }
}

/// The same four never became flexible.
mod fixed {
    use super::{Bytes, Str, messages};

    messages! {
        flexible from i16::MAX;

        /// The key of an offset's record in `__consumer_offsets`, versions 0 and 1 (which are the same).
        pub struct OffsetCommitKey {
            pub group: Str,
            pub topic: Str,
            pub partition: i32,
        }

        /// The key of a classic group's record in `__consumer_offsets`, version 2.
        pub struct GroupMetadataKey {
            pub group: Str,
        }

        /// What a consumer tells its group when it joins, versions 0 to 3.
        pub struct ConsumerProtocolSubscription {
            pub topics: Vec<Str>,
            pub user_data: Option<Bytes>,
            pub owned_partitions: Vec<TopicPartition> { 1.. },
            pub generation_id: i32 { 2.. } = -1,
            pub rack_id: Option<Str> { 3.. },
        }

        /// What a group's leader assigns to a member, versions 0 to 3.
        pub struct ConsumerProtocolAssignment {
            pub assigned_partitions: Vec<TopicPartition>,
            pub user_data: Option<Bytes>,
        }

        /// Partitions of one topic, owned or assigned.
        pub struct TopicPartition {
            pub topic: Str,
            pub partitions: Vec<i32>,
        }
    }
}

pub use fixed::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupMetadataKey, OffsetCommitKey,
    TopicPartition,
};

/// The key of a record in `__consumer_offsets`, told apart by its version.
#[derive(Debug, Clone, PartialEq)]
pub enum CoordinatorKey {
    /// Versions 0 and 1; written as 1.
    Offset(OffsetCommitKey),
    /// Version 2.
    Group(GroupMetadataKey),
    /// A later version: of a group type that is not stored here.
    Unknown(i16),
}

impl CoordinatorKey {
    /// Reads a record's key.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        match r.i16()? {
            version @ 0..=1 => OffsetCommitKey::decode(&mut r, version).map(Self::Offset),
            version @ 2 => GroupMetadataKey::decode(&mut r, version).map(Self::Group),
            version => Ok(Self::Unknown(version)),
        }
    }

    /// The bytes of a record's key.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Offset(key) => versioned(1, key),
            Self::Group(key) => versioned(2, key),
            Self::Unknown(version) => Bytes::copy_from_slice(&version.to_be_bytes()),
        }
    }
}

fn versioned(version: i16, message: &impl Message) -> Bytes {
    let mut w = Writer::default();
    w.i16(version);
    message.encode(&mut w, version);
    w.into_bytes()
}

macro_rules! stored {
    ($($name:ident: $what:literal, up to $max:literal;)*) => {
        $(impl $name {
            /// Reads a value with its version in front; versions from the future are refused.
            pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
                let mut r = Reader::new(bytes);
                match r.i16()? {
                    version @ 0..=$max => Self::decode(&mut r, version),
                    version => Err(DecodeError::UnsupportedVersion { what: $what, version }),
                }
            }

            /// The bytes of the value with its version, 0 to 4, in front.
            pub fn to_bytes(&self, version: i16) -> Bytes {
                versioned(version, self)
            }
        })*
    };
}

stored! {
    OffsetCommitValue: "a committed offset", up to 4;
    GroupMetadataValue: "a group", up to 4;
}

macro_rules! told {
    ($($name:ident;)*) => {
        $(impl $name {
            /// Reads it with its version in front. Later versions only add fields at the end, so
            /// that they are read as version 3.
            pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
                let mut r = Reader::new(bytes);
                match r.i16()? {
                    version @ 0.. => Self::decode(&mut r, version.min(3)),
                    version => Err(DecodeError::UnsupportedVersion {
                        what: "the consumer protocol",
                        version,
                    }),
                }
            }

            /// Its bytes with its version, 0 to 3, in front.
            pub fn to_bytes(&self, version: i16) -> Bytes {
                versioned(version, self)
            }
        })*
    };
}

told! {
    ConsumerProtocolSubscription;
    ConsumerProtocolAssignment;
}
