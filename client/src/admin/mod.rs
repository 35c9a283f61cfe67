//! Administration: topics, configs, records, groups, the cluster itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ErrorCode;

use crate::client::Client;
use crate::coordinator::{Committed, Committer, Coordinator};
use crate::offsets::{self, FoundOffset, OffsetSpec};
use crate::{ClientConfig, ClientError, Cluster, Topic, TopicPartition};

mod cluster;
mod configs;
mod groups;
mod topics;

pub use cluster::{ClusterDescription, LogDir, ReplicaSize};
pub use configs::{ConfigChange, ConfigEntry, ConfigResource, ConfigSynonym};
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use topics::{CreatedTopic, NewTopic};

/// Administers a cluster. What concerns several topics or groups has a result for each.
///
/// ```no_run
/// use client::{Admin, ClientConfig, NewTopic};
///
/// # async fn example() -> Result<(), client::ClientError> {
/// let admin = Admin::new(ClientConfig::new("127.0.0.1:9092"))?;
/// admin.create_topic(NewTopic::new("article").partitions(3)).await?;
/// for (name, topic) in admin.list_topics().await? {
///     println!("{name}: {} partitions", topic.partitions.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// For the cluster with this configuration; connects when first asked something.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::with(Client::new(ClientConfig {
            auto_create_topics: false,
            ..config
        })?))
    }

    /// Over a client that is there already.
    pub fn with(client: Client) -> Self {
        Self { client }
    }

    /// The cluster that it administers.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long a broker may take over a change.
    fn timeout_ms(&self) -> i32 {
        self.client.config().connection.request_timeout.as_millis() as i32
    }

    /// Looks up a place in each partition; `None` where no record is that late.
    pub async fn list_offsets(
        &self,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ClientError> {
        offsets::list(&self.client, wanted).await
    }
}

fn owned(text: Option<&protocol::Str>) -> Option<String> {
    text.map(ToString::to_string)
}
