//! A file that is only ever appended to, by one writer, and read by many.
//!
//! There are three ways in, which meet in the same page cache. A large append is a `pwritev`. A
//! small one is a store into a mapped window, unless a sync follows at once ([`Small`]): then it
//! is gathered in memory with others like it, and the next sync writes them all by one call.
//! A mapped page costs each sync a fault and an interrupt of every other processor (the sync
//! write-protects it again): measured with 64 files and a sync for each 5 appends of 170 bytes,
//! 59 µs of CPU a sync where a write costs 14.
//!
//! What is gathered is written with zeros behind it: a sync of blocks never written before also
//! writes the file's map of blocks. Measured with a sync for each 850 bytes: 9,000 syncs a second
//! in place of 8,100 for one file, 16,200 in place of 14,500 for eight, at a quarter less CPU.
//!
//! Where nothing can be mapped, all are written. Blocks are reserved before they are stored to,
//! in steps that grow with the file, so that a full disk is a clean error and many idle files
//! reserve little.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{DiskFile, Window};

/// Appends of up to so many bytes are stored into a mapped window or gathered, larger ones written.
pub const SMALL_APPEND: usize = 4096;

/// No more than this is gathered before it is written.
const GATHERED_MAX: usize = 64 << 10;
/// So many zeros, at most, are written behind what was gathered: as many as the file has bytes,
/// so that small files stay small.
const ZEROS_MAX: usize = 64 << 10;
static ZEROS: [u8; ZEROS_MAX] = [0; ZEROS_MAX];
/// What is kept allocated for the next bytes to gather; there may be many files.
const GATHERED_KEPT: usize = 4 << 10;

const PAGE: u64 = 4096;
/// Reservations grow with the file between these, as do windows.
const RESERVE_MIN: u64 = 16 << 10;
const RESERVE_MAX: u64 = 32 << 20;
const WINDOW_MAX: u64 = 1 << 20;
/// So much is made writable ahead of the end at a time. Little, as it dirties the pages.
const POPULATE_STEP: u64 = 32 << 10;
/// After a window was refused, so many bytes go by before one is asked for again.
const WINDOW_RETRY: u64 = 256 << 10;

fn page_floor(position: u64) -> u64 {
    position & !(PAGE - 1)
}

fn page_ceil(position: u64) -> u64 {
    page_floor(position + PAGE - 1)
}

/// What readers hold of an append-only file: its bytes up to the published end.
pub struct SegmentFile<F> {
    file: F,
    published: AtomicU64,
}

impl<F: DiskFile> SegmentFile<F> {
    /// A file of which `[0, published)` is there to be read.
    pub fn new(file: F, published: u64) -> Self {
        SegmentFile {
            file,
            published: AtomicU64::new(published),
        }
    }

    /// Bytes that can be read. Grows only (but for a follower's truncation).
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Reads at `position`, never past the published end.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let left = self.published().saturating_sub(position);
        let len = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_at(&mut buffer[..len], position)
    }

    /// The file, for `sendfile` of ranges below [`SegmentFile::published`] and for probes.
    pub fn file(&self) -> &F {
        &self.file
    }
}

/// The bytes of an append-only file up to an end, which are to be made durable without its
/// appender.
///
/// By `fdatasync`, also of what was stored into a window: `msync` of no more than the new range
/// took a sixth more CPU, measured with a sync after each 16 appends of 110 and of 1,000 bytes.
pub struct SyncRange<F> {
    segment: Arc<SegmentFile<F>>,
    end: u64,
}

impl<F: DiskFile> SyncRange<F> {
    /// Syncs. An error is final for the disk.
    pub fn run(&self) -> io::Result<()> {
        self.segment.file.sync()
    }

    /// The end of what is durable then.
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// What becomes of small appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Small {
    /// They are stored into a mapped window and published: readers see them at once.
    Stored,
    /// They are gathered, and neither written nor published before the next
    /// [`AppendFile::sync_range`]. For appends that count for nothing until they are synced.
    Gathered,
}

/// The one appender of a file.
pub struct AppendFile<F> {
    segment: Arc<SegmentFile<F>>,
    end: u64,
    /// The last bytes before `end`, which are not in the file yet.
    gathered: Vec<u8>,
    /// No block below was never written.
    zeroed: u64,
    /// The file's size; blocks are reserved up to here if `reserves`.
    reserved: u64,
    reserves: bool,
    /// Nothing is reserved past this unless an append needs it.
    limit: u64,
    /// Appends of up to so many bytes are stored.
    small: usize,
    window: Option<Window>,
    /// Pages of the window up to here can be stored to.
    populated: u64,
    /// No window is asked for below this end.
    window_from: u64,
}

impl<F: DiskFile> AppendFile<F> {
    /// Appends to `file` from `end` on; what the file holds past `end` is reserved room (zeros).
    /// No more than `limit` bytes are reserved ahead of need.
    pub fn new(file: F, end: u64, limit: u64) -> io::Result<Self> {
        let reserved = file.len()?;
        Ok(AppendFile {
            segment: Arc::new(SegmentFile::new(file, end)),
            end,
            gathered: Vec::new(),
            zeroed: 0,
            reserved,
            reserves: true,
            limit,
            small: SMALL_APPEND,
            window: None,
            populated: 0,
            window_from: 0,
        })
    }

    /// The same with another threshold than [`SMALL_APPEND`]: the bench that finds it sets this.
    #[must_use]
    pub fn small_up_to(mut self, bytes: usize) -> Self {
        self.small = bytes;
        self
    }

    /// What readers hold.
    pub fn segment(&self) -> &Arc<SegmentFile<F>> {
        &self.segment
    }

    /// Where the next append goes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends `head` and `body`, one after the other, and publishes them, or gathers them.
    ///
    /// # Errors
    /// `StorageFull`: nothing was appended, and it may be tried again. Any other error is final.
    pub fn append(&mut self, head: &[u8], body: &[u8], small: Small) -> io::Result<()> {
        let len = head.len() + body.len();
        let end = self.end + len as u64;
        if end > self.reserved && self.reserves {
            self.reserve(end)?;
        }
        if len > self.small {
            return self.write(head, body);
        }
        match small {
            // Room that is not reserved could be missing later, when nothing can be refused.
            Small::Gathered if self.reserves => self.gather(head, body),
            Small::Stored if self.window_until(end) => self.store(head, body),
            _ => self.write(head, body),
        }
    }

    fn gather(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        if self.gathered.len() + head.len() + body.len() > GATHERED_MAX {
            self.write_gathered()?;
        }
        self.segment.file.check_health()?;
        self.gathered.extend_from_slice(head);
        self.gathered.extend_from_slice(body);
        self.end += (head.len() + body.len()) as u64;
        Ok(())
    }

    fn store(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        self.write_gathered()?;
        self.segment.file.check_health()?;
        // The window was just made to reach past what is stored here.
        if let Some(window) = &self.window {
            window.store(self.end, head);
            window.store(self.end + head.len() as u64, body);
        }
        self.publish(self.end + (head.len() + body.len()) as u64);
        Ok(())
    }

    fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        self.write_behind_gathered([head, body])?;
        self.publish(self.end + (head.len() + body.len()) as u64);
        Ok(())
    }

    /// Writes what is gathered, and these behind it.
    fn write_behind_gathered(&mut self, more: [&[u8]; 2]) -> io::Result<()> {
        let from = self.end - self.gathered.len() as u64;
        let slices = [
            IoSlice::new(&self.gathered),
            IoSlice::new(more[0]),
            IoSlice::new(more[1]),
        ];
        let first = usize::from(self.gathered.is_empty());
        self.segment.file.write_at(&slices[first..], from)?;
        self.gathered.clear();
        self.gathered.shrink_to(GATHERED_KEPT);
        Ok(())
    }

    fn publish(&mut self, end: u64) {
        self.end = end;
        self.reserved = self.reserved.max(end);
        self.segment.published.store(end, Ordering::Release);
    }

    /// Writes and publishes what is gathered, so that readers see all that was appended.
    ///
    /// # Errors
    /// Any is final.
    pub fn write_gathered(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let mut zeros: &[u8] = &[];
        if self.end > self.zeroed {
            let ahead = page_ceil(self.end) + page_floor(self.end.min(ZEROS_MAX as u64 - PAGE));
            self.zeroed = ahead.min(self.reserved).max(self.end);
            zeros = &ZEROS[..(self.zeroed - self.end) as usize];
        }
        self.write_behind_gathered([zeros, &[]])?;
        self.publish(self.end);
        Ok(())
    }

    /// What makes all that is appended by now durable.
    ///
    /// # Errors
    /// Any error in writing what was gathered is final.
    pub fn sync_range(&mut self) -> io::Result<SyncRange<F>> {
        self.write_gathered()?;
        Ok(SyncRange {
            segment: Arc::clone(&self.segment),
            end: self.end,
        })
    }

    /// Ends the appending: unmaps, gives reserved room back, and leaves what readers hold.
    pub fn seal(mut self) -> io::Result<Arc<SegmentFile<F>>> {
        self.trim()?;
        Ok(self.segment)
    }

    /// Unmaps, and gives reserved room back. Appending may go on.
    pub fn trim(&mut self) -> io::Result<()> {
        self.write_gathered()?;
        self.window = None;
        self.populated = 0;
        // Not by `reserved`: a reservation that failed half way may have made the file longer.
        if self.segment.file.len()? > self.end {
            self.segment.file.set_len(self.end)?;
        }
        self.reserved = self.end;
        self.zeroed = self.zeroed.min(self.end);
        Ok(())
    }

    /// Cuts the file to `end` bytes. Only for what no consumer has seen (a follower's tail).
    pub fn truncate(&mut self, end: u64) -> io::Result<()> {
        assert!(end <= self.end, "a truncation does not make a file longer");
        self.write_gathered()?;
        self.window = None;
        self.populated = 0;
        self.segment.published.store(end, Ordering::Release);
        self.segment.file.set_len(end)?;
        self.end = end;
        self.reserved = end;
        self.zeroed = self.zeroed.min(end);
        Ok(())
    }

    fn reserve(&mut self, end: u64) -> io::Result<()> {
        let step = self.end.clamp(RESERVE_MIN, RESERVE_MAX);
        let least = page_ceil(end);
        let wanted = page_ceil((end + step).min(self.limit)).max(least);
        let from = self.reserved;
        let result = match self.segment.file.allocate(from, wanted - from) {
            // The last room of a disk is still good for this append.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && wanted > least => self
                .segment
                .file
                .allocate(from, least - from)
                .map(|()| least),
            result => result.map(|()| wanted),
        };
        match result {
            Ok(reserved) => self.reserved = reserved,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                static SAID: AtomicBool = AtomicBool::new(false);
                if !SAID.swap(true, Ordering::Relaxed) {
                    tracing::info!("{error}: every append is written, none is mapped");
                }
                self.reserves = false;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a window is ready to be stored to up to `end`.
    fn window_until(&mut self, end: u64) -> bool {
        if self.window.is_some() && end <= self.populated {
            return true;
        }
        self.next_window(end)
    }

    fn next_window(&mut self, end: u64) -> bool {
        if !self.reserves || self.end < self.window_from {
            return false;
        }
        if self.window.as_ref().is_none_or(|window| end > window.end()) {
            self.window = None;
            let start = page_floor(self.end);
            // Room that was there before may end inside a page.
            let least = page_ceil(end);
            if self.reserved < least && self.reserve(least).is_err() {
                return false;
            }
            let len = self.end.next_power_of_two().clamp(RESERVE_MIN, WINDOW_MAX);
            let until = page_floor(self.reserved).min(start + len).max(least);
            if until > self.reserved {
                return false;
            }
            let window = self.segment.file.map(start, (until - start) as usize);
            let Some(window) = window else {
                self.window_from = self.end + WINDOW_RETRY;
                return false;
            };
            self.window = Some(window);
            self.populated = start;
        }
        let Some(window) = &self.window else {
            return false;
        };
        // Large appends may have gone past what was populated.
        let from = self.populated.max(page_floor(self.end));
        let to = (from + POPULATE_STEP).max(page_ceil(end)).min(window.end());
        if window.populate(from, to) {
            self.populated = to;
            return true;
        }
        self.window = None;
        self.window_from = self.end + WINDOW_RETRY;
        false
    }
}
