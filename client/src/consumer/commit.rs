//! Committing: when the caller says so, and now and then by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::membership::Phase;
use super::{ConsumeError, Consumer};
use crate::coordinator::Committer;
use crate::{ClientError, TopicPartition};

impl Consumer {
    /// Commits the positions: all that was handed out counts as processed.
    pub async fn commit(&mut self) -> Result<(), ConsumeError> {
        let positions = self.positions();
        self.commit_offsets(&positions).await
    }

    /// Commits these offsets: for each partition that of the next record to read. Given up
    /// half-way, it may or may not have happened.
    pub async fn commit_offsets(
        &mut self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ConsumeError> {
        // One after the other, or an older commit could overtake a newer one.
        self.await_committing().await;
        self.last_commit = Instant::now();
        let changed = self.uncommitted(offsets.clone());
        if changed.is_empty() {
            return Ok(());
        }
        let Some(coordinator) = self.coordinator.clone() else {
            return Err(ConsumeError::NoGroup("committing"));
        };
        let committer = self.committer();
        match coordinator.commit(&committer, &changed).await {
            Ok(()) => {
                self.committed.extend(changed);
                Ok(())
            }
            Err(error) => Err(self.commit_failed(&committer, error)),
        }
    }

    /// Those that the group does not have yet. Until the answer comes it may have either, so
    /// what is known of them is forgotten.
    fn uncommitted(
        &mut self,
        mut offsets: BTreeMap<TopicPartition, i64>,
    ) -> BTreeMap<TopicPartition, i64> {
        offsets.retain(|partition, offset| self.committed.get(partition) != Some(offset));
        for partition in offsets.keys() {
            self.committed.remove(partition);
        }
        offsets
    }

    fn committer(&self) -> Committer {
        let group = self.group.as_ref();
        group.map_or_else(Committer::outside, |membership| {
            membership.group.committer()
        })
    }

    fn commit_failed(&self, committer: &Committer, error: ClientError) -> ConsumeError {
        match (&self.group, error.code()) {
            (Some(membership), Some(code)) if membership.group.commit_failed(committer, code) => {
                ConsumeError::Fenced {
                    group: membership.group.coordinator.group().to_string(),
                    code,
                }
            }
            _ => error.into(),
        }
    }

    /// Waits for the automatic commit that is under way.
    pub(super) async fn await_committing(&mut self) {
        if let Some(committing) = &mut self.committing {
            if let Ok(stored) = committing.await {
                self.committed.extend(stored);
            }
            self.committing = None;
        }
    }

    /// Starts a commit of the positions when one is due, without waiting for it.
    pub(super) async fn auto_commit(&mut self) {
        let (Some(interval), Some(coordinator)) =
            (self.shared.config.auto_commit, &self.coordinator)
        else {
            return;
        };
        let running = self.committing.as_ref();
        if self.last_commit.elapsed() < interval || running.is_some_and(|task| !task.is_finished())
        {
            return;
        }
        self.last_commit = Instant::now();
        let group = match &self.group {
            Some(membership) if !matches!(membership.phase, Phase::In) => return,
            Some(membership) => Some(Arc::clone(&membership.group)),
            None => None,
        };
        let coordinator = Arc::clone(coordinator);
        self.await_committing().await;
        let positions = self.uncommitted(self.positions());
        if positions.is_empty() {
            return;
        }
        let committer = self.committer();
        // Should it fail, the next one commits these and what has moved on since.
        self.committing = Some(tokio::spawn(async move {
            let Err(error) = coordinator.commit(&committer, &positions).await else {
                return positions;
            };
            tracing::warn!(%error, "an automatic commit failed");
            if let (Some(group), Some(code)) = (group, error.code()) {
                group.commit_failed(&committer, code);
            }
            BTreeMap::new()
        }));
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
