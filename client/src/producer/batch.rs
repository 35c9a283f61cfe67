//! A batch on its way: filled, given a sequence, built, sent, perhaps sent again.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::records::{
    BASE_SEQUENCE, BatchBuilder, BatchIdentity, Compression, PRODUCER_EPOCH, PRODUCER_ID, seal,
};

use super::delivery::Outcome;

/// Who an idempotent producer is to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerId {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// A batch of records for one partition.
pub(super) struct Batch {
    /// Rises over the whole producer in the order of creation.
    pub(super) number: u64,
    /// The partition's place in the accumulator.
    pub(super) slot: usize,
    /// When its first record came, in ms of the producer's clock.
    pub(super) created: u64,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// Not to be sent again before this.
    pub(super) retry_at: u64,
    /// Why the last attempt failed.
    pub(super) last_error: Option<Arc<str>>,
    /// The producer's memory that it holds, in bytes.
    pub(super) memory: usize,
    pub(super) count: i32,
    /// Under which identity and from which sequence on it is, or was, sent.
    pub(super) sequence: Option<(ProducerId, i32)>,
    pub(super) outcome: Arc<Outcome>,
    content: Content,
}

enum Content {
    Filling(BatchBuilder),
    /// Built under this sequence.
    Built(Bytes, Option<(ProducerId, i32)>),
}

impl Batch {
    pub(super) fn new(
        number: u64,
        slot: usize,
        created: u64,
        builder: BatchBuilder,
        outcome: Arc<Outcome>,
    ) -> Self {
        Self {
            number,
            slot,
            created,
            attempts: 0,
            retry_at: 0,
            last_error: None,
            memory: 0,
            count: 0,
            sequence: None,
            outcome,
            content: Content::Filling(builder),
        }
    }

    /// The builder, as long as it was never built.
    pub(super) fn builder(&mut self) -> Option<&mut BatchBuilder> {
        match &mut self.content {
            Content::Filling(builder) => Some(builder),
            Content::Built(..) => None,
        }
    }

    /// Its size in bytes; before it is built, that before compression.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Filling(builder) => builder.estimated_size(),
            Content::Built(bytes, _) => bytes.len(),
        }
    }

    /// The batch as it is sent, under its present sequence: compressed once, and only its
    /// header written anew when the sequence has changed since.
    pub(super) fn bytes(&mut self) -> Bytes {
        let wanted = self.sequence;
        let bytes = match &mut self.content {
            Content::Filling(builder) => {
                let (producer, base_sequence) = wanted.unwrap_or(NOBODY);
                let builder = std::mem::replace(builder, BatchBuilder::new(Compression::None));
                builder.build(&BatchIdentity {
                    producer_id: producer.id,
                    producer_epoch: producer.epoch,
                    base_sequence,
                    ..BatchIdentity::default()
                })
            }
            Content::Built(bytes, built) if *built == wanted => return bytes.clone(),
            Content::Built(bytes, _) => renumbered(bytes, wanted.unwrap_or(NOBODY)),
        };
        self.content = Content::Built(bytes.clone(), wanted);
        bytes
    }
}

const NOBODY: (ProducerId, i32) = (ProducerId { id: -1, epoch: -1 }, -1);

fn renumbered(batch: &[u8], (producer, base_sequence): (ProducerId, i32)) -> Bytes {
    let mut bytes = BytesMut::from(batch);
    bytes[PRODUCER_ID..PRODUCER_ID + 8].copy_from_slice(&producer.id.to_be_bytes());
    bytes[PRODUCER_EPOCH..PRODUCER_EPOCH + 2].copy_from_slice(&producer.epoch.to_be_bytes());
    bytes[BASE_SEQUENCE..BASE_SEQUENCE + 4].copy_from_slice(&base_sequence.to_be_bytes());
    let (head, body) = bytes
        .split_first_chunk_mut()
        .expect("a batch that was built has a header");
    seal(head, body);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicPartition;
    use protocol::records::BatchView;

    #[test]
    fn a_built_batch_can_be_numbered_anew() {
        let outcome = Outcome::new(TopicPartition::new("t", 0));
        let mut batch = Batch::new(0, 0, 0, BatchBuilder::new(Compression::Lz4), outcome);
        batch
            .builder()
            .expect("new")
            .push(1, None, Some(&[7; 500]), &[]);
        for (id, epoch, sequence) in [(5, 0, 0), (5, 0, 0), (5, 1, 70), (9, 0, 0)] {
            batch.sequence = Some((ProducerId { id, epoch }, sequence));
            let bytes = batch.bytes();
            let view = BatchView::parse(&bytes).expect("a batch");
            assert!(view.crc_ok());
            assert_eq!(
                (
                    view.producer_id(),
                    view.producer_epoch(),
                    view.base_sequence()
                ),
                (id, epoch, sequence)
            );
        }
    }
}
