//! Wakes the shipper when something changes in a folder, by what the operating system tells.
//!
//! Only a hint: events get lost, network file systems send none, and watches are limited. The poll beside
//! it finds everything that this misses, only later.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::look::is_pattern;

/// More folders than this are only polled.
const FOLDERS: usize = 1024;

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    /// Names changed, or events were lost: look at everything.
    names: AtomicBool,
}

#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    pub fn new(patterns: &[String]) -> Self {
        let shared = Arc::new(Shared::default());
        let tell = Arc::clone(&shared);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let only_content = event.is_ok_and(|e| {
                !e.need_rescan()
                    && matches!(
                        e.kind,
                        EventKind::Modify(notify::event::ModifyKind::Data(_))
                            | EventKind::Access(_)
                    )
            });
            if !only_content {
                tell.names.store(true, Ordering::Release);
            }
            tell.wake.notify_one();
        })
        .inspect_err(|error| tracing::warn!("no file events ({error}); polling alone"))
        .ok();
        let mut this = Self {
            shared,
            watcher,
            folders: BTreeSet::new(),
        };
        for pattern in patterns {
            this.folder(&base(pattern));
        }
        this
    }

    /// Watches `folder`, too.
    pub fn folder(&mut self, folder: &Path) {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if self.folders.len() >= FOLDERS || self.folders.contains(folder) || !folder.is_dir() {
            return;
        }
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            tracing::warn!("no events for {} ({error}); polling it", folder.display());
        }
        self.folders.insert(folder.to_owned());
    }

    /// Completes when something may have changed.
    pub async fn changed(&self) {
        self.shared.wake.notified().await;
    }

    /// Whether names may have changed since the last call.
    pub fn take_names(&self) -> bool {
        self.shared.names.swap(false, Ordering::AcqRel)
    }
}

/// The folder under which everything lies that `pattern` can name.
fn base(pattern: &str) -> PathBuf {
    let path = Path::new(pattern);
    let mut base = path.parent().unwrap_or(Path::new(".")).to_owned();
    while base.to_str().is_some_and(is_pattern) {
        base.pop();
    }
    base
}
