//! Committing: when the caller says so, and now and then by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::attend::Phase;
use super::{ConsumeError, Consumer};
use crate::coordinator::Committer;
use crate::{ClientError, TopicPartition};

impl Consumer {
    /// Commits the positions: all that was handed out counts as processed.
    pub async fn commit(&mut self) -> Result<(), ConsumeError> {
        let positions = self.positions();
        self.commit_offsets(&positions).await
    }

    /// Commits these offsets: for each partition that of the next record to read.
    pub async fn commit_offsets(
        &mut self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ConsumeError> {
        // One after the other, or an older commit could overtake a newer one.
        if let Some(committing) = self.committing.take() {
            let _ = committing.await;
        }
        self.last_commit = Instant::now();
        let changed: BTreeMap<TopicPartition, i64> = offsets
            .iter()
            .filter(|(partition, offset)| self.committed.get(partition) != Some(offset))
            .map(|(partition, offset)| (partition.clone(), *offset))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let result = match (&self.group, &self.coordinator) {
            (Some(membership), _) => {
                let group = &membership.group;
                group.coordinator.commit(&group.committer(), &changed).await
            }
            (None, Some(coordinator)) => coordinator.commit(&Committer::outside(), &changed).await,
            (None, None) => return Err(ConsumeError::NoGroup("committing")),
        };
        match result {
            Ok(()) => {
                self.committed.extend(changed);
                Ok(())
            }
            Err(error) => Err(self.commit_failed(error)),
        }
    }

    fn commit_failed(&self, error: ClientError) -> ConsumeError {
        match (&self.group, error.code()) {
            (Some(membership), Some(code)) if membership.group.commit_failed(code) => {
                ConsumeError::Fenced {
                    group: membership.group.coordinator.group().to_string(),
                    code,
                }
            }
            _ => error.into(),
        }
    }

    /// Starts a commit of the positions when one is due, without waiting for it.
    pub(super) fn auto_commit(&mut self) {
        let (Some(interval), Some(coordinator)) =
            (self.shared.config.auto_commit, &self.coordinator)
        else {
            return;
        };
        if self.last_commit.elapsed() < interval
            || self
                .committing
                .as_ref()
                .is_some_and(|task| !task.is_finished())
        {
            return;
        }
        self.last_commit = Instant::now();
        let mut positions = self.positions();
        positions.retain(|partition, offset| self.committed.get(partition) != Some(offset));
        if positions.is_empty() {
            return;
        }
        // Should it fail, the next one commits what has moved on since, and the one at the end all.
        let task = match &self.group {
            Some(membership) if !matches!(membership.phase, Phase::In) => return,
            Some(membership) => {
                let group = Arc::clone(&membership.group);
                tokio::spawn(async move {
                    let committer = group.committer();
                    if let Err(error) = group.coordinator.commit(&committer, &positions).await {
                        tracing::warn!(%error, "an automatic commit failed");
                        if let Some(code) = error.code() {
                            group.commit_failed(code);
                        }
                    }
                })
            }
            None => {
                let coordinator = Arc::clone(coordinator);
                tokio::spawn(async move {
                    let outside = Committer::outside();
                    if let Err(error) = coordinator.commit(&outside, &positions).await {
                        tracing::warn!(%error, "an automatic commit failed");
                    }
                })
            }
        };
        self.committing = Some(task);
    }

    /// The group's committed offsets of these partitions; one that has none is missing.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ConsumeError> {
        let Some(coordinator) = &self.coordinator else {
            return Err(ConsumeError::NoGroup("asking for committed offsets"));
        };
        let committed = coordinator.committed(Some(partitions)).await?;
        Ok(committed.into_iter().map(|(p, c)| (p, c.offset)).collect())
    }
}
