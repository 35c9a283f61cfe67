//! The steps of `milena stage`: jq, child processes, dedupe and windows, on `client::stage`.
//!
//! [`dedupe`] and [`window`] decide and are pure; [`jq`] computes; [`exec`] runs a program; [`pipeline`]
//! joins them to a step. The loop, its offsets and its commits are the client's.

pub mod dedupe;
pub mod exec;
pub mod jq;
pub mod pipeline;
pub mod plan;
pub mod window;

#[cfg(test)]
mod tests;
