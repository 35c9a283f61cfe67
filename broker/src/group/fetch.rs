//! OffsetFetch: committed offsets, of some partitions or all, of one group or several.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Str;
use protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use protocol::error::ErrorCode;
use uuid::Uuid;

use super::coordinator::answer;
use super::core::{CommittedOffset, Event, Group, Reply, State};
use super::{GroupCoordinator, OffsetsLog};

impl<L: OffsetsLog> GroupCoordinator<L> {
    /// OffsetFetch. With `require_stable` it waits for commits that are on their way to the log.
    pub(crate) async fn fetch_offsets(
        &self,
        version: i16,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let mut groups = if version >= 8 {
            request.groups
        } else {
            vec![as_group(request.group_id, request.topics)]
        };
        // What is named a million times is answered once: else a small request could ask for more
        // than there is memory.
        let mut seen = BTreeSet::new();
        groups.retain(|group| seen.insert(group.group_id.clone()));
        for group in &mut groups {
            group.topics = group.topics.take().map(once_each);
        }
        let settled: Vec<_> = if request.require_stable {
            let settle = |group: &OffsetFetchRequestGroup| {
                self.send(&group.group_id, |reply_to| Event::Settle {
                    group: group.group_id.to_string(),
                    reply_to,
                })
            };
            groups.iter().map(settle).collect()
        } else {
            Vec::new()
        };
        let mut settled = settled.into_iter();
        let mut answers = Vec::with_capacity(groups.len());
        for group in &groups {
            let error = match settled.next() {
                None => ErrorCode::None,
                Some(sent) => match answer(sent).await {
                    Ok(Reply::Settled(error)) => error,
                    Ok(_) => ErrorCode::UnknownServerError,
                    Err(error) => error,
                },
            };
            answers.push(if error == ErrorCode::None {
                self.fetch_group(version, group)
            } else {
                failed(group, error)
            });
        }
        if version >= 8 {
            return OffsetFetchResponse {
                groups: answers,
                ..OffsetFetchResponse::default()
            };
        }
        match (answers.pop(), groups.first()) {
            (Some(answer), Some(asked)) => alone(version, answer, asked),
            _ => OffsetFetchResponse::default(),
        }
    }

    fn fetch_group(
        &self,
        version: i16,
        asked: &OffsetFetchRequestGroup,
    ) -> OffsetFetchResponseGroup {
        let topics = match &asked.topics {
            Some(topics) => self.fetch_some(version, &asked.group_id, topics),
            None => self.look_at(&asked.group_id, |group| {
                group
                    .map(|group| self.fetch_all(version, group))
                    .unwrap_or_default()
            }),
        };
        match topics {
            Ok(topics) => OffsetFetchResponseGroup {
                group_id: asked.group_id.clone(),
                topics,
                error_code: 0,
            },
            Err(error) => failed(asked, error),
        }
    }

    fn look_at<T>(
        &self,
        group: &str,
        look: impl FnOnce(Option<&Group>) -> T,
    ) -> Result<T, ErrorCode> {
        let alive = |group: &&Group| *group.state() != State::Dead;
        self.of(group)?
            .look(|shard| look(shard.group(group).filter(alive)))
    }

    /// Under the lock only what there is gets copied, however much is asked.
    fn fetch_some(
        &self,
        version: i16,
        group: &str,
        asked: &[OffsetFetchRequestTopics],
    ) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
        let name = |topic: &OffsetFetchRequestTopics| {
            if version >= 10 {
                self.log.topic_name(topic.topic_id)
            } else {
                Some(topic.name.to_string())
            }
        };
        let names: Vec<Option<String>> = asked.iter().map(name).collect();
        let found: Vec<_> = self.look_at(group, |group| {
            let found = |(topic, name): (&OffsetFetchRequestTopics, &Option<String>)| {
                committed(group?, name.as_deref()?, &topic.partition_indexes)
            };
            asked.iter().zip(&names).map(found).collect()
        })?;
        let answer = |((topic, name), found): ((&OffsetFetchRequestTopics, _), Option<_>)| {
            let error = match name {
                Some(_) => ErrorCode::None,
                None => ErrorCode::UnknownTopicId,
            };
            let found: BTreeMap<i32, CommittedOffset> = found.unwrap_or_default();
            let indexes = topic.partition_indexes.iter();
            OffsetFetchResponseTopics {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: indexes
                    .map(|index| partition(*index, found.get(index), error))
                    .collect(),
            }
        };
        Ok(asked.iter().zip(names).zip(found).map(answer).collect())
    }

    fn fetch_all(&self, version: i16, group: &Group) -> Vec<OffsetFetchResponseTopics> {
        let topic = |(name, partitions): (&String, &BTreeMap<i32, CommittedOffset>)| {
            let topic_id = if version >= 10 {
                self.log.topic_id(name)?
            } else {
                Uuid::nil()
            };
            let partitions = partitions
                .iter()
                .map(|(index, offset)| partition(*index, Some(offset), ErrorCode::None))
                .collect();
            Some(OffsetFetchResponseTopics {
                name: name.clone().into(),
                topic_id,
                partitions,
            })
        };
        // A topic without an id is being deleted; its offsets soon are, too.
        group.offsets().iter().filter_map(topic).collect()
    }
}

/// Each topic and each of its partitions once, the partitions in order.
fn once_each(topics: Vec<OffsetFetchRequestTopics>) -> Vec<OffsetFetchRequestTopics> {
    let mut merged: BTreeMap<(Str, Uuid), Vec<i32>> = BTreeMap::new();
    for topic in topics {
        let indexes = merged.entry((topic.name, topic.topic_id)).or_default();
        indexes.extend(topic.partition_indexes);
    }
    let topic = |((name, topic_id), mut partition_indexes): ((Str, Uuid), Vec<i32>)| {
        partition_indexes.sort_unstable();
        partition_indexes.dedup();
        OffsetFetchRequestTopics {
            name,
            topic_id,
            partition_indexes,
        }
    };
    merged.into_iter().map(topic).collect()
}

/// What a group has committed in those partitions of a topic, which are in order.
fn committed(
    group: &Group,
    topic: &str,
    indexes: &[i32],
) -> Option<BTreeMap<i32, CommittedOffset>> {
    let all = group.offsets().get(topic)?;
    let asked = all
        .iter()
        .filter(|(index, _)| indexes.binary_search(index).is_ok());
    Some(
        asked
            .map(|(index, offset)| (*index, offset.clone()))
            .collect(),
    )
}

/// A partition's answer: no offset is -1, never 0.
fn partition(
    index: i32,
    offset: Option<&CommittedOffset>,
    error: ErrorCode,
) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: offset.map_or(-1, |offset| offset.offset),
        committed_leader_epoch: offset.map_or(-1, |offset| offset.leader_epoch),
        metadata: Some(
            offset
                .map(|offset| Str::from(offset.metadata.clone()))
                .unwrap_or_default(),
        ),
        error_code: error as i16,
    }
}

fn failed(asked: &OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup {
        group_id: asked.group_id.clone(),
        topics: Vec::new(),
        error_code: error as i16,
    }
}

/// A request of before version 8 as one for one group.
fn as_group(
    group_id: Str,
    topics: Option<Vec<protocol::api::offset_fetch::OffsetFetchRequestTopic>>,
) -> OffsetFetchRequestGroup {
    let topics = topics.map(|topics| {
        let topic = |topic: protocol::api::offset_fetch::OffsetFetchRequestTopic| {
            OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            }
        };
        topics.into_iter().map(topic).collect()
    });
    OffsetFetchRequestGroup {
        group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    }
}

/// The answer to a request of before version 8. Version 1 has no place for an error but the
/// partitions.
fn alone(
    version: i16,
    answer: OffsetFetchResponseGroup,
    asked: &OffsetFetchRequestGroup,
) -> OffsetFetchResponse {
    let error_code = answer.error_code;
    let mut response = OffsetFetchResponse {
        error_code,
        ..OffsetFetchResponse::default()
    };
    let topics = if version < 2 && error_code != ErrorCode::None as i16 {
        let error = ErrorCode::from(error_code);
        let all = |topic: &OffsetFetchRequestTopics| OffsetFetchResponseTopics {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .map(|&index| partition(index, None, error))
                .collect(),
            ..OffsetFetchResponseTopics::default()
        };
        asked.topics.iter().flatten().map(all).collect()
    } else {
        answer.topics
    };
    for topic in topics {
        let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata,
            error_code: partition.error_code,
        };
        let partitions = topic.partitions.into_iter().map(partition).collect();
        response.topics.push(OffsetFetchResponseTopic {
            name: topic.name,
            partitions,
        });
    }
    response
}
