//! Tests that cannot run on this machine.

use std::io::Write;

/// Says that this test is not run, and why; it then returns. Past what libtest captures of a test
/// that passes, as nobody would see it there; `.ci/run` counts these lines.
///
/// # Panics
/// Where `MILENA_NO_SKIP` is set: on a machine where everything must run.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os("MILENA_NO_SKIP").is_none(),
        "{test} would be skipped: {reason}"
    );
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: {reason}");
}
