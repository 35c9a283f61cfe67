//! The load generators share what stands here.
