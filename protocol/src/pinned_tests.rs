//! What the oracle does not know, against bytes that Kafka 4.3.1's own classes wrote: the newest
//! versions of some APIs, and the records of `__consumer_offsets`.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    api::{describe_log_dirs::*, list_offsets::*, offset_commit::*, offset_fetch::*},
    internal::*,
    wire::{Message, Reader, Writer},
};

fn id() -> Uuid {
    Uuid::from_u64_pair(1, 2)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("strings grow");
        hex
    })
}

fn check<M: Message + PartialEq + std::fmt::Debug>(message: M, version: i16, expected: &str) {
    let mut w = Writer::default();
    message.encode(&mut w, version);
    let bytes = w.into_bytes();
    assert_eq!(hex(&bytes), expected);
    assert_eq!(M::decode(&mut Reader::new(bytes), version), Ok(message));
}

#[test]
fn offset_commit_10() {
    let partition = OffsetCommitRequestPartition {
        partition_index: 4,
        committed_offset: 5,
        committed_leader_epoch: 6,
        committed_metadata: Some("x".into()),
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 3,
        member_id: "m".into(),
        group_instance_id: Some("i".into()),
        topics: vec![OffsetCommitRequestTopic {
            topic_id: id(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    check(
        request,
        10,
        "026700000003026d0269020000000000000001000000000000000202000000040000000000000005000000060278000000",
    );
    let partition = OffsetCommitResponsePartition {
        partition_index: 4,
        error_code: 5,
    };
    let response = OffsetCommitResponse {
        throttle_time_ms: 1,
        topics: vec![OffsetCommitResponseTopic {
            topic_id: id(),
            partitions: vec![partition],
            ..OffsetCommitResponseTopic::default()
        }],
    };
    check(
        response,
        10,
        "00000001020000000000000001000000000000000202000000040005000000",
    );
}

#[test]
fn offset_fetch_10() {
    let request = OffsetFetchRequest {
        require_stable: true,
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".into(),
            member_id: Some("m".into()),
            member_epoch: 3,
            topics: Some(vec![OffsetFetchRequestTopics {
                topic_id: id(),
                partition_indexes: vec![4, 5],
                ..OffsetFetchRequestTopics::default()
            }]),
        }],
        ..OffsetFetchRequest::default()
    };
    check(
        request,
        10,
        "020267026d00000003020000000000000001000000000000000203000000040000000500000100",
    );
    let partition = OffsetFetchResponsePartitions {
        partition_index: 4,
        committed_offset: 5,
        committed_leader_epoch: 6,
        metadata: Some("x".into()),
        error_code: 7,
    };
    let response = OffsetFetchResponse {
        throttle_time_ms: 1,
        groups: vec![OffsetFetchResponseGroup {
            group_id: "g".into(),
            topics: vec![OffsetFetchResponseTopics {
                topic_id: id(),
                partitions: vec![partition],
                ..OffsetFetchResponseTopics::default()
            }],
            error_code: 3,
        }],
        ..OffsetFetchResponse::default()
    };
    check(
        response,
        10,
        "000000010202670200000000000000010000000000000002020000000400000000000000050000000602780007000000030000",
    );
}

#[test]
fn describe_log_dirs_5() {
    check(DescribeLogDirsRequest { topics: None }, 5, "0000");
    let partition = DescribeLogDirsPartition {
        partition_index: 6,
        partition_size: 7,
        offset_lag: 8,
        is_future_key: true,
    };
    let response = DescribeLogDirsResponse {
        throttle_time_ms: 1,
        error_code: 2,
        results: vec![DescribeLogDirsResult {
            error_code: 3,
            log_dir: "d".into(),
            topics: vec![DescribeLogDirsTopic {
                name: "t".into(),
                partitions: vec![partition],
            }],
            total_bytes: 4,
            usable_bytes: 5,
            is_cordoned: true,
        }],
    };
    check(
        response,
        5,
        "000000010002020003026402027402000000060000000000000007000000000000000801000000000000000000040000000000000005010000",
    );
}

#[test]
fn list_offsets_11() {
    let partition = ListOffsetsPartition {
        partition_index: 1,
        current_leader_epoch: 2,
        timestamp: -1,
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![partition],
        }],
        timeout_ms: 9,
    };
    check(
        request,
        11,
        "ffffffff01020274020000000100000002ffffffffffffffff00000000000900",
    );
    let partition = ListOffsetsPartitionResponse {
        partition_index: 1,
        error_code: 2,
        timestamp: 3,
        offset: 4,
        leader_epoch: 5,
    };
    let response = ListOffsetsResponse {
        throttle_time_ms: 1,
        topics: vec![ListOffsetsTopicResponse {
            name: "t".into(),
            partitions: vec![partition],
        }],
    };
    check(
        response,
        11,
        "00000001020274020000000100020000000000000003000000000000000400000005000000",
    );
}

#[test]
fn keys_of_consumer_offsets() {
    let offset = CoordinatorKey::Offset(OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    });
    let group = CoordinatorKey::Group(GroupMetadataKey { group: "g".into() });
    for (key, bytes) in [(offset, "000100016700017400000003"), (group, "0002000167")] {
        assert_eq!(hex(&key.to_bytes()), bytes);
        assert_eq!(CoordinatorKey::from_bytes(key.to_bytes()), Ok(key));
    }
    let later = Bytes::from_static(&[0, 3, 0, 1, b'g']);
    assert_eq!(
        CoordinatorKey::from_bytes(later),
        Ok(CoordinatorKey::Unknown(3))
    );
}

#[test]
fn values_of_consumer_offsets() {
    let offset = |version| OffsetCommitValue {
        offset: 1,
        leader_epoch: if version >= 3 { 2 } else { -1 },
        metadata: "m".into(),
        commit_timestamp: 3,
        expire_timestamp: if version == 1 { 4 } else { -1 },
        topic_id: if version >= 4 { id() } else { Uuid::nil() },
    };
    let offsets = [
        "0000000000000000000100016d0000000000000003",
        "0001000000000000000100016d00000000000000030000000000000004",
        "0002000000000000000100016d0000000000000003",
        "000300000000000000010000000200016d0000000000000003",
        "0004000000000000000100000002026d000000000000000301001000000000000000010000000000000002",
    ];
    for (version, bytes) in (0..).zip(offsets) {
        let value = offset(version);
        assert_eq!(hex(&value.to_bytes(version)), bytes);
        assert_eq!(
            OffsetCommitValue::from_bytes(value.to_bytes(version)),
            Ok(value)
        );
    }

    let group = |version| GroupMetadataValue {
        protocol_type: "p".into(),
        generation: 1,
        protocol: Some("r".into()),
        leader: None,
        current_state_timestamp: if version >= 2 { 9 } else { -1 },
        members: vec![MemberMetadata {
            member_id: "m".into(),
            group_instance_id: (version >= 3).then(|| "i".into()),
            client_id: "c".into(),
            client_host: "h".into(),
            rebalance_timeout: if version >= 1 { 8 } else { -1 },
            session_timeout: 5,
            subscription: Bytes::from_static(&[6]),
            assignment: Bytes::from_static(&[7]),
        }],
    };
    let groups = [
        "000000017000000001000172ffff0000000100016d0001630001680000000500000001060000000107",
        "000100017000000001000172ffff0000000100016d000163000168000000080000000500000001060000000107",
        "000200017000000001000172ffff00000000000000090000000100016d000163000168000000080000000500000001060000000107",
        "000300017000000001000172ffff00000000000000090000000100016d000169000163000168000000080000000500000001060000000107",
        "0004027000000001027200000000000000000902026d0269026302680000000800000005020602070000",
    ];
    for (version, bytes) in (0..).zip(groups) {
        let value = group(version);
        assert_eq!(hex(&value.to_bytes(version)), bytes);
        assert_eq!(
            GroupMetadataValue::from_bytes(value.to_bytes(version)),
            Ok(value)
        );
    }
    let later = Bytes::from_static(&[0, 5]);
    assert!(GroupMetadataValue::from_bytes(later).is_err());
}
