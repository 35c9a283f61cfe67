//! What the benches share: clients that cost next to nothing, the floor to hold a broker against, and what a process cost meanwhile.
//!
//! `raw`, `floor`, `append` and `compare` are thin programs over these modules, `librdkafka` lives in a package of its own, as it builds
//! a C library. Nothing here is used by Milena itself. README.md says how to run them and what each figure means.

pub mod append;
pub mod compare;
pub mod fetch;
pub mod first_ack;
pub mod floor;
pub mod frames;
pub mod meter;
pub mod peek;
pub mod produce;
pub mod report;
pub mod sendfile;
pub mod topics;
pub mod wire;
