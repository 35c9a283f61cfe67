//! Which offset lies where: the beginning, the end, or a time. Consumers and the admin client
//! ask the partitions' leaders here.

use std::collections::BTreeMap;

use protocol::ErrorCode;
use protocol::api::ListOffsetsRequest;
use protocol::api::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};

use crate::coordinator::by_topic;
use crate::{Client, ClientError, TopicPartition};

/// A place in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first record that is there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since 1970.
    At(i64),
}

impl OffsetSpec {
    fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::At(timestamp_ms) => timestamp_ms.max(0),
        }
    }
}

/// What was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// The record's timestamp in milliseconds since 1970; -1 for the beginning and the end.
    pub timestamp: i64,
}

/// Looks up a place in each partition; `None` where no record is that late. Retries while
/// leaders change, as long as the configuration's patience.
pub(crate) async fn list(
    client: &Client,
    wanted: &BTreeMap<TopicPartition, OffsetSpec>,
) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ClientError> {
    let mut found = BTreeMap::new();
    for partition in wanted.keys() {
        client.topic(&partition.topic).await?;
    }
    let mut patience = client.patience("list offsets");
    loop {
        let missing: BTreeMap<_, _> = wanted
            .iter()
            .filter(|(partition, _)| !found.contains_key(*partition))
            .map(|(partition, spec)| (partition.clone(), *spec))
            .collect();
        match attempt(client, &missing, &mut found).await {
            Ok(()) => return Ok(found),
            Err(error) => patience.after(error).await?,
        }
        client.refresh().await?;
    }
}

/// One try. What could be found is in `found` even when something else could not.
pub(crate) async fn attempt(
    client: &Client,
    wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    found: &mut BTreeMap<TopicPartition, Option<FoundOffset>>,
) -> Result<(), ClientError> {
    let cluster = client.cluster();
    let mut failed = None;
    let mut by_leader: BTreeMap<i32, Vec<(&TopicPartition, OffsetSpec)>> = BTreeMap::new();
    for (partition, spec) in wanted {
        let topic = cluster.topics.get(&partition.topic);
        let known = topic.and_then(|topic| topic.partition(partition.partition));
        match known.map(|known| known.leader) {
            Some(Some(leader)) => by_leader
                .entry(leader)
                .or_default()
                .push((partition, *spec)),
            Some(None) => {
                let error = ErrorCode::LeaderNotAvailable;
                failed = Some(ClientError::refused(partition.to_string(), error));
            }
            None => {
                let error = ErrorCode::UnknownTopicOrPartition;
                failed = Some(ClientError::refused(partition.to_string(), error));
            }
        }
    }
    for (leader, partitions) in by_leader {
        let asked = ask_leader(client, leader, partitions, found).await;
        failed = asked.err().or(failed);
    }
    failed.map_or(Ok(()), Err)
}

async fn ask_leader(
    client: &Client,
    leader: i32,
    partitions: Vec<(&TopicPartition, OffsetSpec)>,
    found: &mut BTreeMap<TopicPartition, Option<FoundOffset>>,
) -> Result<(), ClientError> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: by_topic(partitions)
            .into_iter()
            .map(|(topic, partitions)| ListOffsetsTopic {
                name: topic.as_ref().into(),
                partitions: partitions
                    .into_iter()
                    .map(|(partition_index, spec)| ListOffsetsPartition {
                        partition_index,
                        timestamp: spec.code(),
                        ..ListOffsetsPartition::default()
                    })
                    .collect(),
            })
            .collect(),
        timeout_ms: client.config().connection.request_timeout.as_millis() as i32,
        ..ListOffsetsRequest::default()
    };
    let response = client.send_to(leader, &request).await?;
    let mut failed = Ok(());
    for topic in &response.topics {
        for answer in &topic.partitions {
            let partition = TopicPartition::new(&*topic.name, answer.partition_index);
            let checked = ClientError::check(partition.to_string(), answer.error_code, None);
            match checked {
                Ok(()) => {
                    let at = (answer.offset >= 0).then_some(FoundOffset {
                        offset: answer.offset,
                        timestamp: answer.timestamp,
                    });
                    found.insert(partition, at);
                }
                Err(error) => failed = Err(error),
            }
        }
    }
    failed
}
