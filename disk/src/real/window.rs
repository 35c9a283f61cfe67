//! A writable window onto a part of a file: a small append is a store into it, at a fifth of the
//! cost of a system call.
//!
//! Only one writer stores into a window, through [`Window::store`]; nobody ever gets a slice of
//! it. Readers read the file (`pread`, `sendfile`): the page cache is one, and there a bad sector
//! is an error instead of a SIGBUS. The mapped range lies on allocated blocks and the file is not
//! cut while a window is stored into, so a store cannot fault for want of a page.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::Shared;

/// A mapped, writable part of a file. Dropping it unmaps.
pub struct Window {
    map: MmapRaw,
    /// Position in the file of the first mapped byte.
    start: u64,
    shared: Arc<Shared>,
}

impl Window {
    pub(super) fn map(file: &File, shared: &Arc<Shared>, start: u64, len: usize) -> Option<Window> {
        let before = shared.mapped.fetch_add(len, Ordering::Relaxed);
        let map = if before + len > shared.mapped_max {
            None
        } else {
            // An error here (too many maps, say) only means that appends are written instead.
            MmapOptions::new().offset(start).len(len).map_raw(file).ok()
        };
        let Some(map) = map else {
            shared.mapped.fetch_sub(len, Ordering::Relaxed);
            return None;
        };
        Some(Window {
            map,
            start,
            shared: Arc::clone(shared),
        })
    }

    /// Position in the file of the first mapped byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Position in the file past the last mapped byte.
    pub fn end(&self) -> u64 {
        self.start + self.map.len() as u64
    }

    /// Makes `[from, to)` (positions in the file, within the window) writable without a fault:
    /// its pages are in memory and their blocks are ready. `false` if that failed; then nothing
    /// may be stored there.
    pub fn populate(&self, from: u64, to: u64) -> bool {
        assert!(self.start <= from && from <= to && to <= self.end());
        let offset = (from - self.start) as usize;
        let result = self
            .map
            .advise_range(Advice::PopulateWrite, offset, (to - from) as usize);
        match result {
            Ok(()) => true,
            Err(error) => {
                // EINVAL: a kernel before 5.14 or a file system that cannot. Anything else is an
                // error of these pages, which the write that comes instead will name.
                if error.kind() == io::ErrorKind::InvalidInput
                    && self.shared.can_map.swap(false, Ordering::Relaxed)
                {
                    tracing::info!(
                        "mapped pages cannot be populated here ({error}): every append is written"
                    );
                }
                false
            }
        }
    }

    /// Stores `bytes` at `position` of the file, within what was populated. Only the file's one
    /// appender calls this, and never for bytes that are published.
    #[allow(unsafe_code)]
    pub(crate) fn store(&self, position: u64, bytes: &[u8]) {
        assert!(self.start <= position && position + bytes.len() as u64 <= self.end());
        let offset = (position - self.start) as usize;
        // SAFETY: the assertion above keeps the copy inside the mapping, which lives as long as
        // `self`; `bytes` is ordinary memory and cannot overlap it, as no slice of a window is
        // ever given out. No other thread stores to this range: a file has one appender, and it
        // stores only past the published end, which no one reads through the mapping.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.map.as_mut_ptr().add(offset),
                bytes.len(),
            );
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared
            .mapped
            .fetch_sub(self.map.len(), Ordering::Relaxed);
    }
}
