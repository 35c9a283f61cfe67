//! What tests ask of a broker, in a line each.

use std::io;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::api::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use protocol::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use protocol::api::init_producer_id::InitProducerIdRequest;
use protocol::api::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use protocol::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use protocol::api::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use protocol::records::Record;

use crate::raw::{Connection, records_from};
use crate::wait;

fn nothing() -> io::Error {
    io::Error::other("the answer is about nothing that was asked for")
}

/// A Produce request of one batch.
pub fn produce_request(topic: &str, partition: i32, acks: i16, batch: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(batch),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A Fetch request of one partition, outside a session.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 16 << 20,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 4 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

impl Connection {
    /// Sends one batch and waits for its answer.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> io::Result<PartitionProduceResponse> {
        let answer = self.call(&produce_request(topic, partition, acks, batch))?;
        let partitions = answer
            .responses
            .into_iter()
            .flat_map(|t| t.partition_responses);
        partitions.into_iter().next().ok_or_else(nothing)
    }

    /// What a fetch says of its one partition.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> io::Result<PartitionData> {
        let answer = self.call(&fetch_request(topic, partition, offset, max_wait_ms))?;
        if answer.error_code != 0 {
            return Err(io::Error::other(ErrorCode::from(answer.error_code).name()));
        }
        let partitions = answer.responses.into_iter().flat_map(|t| t.partitions);
        partitions.into_iter().next().ok_or_else(nothing)
    }

    /// Every record of a partition, from its start to its high watermark.
    pub fn read_all(&mut self, topic: &str, partition: i32) -> io::Result<Vec<Record>> {
        let end = self.offset(topic, partition, -1)?;
        let mut at = self.offset(topic, partition, -2)?;
        let mut all = Vec::new();
        while at < end {
            let data = self.fetch(topic, partition, at, 0)?;
            if data.error_code != 0 {
                return Err(io::Error::other(ErrorCode::from(data.error_code).name()));
            }
            let found = records_from(data.records, at)?;
            let Some(last) = found.last() else {
                return Err(io::Error::other(format!(
                    "{topic}-{partition} has nothing at offset {at} of {end}"
                )));
            };
            at = last.offset + 1;
            all.extend(found);
        }
        Ok(all)
    }

    /// An end of a log: -1 is the latest offset, -2 the earliest.
    pub fn offset(&mut self, topic: &str, partition: i32, which: i64) -> io::Result<i64> {
        let answer = self.call(&ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition,
                    timestamp: which,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        })?;
        let mut partitions = answer.topics.into_iter().flat_map(|t| t.partitions);
        let partition = partitions.next().ok_or_else(nothing)?;
        match ErrorCode::from(partition.error_code) {
            ErrorCode::None => Ok(partition.offset),
            code => Err(io::Error::other(code.name())),
        }
    }

    /// Creates a topic; gives the error code.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> io::Result<(ErrorCode, String)> {
        let answer = self.call(&CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.into(),
                num_partitions: partitions,
                replication_factor: -1,
                configs: configs
                    .iter()
                    .map(|&(name, value)| CreatableTopicConfig {
                        name: name.into(),
                        value: Some(value.into()),
                    })
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        })?;
        let topic = answer.topics.into_iter().next().ok_or_else(nothing)?;
        let message = topic.error_message.map(|text| text.to_string());
        Ok((topic.error_code.into(), message.unwrap_or_default()))
    }

    /// Deletes a topic; gives the error code.
    pub fn delete_topic(&mut self, name: &str) -> io::Result<ErrorCode> {
        let answer = self.call(&DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.into()),
                ..Default::default()
            }],
            timeout_ms: 30_000,
            ..Default::default()
        })?;
        let topic = answer.responses.first().ok_or_else(nothing)?;
        Ok(topic.error_code.into())
    }

    /// What Metadata says of a topic, which it does not make.
    pub fn topic(&mut self, name: &str) -> io::Result<MetadataResponseTopic> {
        let answer = self.call(&MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..Default::default()
            }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        })?;
        answer.topics.into_iter().next().ok_or_else(nothing)
    }

    /// A new producer's id and epoch.
    pub fn producer_id(&mut self) -> io::Result<(i64, i16)> {
        let answer = self.call(&InitProducerIdRequest {
            transactional_id: None,
            ..Default::default()
        })?;
        match ErrorCode::from(answer.error_code) {
            ErrorCode::None => Ok((answer.producer_id, answer.producer_epoch)),
            code => Err(io::Error::other(code.name())),
        }
    }

    /// Creates a topic that must come into being.
    ///
    /// # Panics
    /// If it does not.
    pub fn make_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let (code, message) = self
            .create_topic(name, partitions, configs)
            .expect("CreateTopics is answered");
        assert_eq!(code, ErrorCode::None, "creating {name}: {message}");
    }

    /// Sends one batch that must be taken; gives its base offset.
    ///
    /// # Panics
    /// If it is not.
    pub fn must_produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> i64 {
        let answer = self
            .produce(topic, partition, -1, batch)
            .expect("Produce is answered");
        let code = ErrorCode::from(answer.error_code);
        assert_eq!(code, ErrorCode::None, "{:?}", answer.error_message);
        answer.base_offset
    }

    /// Waits until a partition's high watermark is there.
    pub fn wait_for_offset(&mut self, topic: &str, partition: i32, offset: i64) {
        wait::until("the high watermark", || {
            (self.offset(topic, partition, -1).ok()? >= offset).then_some(())
        });
    }
}
