//! A tree that is as small as one can be: its digest tells every history from every other.

use std::sync::Arc;

use coord::Zxid;
use coord::zab::{Config, Digest, Payload, Txn};

use crate::random::mix;

#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) applied: Zxid,
    pub(crate) digest: u64,
    /// The newest set of members that was applied.
    pub(crate) config: Arc<Config>,
}

impl Tree {
    pub(crate) fn new(config: Arc<Config>) -> Tree {
        Tree {
            applied: Zxid::ZERO,
            digest: 0,
            config,
        }
    }

    pub(crate) fn apply(&mut self, txn: &Txn) {
        self.applied = txn.zxid;
        let content = match &txn.payload {
            Payload::Data(bytes) => bytes
                .iter()
                .fold(0, |sum, byte| mix(sum ^ u64::from(*byte))),
            Payload::Config(config) => {
                self.config = Arc::clone(config);
                mix(config.version.0)
            }
        };
        self.digest = mix(self.digest ^ mix(txn.zxid.0) ^ content);
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest {
            zxid: self.applied,
            value: self.digest,
        }
    }
}
