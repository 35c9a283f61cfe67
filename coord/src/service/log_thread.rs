//! The log thread: takes all the appends that have gathered, writes them at once and syncs once. While it waits for
//! the disk, the next group gathers: that is the group commit.

use std::sync::Arc;

use disk::Disk;

use super::core::{Event, LogCommand};
use super::inbox::Inbox;
use crate::storage::{Entry, Log, StorageError};

pub(super) struct LogThread<D: Disk> {
    pub(super) disk: D,
    pub(super) log: Log<D>,
    pub(super) commands: Arc<Inbox<LogCommand>>,
    pub(super) events: Arc<Inbox<Event>>,
}

impl<D: Disk> LogThread<D> {
    pub(super) fn run(mut self) {
        let _end = End(Arc::clone(&self.events));
        let mut commands = Vec::new();
        let mut group = Vec::new();
        // Proposals of these generations and older were refused.
        let mut refused: Option<u64> = None;
        loop {
            self.commands.take(None, &mut commands);
            let mut generation = 0;
            for command in commands.drain(..) {
                let done = match command {
                    LogCommand::Append {
                        generation: of,
                        entry,
                    } => {
                        if Some(of) > refused {
                            generation = of;
                            group.push(entry);
                        }
                        Ok(())
                    }
                    LogCommand::Roll => self.commit(&mut group).and_then(|()| self.log.roll()),
                    LogCommand::Stop => {
                        let done = self.commit(&mut group).and_then(|()| self.log.seal());
                        if let Err(error) = done {
                            tracing::warn!("the transaction log was not closed: {error}");
                        }
                        return;
                    }
                };
                if !self.tell(done, generation, &mut refused) {
                    return;
                }
            }
            let done = self.commit(&mut group);
            if !self.tell(done, generation, &mut refused) {
                return;
            }
        }
    }

    fn commit(&mut self, group: &mut Vec<Entry>) -> Result<(), StorageError> {
        let Some((last, _)) = group.last() else {
            return Ok(());
        };
        let last = *last;
        let written = self.log.append(group);
        group.clear();
        written?;
        self.log.sync()?;
        self.events.push(Event::Durable(last));
        Ok(())
    }

    /// Tells the core what went wrong. False where it is final, and the thread ends.
    pub(super) fn tell(
        &self,
        done: Result<(), StorageError>,
        generation: u64,
        refused: &mut Option<u64>,
    ) -> bool {
        match done {
            Ok(()) => true,
            // A write or a sync can say "full", too, but leaves it open what is on disk; that is final.
            Err(error) if error.is_full() && self.disk.health().failure().is_none() => {
                tracing::warn!("writes are refused until there is room: {error}");
                *refused = Some(generation);
                self.events.push(Event::Refused {
                    generation,
                    reason: error.to_string().into(),
                });
                true
            }
            Err(error) => {
                tracing::error!("the transaction log takes no more writes: {error}");
                self.events.push(Event::Failed(Arc::new(error)));
                false
            }
        }
    }
}

/// Without the log thread nothing can be written, however it has ended; where the core knows that, it does not mind.
struct End(Arc<Inbox<Event>>);

impl Drop for End {
    fn drop(&mut self) {
        let error = std::io::Error::other("the log thread has ended");
        self.0.push(Event::Failed(Arc::new(error.into())));
    }
}
