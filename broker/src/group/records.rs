//! The records of `__consumer_offsets` as bytes: Kafka's schemas, so that Kafka's tools read our
//! log and we read Kafka's. Written as Kafka 3 and 4 write them (a group as version 3, an offset as
//! version 3 or, with its own expiry, 1).

use bytes::Bytes;
use protocol::internal::{
    CoordinatorKey, GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey,
    OffsetCommitValue,
};
use protocol::{DecodeError, Str};

use super::core::{CommittedOffset, GroupRecord, MemberRecord, Record};

const GROUP_VERSION: i16 = 3;
const OFFSET_VERSION: i16 = 3;
/// The one version that knows an expiry.
const OFFSET_VERSION_WITH_EXPIRY: i16 = 1;

/// A record's key and value.
pub(crate) fn encode(record: &Record) -> (Bytes, Option<Bytes>) {
    match record {
        Record::Offset {
            group,
            topic,
            partition,
            value,
        } => {
            let key = CoordinatorKey::Offset(OffsetCommitKey {
                group: str(group),
                topic: str(topic),
                partition: *partition,
            });
            (key.to_bytes(), value.as_ref().map(encode_offset))
        }
        Record::Group { group, value } => {
            let key = CoordinatorKey::Group(GroupMetadataKey { group: str(group) });
            (key.to_bytes(), value.as_ref().map(encode_group))
        }
    }
}

/// Reads a record; `None` for records of other kinds of groups, which are left alone.
pub(crate) fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<Record>, DecodeError> {
    match CoordinatorKey::from_bytes(key)? {
        CoordinatorKey::Offset(key) => {
            let value = value
                .map(OffsetCommitValue::from_bytes)
                .transpose()?
                .map(offset);
            let (group, topic) = (key.group.to_string(), key.topic.to_string());
            Ok(Some(Record::Offset {
                group,
                topic,
                partition: key.partition,
                value,
            }))
        }
        CoordinatorKey::Group(key) => {
            let value = value
                .map(GroupMetadataValue::from_bytes)
                .transpose()?
                .map(group);
            Ok(Some(Record::Group {
                group: key.group.to_string(),
                value,
            }))
        }
        CoordinatorKey::Unknown(_) => Ok(None),
    }
}

fn encode_offset(value: &CommittedOffset) -> Bytes {
    let version = if value.expire_timestamp_ms.is_some() {
        OFFSET_VERSION_WITH_EXPIRY
    } else {
        OFFSET_VERSION
    };
    let value = OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: str(&value.metadata),
        commit_timestamp: value.commit_timestamp_ms,
        expire_timestamp: value.expire_timestamp_ms.unwrap_or(-1),
        ..OffsetCommitValue::default()
    };
    value.to_bytes(version)
}

fn offset(value: OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.to_string(),
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
    }
}

fn encode_group(value: &GroupRecord) -> Bytes {
    let member = |member: &MemberRecord| MemberMetadata {
        member_id: str(&member.member_id),
        group_instance_id: member.group_instance_id.as_deref().map(str),
        client_id: str(&member.client_id),
        client_host: str(&member.client_host),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    };
    let value = GroupMetadataValue {
        protocol_type: str(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol_name.as_deref().map(str),
        leader: value.leader.as_deref().map(str),
        current_state_timestamp: value.state_timestamp_ms,
        members: value.members.iter().map(member).collect(),
    };
    value.to_bytes(GROUP_VERSION)
}

fn group(value: GroupMetadataValue) -> GroupRecord {
    // Copies throughout: what stays in memory must not hold on to the batch it was read from.
    let member = |member: MemberMetadata| MemberRecord {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    };
    GroupRecord {
        protocol_type: value.protocol_type.to_string(),
        generation: value.generation,
        protocol_name: value.protocol.map(|name| name.to_string()),
        leader: value.leader.map(|leader| leader.to_string()),
        state_timestamp_ms: value.current_state_timestamp,
        members: value.members.into_iter().map(member).collect(),
    }
}

fn str(text: &str) -> Str {
    Str::from(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: Record) {
        let (key, value) = encode(&record);
        assert_eq!(decode(key, value).unwrap(), Some(record));
    }

    #[test]
    fn records_come_back_as_they_went() {
        let offset = CommittedOffset {
            offset: 42,
            leader_epoch: 7,
            metadata: "grüße\0 \u{1F980}".to_owned(),
            commit_timestamp_ms: 1_700_000_000_000,
            expire_timestamp_ms: None,
        };
        let of = |value| Record::Offset {
            group: "g".to_owned(),
            topic: "t".to_owned(),
            partition: 3,
            value,
        };
        check(of(None));
        check(of(Some(offset.clone())));
        // Version 1 knows an expiry, but no epoch.
        check(of(Some(CommittedOffset {
            leader_epoch: -1,
            expire_timestamp_ms: Some(9),
            ..offset
        })));

        let member = MemberRecord {
            member_id: "c-1".to_owned(),
            group_instance_id: Some("i".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let group = GroupRecord {
            protocol_type: "consumer".to_owned(),
            generation: 5,
            protocol_name: Some("range".to_owned()),
            leader: Some("c-1".to_owned()),
            state_timestamp_ms: 11,
            members: vec![
                member.clone(),
                MemberRecord {
                    group_instance_id: None,
                    ..member
                },
            ],
        };
        check(Record::Group {
            group: "g".to_owned(),
            value: Some(group),
        });
        check(Record::Group {
            group: "g".to_owned(),
            value: None,
        });
    }

    #[test]
    fn the_bytes_are_kafkas() {
        let record = Record::Offset {
            group: "g".to_owned(),
            topic: "t".to_owned(),
            partition: 1,
            value: Some(CommittedOffset {
                offset: 2,
                leader_epoch: 3,
                metadata: "m".to_owned(),
                commit_timestamp_ms: 4,
                expire_timestamp_ms: None,
            }),
        };
        let (key, value) = encode(&record);
        assert_eq!(&key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x01");
        assert_eq!(
            &value.unwrap()[..],
            b"\0\x03\0\0\0\0\0\0\0\x02\0\0\0\x03\0\x01m\0\0\0\0\0\0\0\x04"
        );
        let (key, value) = encode(&Record::Group {
            group: "g".to_owned(),
            value: None,
        });
        assert_eq!((&key[..], value), (&b"\0\x02\0\x01g"[..], None));
    }

    #[test]
    fn other_kinds_of_groups_are_left_alone_and_nonsense_is_an_error() {
        assert_eq!(
            decode(Bytes::from_static(b"\0\x03\0\x01g"), None).unwrap(),
            None
        );
        assert!(decode(Bytes::from_static(b"\0"), None).is_err());
        let key = encode(&Record::Group {
            group: "g".to_owned(),
            value: None,
        })
        .0;
        assert!(decode(key, Some(Bytes::from_static(b"\0\x03\0"))).is_err());
    }
}
