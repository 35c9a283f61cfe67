//! Producer ids, unique in the cluster for ever: blocks of them are taken by a versioned
//! write of one znode before any of the block is given out, so a crash wastes ids but
//! never gives one twice.

use coord::{CoordError, Session};
use tokio::sync::Mutex;

use crate::metadata::WriteError;
use crate::metadata::znodes::{PRODUCER_IDS, ProducerIdsNode, json};

/// How many ids a block has, as in Kafka.
const BLOCK: i64 = 1000;

/// Gives out producer ids.
pub(crate) struct ProducerIds {
    session: Session,
    broker_id: i32,
    /// What is left of the block in hand.
    block: Mutex<std::ops::Range<i64>>,
}

impl ProducerIds {
    pub(crate) fn new(session: Session, broker_id: i32) -> Self {
        Self {
            session,
            broker_id,
            block: Mutex::new(0..0),
        }
    }

    /// An id that nobody has had.
    pub(crate) async fn next(&self) -> Result<i64, WriteError> {
        // Held over the write on purpose: those who come meanwhile wait for its block.
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = self.take_block().await?;
        }
        let id = block.start;
        block.start += 1;
        Ok(id)
    }

    async fn take_block(&self) -> Result<std::ops::Range<i64>, WriteError> {
        loop {
            let (data, stat) = self.session.get(PRODUCER_IDS)?;
            let start = if data.is_empty() {
                0
            } else {
                let before: ProducerIdsNode = serde_json::from_slice(&data)?;
                let end: i64 = before.block_end.parse().map_err(|_| WriteError::Conflict)?;
                end + 1
            };
            let node = ProducerIdsNode {
                version: 1,
                broker: self.broker_id,
                block_start: start.to_string(),
                block_end: (start + BLOCK - 1).to_string(),
            };
            let written = self
                .session
                .set(PRODUCER_IDS, json(&node), Some(stat.version))
                .await;
            match written {
                Ok(_) => return Ok(start..start + BLOCK),
                // Another broker was faster: its block is not ours, so look again.
                Err(CoordError::BadVersion { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
