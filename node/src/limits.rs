//! What the system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: a partition in use holds a
/// descriptor, a connection another, and the usual soft limit of 1,024 is of another age.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(
            "open files: {:?}, raised from {:?}",
            limit.maximum,
            limit.current
        ),
        Err(error) => tracing::warn!(
            "the limit of open files stays at {:?}: {error}",
            limit.current
        ),
    }
}
