//! The rule that an error from a write or a sync is final, in its one place.
//!
//! After a failed sync the kernel marks the pages clean that it could not write, so a second sync
//! says `Ok` about bytes that are lost. Hence nobody retries: the first error is remembered, and
//! every later write and sync on that disk fails at once with its words. Reads go on. Only a
//! restart, which reads back what is really there, clears it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;

/// Whether a disk can still be written to. Clones share one state.
#[derive(Clone, Default)]
pub struct Health(Arc<OnceLock<Arc<str>>>);

impl Health {
    /// What failed first, if anything did.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.0.get().cloned()
    }

    /// Marks the disk as failed for a reason that a layer above found; the first reason stays.
    pub fn fail(&self, reason: &str) {
        if self.0.set(reason.into()).is_ok() {
            tracing::error!("nothing more is written to this disk: {reason}");
        }
    }

    /// An error if a write or a sync failed before.
    pub fn check(&self) -> io::Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(reason) => Err(io::Error::other(format!(
                "nothing is written here since an earlier failure: {reason}"
            ))),
        }
    }

    /// Names what failed on which path, and makes it final.
    pub(crate) fn last_word<T>(
        &self,
        what: &str,
        path: &Path,
        result: io::Result<T>,
    ) -> io::Result<T> {
        result.map_err(|error| {
            let error = named(what, path, &error);
            self.fail(&error.to_string());
            error
        })
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Health({:?})", self.0.get())
    }
}

/// The same error with the operation and the path in its words. Its kind stays, but for two: a quota
/// that is used up is a full disk, as both are over when something is deleted; and a lack of
/// descriptors, which has no kind, is [`io::ErrorKind::OutOfMemory`], as it goes by.
pub(crate) fn named(what: &str, path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::QuotaExceeded => io::ErrorKind::StorageFull,
        _ if matches!(
            Errno::from_io_error(error),
            Some(Errno::MFILE | Errno::NFILE)
        ) =>
        {
            io::ErrorKind::OutOfMemory
        }
        kind => kind,
    };
    io::Error::new(kind, format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_quota_is_a_full_disk_and_a_lack_of_descriptors_has_a_kind_of_its_own() {
        for (errno, kind) in [
            (Errno::DQUOT, io::ErrorKind::StorageFull),
            (Errno::NOSPC, io::ErrorKind::StorageFull),
            (Errno::MFILE, io::ErrorKind::OutOfMemory),
            (Errno::NFILE, io::ErrorKind::OutOfMemory),
            (Errno::NOENT, io::ErrorKind::NotFound),
        ] {
            let told = named("open", Path::new("/log"), &errno.into());
            assert_eq!(told.kind(), kind, "{told}");
        }
    }
}
