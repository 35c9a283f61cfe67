//! A stage: consume, apply a step, produce, commit.
//!
//! The step is a trait, so that this crate carries no jq and no child processes; what it is
//! made of is its author's business. Here live the loop, the offsets and the order of things:
//! an input's offset is committed only after every output that it led to was acked. After a
//! crash the records past the last commit are applied again (at least once).

mod error;
mod run;
mod step;

pub use error::StageError;
pub use run::{BadRecords, StageConfig, StageReport, run};
pub use step::{Output, Outputs, Step, StepError};
