//! Ensembles of real coordination cores in a simulated world. One seed decides everything: who is in it, what clients
//! ask, and what goes wrong. First faults of all kinds while every property is checked; then all is healed, and the
//! members must agree within a bounded time.

mod happenings;
mod network;
mod node;
mod plan;
mod properties;
mod random;
mod shell;
mod store;
mod tree;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use properties::Violation;
pub use world::{Report, World};

/// Runs a seed. A panic of a core is a violation like any other.
pub fn run(world: impl FnOnce() -> World) -> Result<Report, Violation> {
    catch_unwind(AssertUnwindSafe(|| world().run())).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(Violation {
            property: "no panic",
            what: what.unwrap_or_default(),
        })
    })
}
