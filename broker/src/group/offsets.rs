//! OffsetCommit and OffsetDelete: from the wire's types to the core and back. Topics
//! are checked and their ids turned into names here; the core takes their names' word.

use protocol::Str;
use protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};
use protocol::error::ErrorCode;

use super::core::{CommitOffset, CommitRequest, DeleteOffsetsRequest, Event, Reply};
use super::membership::error_of;
use super::{GroupCoordinator, OffsetsLog};

impl<L: OffsetsLog> GroupCoordinator<L> {
    /// OffsetCommit; answered when the log has the offsets.
    pub(crate) async fn commit(
        &self,
        version: i16,
        request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let mut offsets = Vec::new();
        let mut response = OffsetCommitResponse::default();
        for topic in &request.topics {
            let (topic, known) = self.check_commit(version, topic);
            offsets.extend(known);
            response.topics.push(topic);
        }
        if !offsets.is_empty() {
            let count = offsets.len();
            let commit = CommitRequest {
                group: request.group_id.to_string(),
                generation: request.generation_id_or_member_epoch,
                member_id: request.member_id.to_string(),
                group_instance_id: request.group_instance_id.map(|id| id.to_string()),
                retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
                group_not_found: version >= 9,
                offsets,
            };
            let codes = match self
                .ask(&request.group_id, |to| Event::Commit(commit, to))
                .await
            {
                Ok(Reply::Commit(codes)) => codes,
                other => vec![error_of(other); count],
            };
            let partitions = response
                .topics
                .iter_mut()
                .flat_map(|topic| &mut topic.partitions);
            let known =
                partitions.filter(|partition| partition.error_code == ErrorCode::None as i16);
            for (partition, code) in known.zip(codes) {
                partition.error_code = code as i16;
            }
        }
        response
    }

    /// The answer for a topic, as far as it can be given without the group, and what the group must
    /// be asked.
    fn check_commit(
        &self,
        version: i16,
        topic: &OffsetCommitRequestTopic,
    ) -> (OffsetCommitResponseTopic, Vec<CommitOffset>) {
        let (name, unknown) = if version >= 10 {
            (
                self.log.topic_name(topic.topic_id),
                ErrorCode::UnknownTopicId,
            )
        } else {
            (
                Some(topic.name.to_string()),
                ErrorCode::UnknownTopicOrPartition,
            )
        };
        let mut response = OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: Vec::new(),
        };
        let mut offsets = Vec::new();
        for partition in &topic.partitions {
            let known = name
                .as_ref()
                .filter(|name| self.log.has_partition(name, partition.partition_index));
            let code = match (known, &name) {
                (Some(_), _) => ErrorCode::None,
                (None, Some(_)) => ErrorCode::UnknownTopicOrPartition,
                (None, None) => unknown,
            };
            offsets.extend(known.map(|name| {
                CommitOffset {
                    topic: name.clone(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition
                        .committed_metadata
                        .as_ref()
                        .map(Str::to_string)
                        .unwrap_or_default(),
                }
            }));
            let partition_index = partition.partition_index;
            response.partitions.push(OffsetCommitResponsePartition {
                partition_index,
                error_code: code as i16,
            });
        }
        (response, offsets)
    }

    /// OffsetDelete; answered when the log has the tombstones.
    pub(crate) async fn delete_offsets(
        &self,
        request: OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        let mut partitions = Vec::new();
        let mut response = OffsetDeleteResponse::default();
        for topic in &request.topics {
            let mut answered = OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions: Vec::new(),
            };
            for partition in &topic.partitions {
                let partition_index = partition.partition_index;
                let known = self.log.has_partition(&topic.name, partition_index);
                let code = if known {
                    ErrorCode::None
                } else {
                    ErrorCode::UnknownTopicOrPartition
                };
                if known {
                    partitions.push((topic.name.to_string(), partition_index));
                }
                let partition = OffsetDeleteResponsePartition {
                    partition_index,
                    error_code: code as i16,
                };
                answered.partitions.push(partition);
            }
            response.topics.push(answered);
        }
        let delete = DeleteOffsetsRequest {
            group: request.group_id.to_string(),
            partitions,
        };
        let codes = match self
            .ask(&request.group_id, |to| Event::DeleteOffsets(delete, to))
            .await
        {
            Ok(Reply::DeleteOffsets(codes)) => codes,
            other => Err(error_of(other)),
        };
        match codes {
            Err(error) => OffsetDeleteResponse {
                error_code: error as i16,
                ..OffsetDeleteResponse::default()
            },
            Ok(codes) => {
                let partitions = response
                    .topics
                    .iter_mut()
                    .flat_map(|topic| &mut topic.partitions);
                let known =
                    partitions.filter(|partition| partition.error_code == ErrorCode::None as i16);
                for (partition, code) in known.zip(codes) {
                    partition.error_code = code as i16;
                }
                response
            }
        }
    }
}
