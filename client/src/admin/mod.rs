//! Administration: topics, configs, groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{ErrorCode, Request};

use crate::client::Client;
use crate::coordinator::{Committed, Committer, Coordinator};
use crate::offsets::{self, FoundOffset, OffsetSpec};
use crate::{ClientConfig, ClientError, Cluster, Topic, TopicPartition};

mod configs;
mod groups;
mod topics;

pub use configs::{ConfigChange, ConfigEntry, ConfigResource};
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

    /// Sends a request to the controller, and anew where it has moved, as long as the
    /// configuration's patience: then nothing was done. `code` finds the first error in the answer.
    async fn ask_controller<R: Request>(
        &self,
        request: &R,
        code: impl Fn(&R::Response) -> Option<i16>,
    ) -> Result<R::Response, ClientError> {
        let mut patience = self.client.patience("the controller");
        loop {
            let error = match self.client.send_to_controller(request).await {
                Ok(response) => match code(&response).map(ErrorCode::from) {
                    Some(ErrorCode::NotController) => {
                        ClientError::refused("the controller", ErrorCode::NotController)
                    }
                    _ => return Ok(response),
                },
                Err(error) if never_left(&error) => error,
                Err(error) => return Err(error),
            };
            self.client.refresh().await?;
            patience.after(error).await?;
        }
    }

    /// Sends a request to one broker, and once more to where it is by now.
    async fn ask_broker<R: Request>(
        &self,
        broker: i32,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        match self.client.send_to(broker, request).await {
            Err(error) if never_left(&error) => {
                self.client.refresh().await?;
                self.client.send_to(broker, request).await
            }
            answered => answered,
        }
    }

    /// Looks up a place in each partition; `None` where no record is that late.
    pub async fn list_offsets(
        &self,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Result<BTreeMap<TopicPartition, Option<FoundOffset>>, ClientError> {
        offsets::list(&self.client, wanted).await
    }
}

/// Whether the request did not reach a broker, but may reach one later.
fn never_left(error: &ClientError) -> bool {
    matches!(error, ClientError::Connection(error) if error.retriable() && !error.was_sent())
}

fn owned(text: Option<&protocol::Str>) -> Option<String> {
    text.map(ToString::to_string)
}
