//! The changes of the cluster that requests ask for: each is planned, written to the tree,
//! and waited for until this broker's view shows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::ErrorCode;

use crate::broker::Inner;
use crate::controller::{self, TopicPlan, TopicWish};
use crate::error::Refusal;
use crate::metadata::{self, OFFSETS_TOPIC, Topic, View, WriteError};

/// How long a change of the cluster may take to be seen here once it is committed.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

impl Inner {
    /// Plans a topic without making it.
    pub(crate) fn plan_topic(&self, wish: &TopicWish) -> Result<TopicPlan, Refusal> {
        let view = self.view();
        let brokers: Vec<i32> = view.brokers.keys().copied().collect();
        controller::plan_topic(
            wish,
            view.topic_names(),
            &brokers,
            &self.config,
            self.turn.load(Ordering::Relaxed),
        )
    }

    /// Makes a topic and waits until it is served here.
    pub(crate) async fn create_topic(&self, wish: &TopicWish) -> Result<Arc<Topic>, Refusal> {
        let plan = self.plan_topic(wish)?;
        self.turn.fetch_add(1, Ordering::Relaxed);
        let created = metadata::create_topic(
            &self.session,
            self.reign,
            &wish.name,
            uuid::Uuid::new_v4(),
            &plan.replicas,
            &wish.overrides,
        );
        let zxid = created.await.map_err(|error| match error {
            WriteError::Conflict => Refusal::new(
                ErrorCode::TopicAlreadyExists,
                format!("Topic '{}' already exists.", wish.name),
            ),
            other => failed(&other),
        })?;
        self.seen(zxid).await?;
        self.view().topic(&wish.name).cloned().ok_or_else(|| {
            Refusal::new(
                ErrorCode::UnknownTopicOrPartition,
                "The topic was deleted as soon as it was made.",
            )
        })
    }

    /// Makes a topic that somebody asked for, with the broker's defaults; a failure shows
    /// in the answer as the topic's absence.
    pub(crate) async fn auto_create(&self, name: &str) {
        let mut wish = TopicWish {
            name: name.to_owned(),
            partitions: -1,
            replication: -1,
            ..TopicWish::default()
        };
        if name == OFFSETS_TOPIC {
            wish.partitions = self.config.number("offsets.topic.num.partitions") as i32;
            wish.replication = self.config.number("offsets.topic.replication.factor") as i16;
            let segment = self.config.number("offsets.topic.segment.bytes");
            wish.overrides = BTreeMap::from([
                ("cleanup.policy".to_owned(), "compact".to_owned()),
                ("compression.type".to_owned(), "producer".to_owned()),
                ("segment.bytes".to_owned(), segment.to_string()),
            ]);
        }
        match self.create_topic(&wish).await {
            Ok(topic) => tracing::info!("created topic {}, as it was asked for", topic.name),
            // Somebody else's request makes it; it is about to be in the view.
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => {
                let there = |view: &View| view.topic(name).is_some();
                self.metadata.until(there, APPLIED_WITHIN).await;
            }
            // Clients ask again and again for a topic that cannot be.
            Err(error) => tracing::debug!("topic {name} could not be created: {error}"),
        }
    }

    /// Deletes a topic and waits until it is served no more.
    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), Refusal> {
        let id = self
            .view()
            .topic(name)
            .map(|topic| topic.id)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let zxid = metadata::delete_topic(&self.session, self.reign, name, id)
            .await
            .map_err(|error| failed(&error))?;
        self.seen(zxid).await
    }

    /// Gives a topic more partitions.
    pub(crate) async fn add_partitions(
        &self,
        name: &str,
        have: usize,
        plan: &TopicPlan,
    ) -> Result<(), Refusal> {
        let added = &plan.replicas;
        let added = metadata::add_partitions(&self.session, self.reign, name, have, added);
        let zxid = added.await.map_err(|error| match error {
            WriteError::Conflict => Refusal::new(
                ErrorCode::InvalidPartitions,
                format!("Topic '{name}' no longer has {have} partitions."),
            ),
            other => failed(&other),
        })?;
        self.seen(zxid).await
    }

    /// A topic's overrides and their version, newer than the view's if need be.
    pub(crate) fn overrides(&self, name: &str) -> Result<(BTreeMap<String, String>, i32), Refusal> {
        metadata::overrides(&self.session, name).map_err(|error| failed(&error))
    }

    /// Replaces a topic's overrides if they are still at that version; false if they are not.
    pub(crate) async fn set_overrides(
        &self,
        name: &str,
        overrides: &BTreeMap<String, String>,
        version: i32,
    ) -> Result<bool, Refusal> {
        let (session, reign) = (&self.session, self.reign);
        match metadata::set_overrides(session, reign, name, overrides, version).await {
            Ok(zxid) => self.seen(zxid).await.map(|()| true),
            Err(WriteError::Conflict) => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn seen(&self, zxid: u64) -> Result<(), Refusal> {
        if self.metadata.at_least(zxid, APPLIED_WITHIN).await {
            Ok(())
        } else {
            Err(Refusal::new(
                ErrorCode::RequestTimedOut,
                "The change is made, but this broker has not seen it yet.",
            ))
        }
    }
}

fn failed(error: &WriteError) -> Refusal {
    match error {
        WriteError::Missing => ErrorCode::UnknownTopicOrPartition.into(),
        error => Refusal::new(ErrorCode::UnknownServerError, error.to_string()),
    }
}
