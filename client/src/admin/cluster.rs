//! The cluster: its brokers, and what lies on their disks.

use protocol::api::{DescribeClusterRequest, DescribeLogDirsRequest};

use super::{Admin, BTreeMap, ClientError, TopicPartition};
use crate::Broker;

/// A cluster and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub id: String,
    /// The broker that administrative requests go to.
    pub controller: Option<i32>,
    /// The brokers, by id.
    pub brokers: Vec<Broker>,
}

/// A broker's data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDir {
    /// Where it is, on that broker.
    pub path: String,
    /// The size of its file system, in bytes, where the broker tells.
    pub total_bytes: Option<i64>,
    /// What is free there, in bytes, where the broker tells.
    pub usable_bytes: Option<i64>,
    /// The partitions in it.
    pub replicas: BTreeMap<TopicPartition, ReplicaSize>,
}

/// What a partition takes on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaSize {
    /// Bytes of segments.
    pub bytes: i64,
    /// How far it is behind, in records.
    pub lag: i64,
}

impl Admin {
    /// The cluster's id, its brokers and its controller.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let request = DescribeClusterRequest::default();
        let response = self.client.send(&request).await?;
        let detail = response.error_message.as_deref();
        ClientError::check("the cluster", response.error_code, detail)?;
        let mut brokers: Vec<Broker> = response
            .brokers
            .iter()
            .map(|broker| Broker {
                id: broker.broker_id,
                host: broker.host.to_string(),
                port: u16::try_from(broker.port).unwrap_or(0),
                rack: super::owned(broker.rack.as_ref()),
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription {
            id: response.cluster_id.to_string(),
            controller: (response.controller_id >= 0).then_some(response.controller_id),
            brokers,
        })
    }

    /// A broker's data folders.
    pub async fn describe_log_dirs(&self, broker: i32) -> Result<Vec<LogDir>, ClientError> {
        self.know_brokers().await?;
        let request = DescribeLogDirsRequest { topics: None };
        let response = self.client.send_to(broker, &request).await?;
        let subject = format!("broker {broker}'s log directories");
        ClientError::check(subject.as_str(), response.error_code, None)?;
        let mut dirs = Vec::new();
        for dir in &response.results {
            ClientError::check(format!("{subject}: {}", dir.log_dir), dir.error_code, None)?;
            let mut replicas = BTreeMap::new();
            for topic in &dir.topics {
                for partition in &topic.partitions {
                    replicas.insert(
                        TopicPartition::new(&*topic.name, partition.partition_index),
                        ReplicaSize {
                            bytes: partition.partition_size,
                            lag: partition.offset_lag,
                        },
                    );
                }
            }
            dirs.push(LogDir {
                path: dir.log_dir.to_string(),
                total_bytes: (dir.total_bytes >= 0).then_some(dir.total_bytes),
                usable_bytes: (dir.usable_bytes >= 0).then_some(dir.usable_bytes),
                replicas,
            });
        }
        Ok(dirs)
    }

    /// Makes sure that brokers can be addressed by id.
    pub(super) async fn know_brokers(&self) -> Result<(), ClientError> {
        if self.client.cluster().brokers.is_empty() {
            self.client.refresh().await?;
        }
        Ok(())
    }
}
