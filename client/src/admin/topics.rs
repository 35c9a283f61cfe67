//! Topics: create, delete, list, describe, grow.

use protocol::api::create_partitions::CreatePartitionsTopic;
use protocol::api::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::api::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};
use uuid::Uuid;

use super::{Admin, Arc, BTreeMap, ClientError, Cluster, ErrorCode, Topic};

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` leaves it to the broker.
    pub partitions: Option<i32>,
    /// How many replicas each; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// Configs by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic as the broker's defaults make it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication: None,
            configs: BTreeMap::new(),
        }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets the number of replicas of each partition.
    #[must_use]
    pub fn replication(mut self, replication: i16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// Sets a config.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// Its id; nil where brokers do not know topic ids.
    pub id: Uuid,
    /// How many partitions it has, where the broker tells.
    pub partitions: Option<i32>,
    /// How many replicas each has, where the broker tells.
    pub replication: Option<i16>,
}

impl Admin {
    /// Creates a topic.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<CreatedTopic, ClientError> {
        let name = topic.name.clone();
        let created = self.create_topics(&[topic]).await?.pop();
        created.unwrap_or_else(|| Err(ClientError::unanswered(format!("topic {name}"))))
    }

    /// Creates topics.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
    ) -> Result<Vec<Result<CreatedTopic, ClientError>>, ClientError> {
        let request = CreateTopicsRequest {
            topics: topics
                .iter()
                .map(|topic| CreatableTopic {
                    name: topic.name.as_str().into(),
                    num_partitions: topic.partitions.unwrap_or(-1),
                    replication_factor: topic.replication.unwrap_or(-1),
                    configs: topic
                        .configs
                        .iter()
                        .map(|(name, value)| CreatableTopicConfig {
                            name: name.as_str().into(),
                            value: Some(value.as_str().into()),
                        })
                        .collect(),
                    ..CreatableTopic::default()
                })
                .collect(),
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let response = self
            .ask_controller(&request, |response| {
                response.topics.first().map(|topic| topic.error_code)
            })
            .await?;
        let results = response.topics.iter().map(|topic| {
            let subject = format!("topic {}", topic.name);
            ClientError::check(subject, topic.error_code, topic.error_message.as_deref())?;
            Ok(CreatedTopic {
                name: topic.name.to_string(),
                id: topic.topic_id,
                partitions: (topic.num_partitions > 0).then_some(topic.num_partitions),
                replication: (topic.replication_factor > 0).then_some(topic.replication_factor),
            })
        });
        Ok(results.collect())
    }

    /// Deletes a topic and all that is in it.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let deleted = self.delete_topics(&[name]).await?.pop();
        match deleted {
            Some((_, result)) => result,
            None => Err(ClientError::unanswered(format!("topic {name}"))),
        }
    }

    /// Deletes topics and all that is in them.
    pub async fn delete_topics(
        &self,
        names: &[&str],
    ) -> Result<Vec<(String, Result<(), ClientError>)>, ClientError> {
        let request = DeleteTopicsRequest {
            topic_names: names.iter().map(|name| (*name).into()).collect(),
            timeout_ms: self.timeout_ms(),
            ..DeleteTopicsRequest::default()
        };
        let response = self
            .ask_controller(&request, |response| {
                response.responses.first().map(|topic| topic.error_code)
            })
            .await?;
        let results = response.responses.iter().map(|topic| {
            let name = topic.name.as_deref().unwrap_or("").to_owned();
            let detail = topic.error_message.as_deref();
            let result = ClientError::check(format!("topic {name}"), topic.error_code, detail);
            (name, result)
        });
        Ok(results.collect())
    }

    /// All topics, Kafka's own among them.
    pub async fn list_topics(&self) -> Result<BTreeMap<Arc<str>, Arc<Topic>>, ClientError> {
        let response = self.client.fetch_metadata(None, false).await?;
        let (cluster, _) = Cluster::default().merge(&response);
        Ok(cluster.topics)
    }

    /// These topics, each or why not.
    pub async fn describe_topics(
        &self,
        names: &[&str],
    ) -> Result<BTreeMap<Arc<str>, Result<Arc<Topic>, ClientError>>, ClientError> {
        let asked = names.iter().map(|name| Arc::from(*name)).collect();
        let response = self.client.fetch_metadata(Some(asked), false).await?;
        let (cluster, wrong) = Cluster::default().merge(&response);
        let mut described: BTreeMap<_, _> = wrong
            .into_iter()
            .map(|(name, code)| {
                let error = ClientError::refused(format!("topic {name}"), code);
                (name, Err(error))
            })
            .collect();
        for (name, topic) in cluster.topics {
            described.insert(name, Ok(topic));
        }
        for name in names {
            described.entry(Arc::from(*name)).or_insert_with(|| {
                let unknown = ErrorCode::UnknownTopicOrPartition;
                Err(ClientError::refused(format!("topic {name}"), unknown))
            });
        }
        Ok(described)
    }

    /// Gives a topic more partitions: `count` in all. Keys then go elsewhere than before.
    pub async fn create_partitions(&self, topic: &str, count: i32) -> Result<(), ClientError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.into(),
                count,
                assignments: None,
            }],
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let response = self
            .ask_controller(&request, |response| {
                response.results.first().map(|topic| topic.error_code)
            })
            .await?;
        let subject = format!("topic {topic}");
        let Some(result) = response.results.first() else {
            return Err(ClientError::unanswered(subject));
        };
        ClientError::check(subject, result.error_code, result.error_message.as_deref())
    }
}
