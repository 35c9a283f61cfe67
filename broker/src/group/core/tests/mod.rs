//! Tests of the whole core: tables of what is said and answered, and properties over random lives
//! of groups.

// UPDATE_EXPECT=1 writes all with hashes.
#![allow(clippy::needless_raw_string_hashes)]

mod forgotten;
mod limits;
mod properties;
mod rebalances;
mod script;
mod sessions;
mod static_members;
mod stored;
mod told;
