//! The broker that coordinates a group: found, remembered, and found again when it moved.
//! Consumers and the admin client ask it for what belongs to groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::api::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::api::offset_fetch::OffsetFetchRequestTopic;
use protocol::api::{OffsetCommitRequest, OffsetFetchRequest};
use protocol::{ErrorCode, Request};

use crate::client::Lane;
use crate::{Client, ClientError, TopicPartition};

/// A group's committed offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to read.
    pub offset: i64,
    /// What the committer wrote beside it.
    pub metadata: String,
}

/// A group's coordinator.
pub(crate) struct Coordinator {
    client: Client,
    group: Arc<str>,
    broker: Mutex<Option<i32>>,
}

/// As whom offsets are committed.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

impl Committer {
    /// Nobody of the group: from outside, or with partitions assigned by hand.
    pub(crate) fn outside() -> Self {
        Self {
            member_id: String::new(),
            instance_id: None,
            generation: -1,
        }
    }
}

impl Coordinator {
    pub(crate) fn new(client: Client, group: impl Into<Arc<str>>) -> Self {
        Self {
            client,
            group: group.into(),
            broker: Mutex::new(None),
        }
    }

    pub(crate) fn group(&self) -> &Arc<str> {
        &self.group
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The broker that was found last.
    pub(crate) fn broker(&self) -> Option<i32> {
        *self.broker.lock()
    }

    /// The next request looks for it anew.
    pub(crate) fn forget(&self) {
        *self.broker.lock() = None;
    }

    /// Sends one request, once. Over [`Lane::Group`] go those that may wait for a rebalance, and
    /// all else over another: answers come in order, and a commit must not wait for members.
    pub(crate) async fn send<R: Request>(
        &self,
        request: &R,
        lane: Lane,
        timeout: Duration,
    ) -> Result<R::Response, ClientError> {
        let known = *self.broker.lock();
        let broker = match known {
            Some(broker) => broker,
            None => {
                let found = self.client.find_coordinator(&self.group).await?;
                *self.broker.lock() = Some(found);
                found
            }
        };
        let sent = async {
            let connection = self.client.connection(broker, lane)?;
            let answer = connection.submit_with(request, timeout).await?;
            Ok(answer.await?)
        };
        sent.await.inspect_err(|_: &ClientError| self.forget())
    }

    /// Sends a request until it succeeds, fails for good, or patience ends. `code` finds the
    /// error in the answer.
    pub(crate) async fn ask<R: Request>(
        &self,
        request: &R,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, ClientError> {
        let subject = format!("group {}", self.group);
        let mut patience = self.client.patience(subject.as_str());
        let timeout = self.client.config().connection.request_timeout;
        loop {
            let error = match self.send(request, Lane::Common, timeout).await {
                Err(error) => error,
                Ok(response) => match ErrorCode::from(code(&response)) {
                    ErrorCode::None => return Ok(response),
                    code => {
                        if is_elsewhere(code) {
                            self.forget();
                        }
                        ClientError::refused(subject.clone(), code)
                    }
                },
            };
            patience.after(error).await?;
        }
    }

    /// The group's committed offsets, of these partitions or (`None`) of all that have one.
    pub(crate) async fn committed(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        let request = OffsetFetchRequest {
            group_id: self.group.as_ref().into(),
            topics: partitions.map(|partitions| {
                let mut topics: Vec<OffsetFetchRequestTopic> = Vec::new();
                for (topic, indexes) in by_topic(partitions.iter().map(|p| (p, ()))) {
                    topics.push(OffsetFetchRequestTopic {
                        name: topic.as_ref().into(),
                        partition_indexes: indexes.into_iter().map(|(index, ())| index).collect(),
                    });
                }
                topics
            }),
            require_stable: true,
            ..OffsetFetchRequest::default()
        };
        let response = self
            .ask(&request, |response| {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                std::iter::once(response.error_code)
                    .chain(partitions.map(|partition| partition.error_code))
                    .find(|code| *code != 0)
                    .unwrap_or(0)
            })
            .await?;
        let mut committed = BTreeMap::new();
        for topic in response.topics {
            let name: Arc<str> = (&*topic.name).into();
            for partition in topic.partitions {
                if partition.committed_offset < 0 {
                    continue;
                }
                committed.insert(
                    TopicPartition::new(name.clone(), partition.partition_index),
                    Committed {
                        offset: partition.committed_offset,
                        metadata: partition.metadata.as_deref().unwrap_or("").to_owned(),
                    },
                );
            }
        }
        Ok(committed)
    }

    /// Commits offsets: for each partition the next record to read. Those of a partition that is
    /// gone are refused, after the others were stored.
    pub(crate) async fn commit(
        &self,
        committer: &Committer,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let topics = by_topic(
            offsets
                .iter()
                .map(|(partition, offset)| (partition, *offset)),
        );
        let request = OffsetCommitRequest {
            group_id: self.group.as_ref().into(),
            generation_id_or_member_epoch: committer.generation,
            member_id: committer.member_id.as_str().into(),
            group_instance_id: committer.instance_id.as_deref().map(Into::into),
            topics: topics
                .into_iter()
                .map(|(topic, offsets)| OffsetCommitRequestTopic {
                    name: topic.as_ref().into(),
                    partitions: offsets
                        .into_iter()
                        .map(
                            |(partition_index, committed_offset)| OffsetCommitRequestPartition {
                                partition_index,
                                committed_offset,
                                ..OffsetCommitRequestPartition::default()
                            },
                        )
                        .collect(),
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
            ..OffsetCommitRequest::default()
        };
        let is_gone = |code| ErrorCode::from(code) == ErrorCode::UnknownTopicOrPartition;
        let response = self
            .ask(&request, |response| {
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                let mut codes = partitions.map(|partition| partition.error_code);
                codes
                    .find(|code| *code != 0 && !is_gone(*code))
                    .unwrap_or(0)
            })
            .await?;
        for topic in &response.topics {
            for answer in &topic.partitions {
                let partition = TopicPartition::new(&*topic.name, answer.partition_index);
                ClientError::check(partition.to_string(), answer.error_code, None)?;
            }
        }
        Ok(())
    }
}

/// Whether this error says that another broker coordinates the group now.
pub(crate) fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable
    )
}

/// Groups what belongs to partitions by their topics, as requests hold it.
pub(crate) fn by_topic<'a, T>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> BTreeMap<Arc<str>, Vec<(i32, T)>> {
    let mut topics: BTreeMap<Arc<str>, Vec<(i32, T)>> = BTreeMap::new();
    for (partition, value) in partitions {
        let indexes = topics.entry(partition.topic.clone()).or_default();
        indexes.push((partition.partition, value));
    }
    topics
}
