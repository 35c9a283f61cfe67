//! OffsetCommit and OffsetDelete: who may change a group's offsets, and the records that do.

use protocol::error::ErrorCode;

use super::group::{Group, State};
use super::step::{Step, Then};
use super::{CommitRequest, CommittedOffset, DeleteOffsetsRequest, Record, Reply, ReplyTo};

impl Group {
    pub(super) fn commit(&mut self, step: &mut Step<'_>, request: CommitRequest, to: ReplyTo) {
        if let Err(error) = self.check_commit(&request) {
            return step.reply(to, Reply::Commit(vec![error; request.offsets.len()]));
        }
        if matches!(self.state, State::Stable | State::PreparingRebalance { .. }) {
            self.renew_session(step, &request.member_id);
        }
        let now_ms = step.now.wall_ms;
        let expire_timestamp_ms = request.retention_ms.map(|ms| now_ms.saturating_add(ms));
        let mut codes = Vec::with_capacity(request.offsets.len());
        let mut records = Vec::with_capacity(request.offsets.len());
        for offset in request.offsets {
            if too_long(&offset.metadata, step.config.offset_metadata_max) {
                codes.push(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            codes.push(ErrorCode::None);
            records.push(Record::Offset {
                group: self.id.clone(),
                topic: offset.topic,
                partition: offset.partition,
                value: Some(CommittedOffset {
                    offset: offset.offset,
                    leader_epoch: offset.leader_epoch,
                    metadata: offset.metadata,
                    commit_timestamp_ms: now_ms,
                    expire_timestamp_ms,
                }),
            });
        }
        let token = (!records.is_empty()).then(|| self.append(step, records, Then::Nothing));
        step.reply_after(token, to, Reply::Commit(codes));
    }

    fn check_commit(&self, request: &CommitRequest) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if request.generation < 0 && self.state == State::Empty {
            // An administrator, or a consumer without group management.
            return Ok(());
        }
        if request.generation < 0
            && request.member_id.is_empty()
            && request.group_instance_id.is_none()
        {
            return if self.state == State::Empty {
                Ok(())
            } else {
                Err(ErrorCode::UnknownMemberId)
            };
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if matches!(self.state, State::CompletingRebalance { .. }) {
            // The member knows its generation but not yet its assignment.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    pub(super) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        request: DeleteOffsetsRequest,
        to: ReplyTo,
    ) {
        let refused = match self.state {
            State::Dead => Some(ErrorCode::GroupIdNotFound),
            State::Empty => None,
            _ if self.reads_consumer_metadata() => None,
            _ => Some(ErrorCode::NonEmptyGroup),
        };
        if let Some(error) = refused {
            return step.reply(to, Reply::DeleteOffsets(Err(error)));
        }
        let mut codes = Vec::with_capacity(request.partitions.len());
        let mut records = Vec::new();
        for (topic, partition) in request.partitions {
            if self.is_subscribed_to(&topic) {
                codes.push(ErrorCode::GroupSubscribedToTopic);
                continue;
            }
            codes.push(ErrorCode::None);
            let known = self.offset(&topic, partition).is_some();
            if known || self.unsettled.contains_key(&(topic.clone(), partition)) {
                records.push(Record::Offset {
                    group: self.id.clone(),
                    topic,
                    partition,
                    value: None,
                });
            }
        }
        let token = (!records.is_empty()).then(|| self.append(step, records, Then::Nothing));
        step.reply_after(token, to, Reply::DeleteOffsets(Ok(codes)));
    }

    /// Tombstones for all offsets in some topics, with those whose commits are still under way.
    pub(super) fn offset_tombstones(&self, wanted: impl Fn(&str) -> bool) -> Vec<Record> {
        let settled = self.offsets.iter().flat_map(|(topic, partitions)| {
            partitions
                .keys()
                .map(move |partition| (topic.clone(), *partition))
        });
        let all: std::collections::BTreeSet<(String, i32)> = settled
            .chain(self.unsettled.keys().cloned())
            .filter(|(topic, _)| wanted(topic))
            .collect();
        let tombstone = |(topic, partition)| Record::Offset {
            group: self.id.clone(),
            topic,
            partition,
            value: None,
        };
        all.into_iter().map(tombstone).collect()
    }

    pub(super) fn set_offset(
        &mut self,
        topic: &str,
        partition: i32,
        value: Option<CommittedOffset>,
    ) {
        match value {
            Some(value) => {
                self.offsets
                    .entry(topic.to_owned())
                    .or_default()
                    .insert(partition, value);
            }
            None => {
                if let Some(partitions) = self.offsets.get_mut(topic) {
                    partitions.remove(&partition);
                    if partitions.is_empty() {
                        self.offsets.remove(topic);
                    }
                }
            }
        }
    }
}

fn too_long(metadata: &str, max: usize) -> bool {
    metadata.len() > max && metadata.encode_utf16().count() > max
}
