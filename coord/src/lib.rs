//! The coordination service: znode tree, sessions, watches, transaction log.
