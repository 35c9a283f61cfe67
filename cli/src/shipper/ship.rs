//! The loop: look, read, hand over, note down. One batch is under way and one waits behind it, so memory is
//! bounded however long the broker stays away; looking goes on meanwhile, so that files rotated or deleted
//! in that time are held open.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Settings;
use super::checkpoint::{CheckpointError, Store};
use super::follow::{Batch, Counts, Follower, Marks};
use super::sink::{Line, Refused, Sink};
use super::watch::Watch;

/// How long reads that found nothing wait for the next, when no event comes.
const IDLE: Duration = Duration::from_millis(250);

/// How long a stop waits for more of what was read from standard input.
const LAST: Duration = Duration::from_millis(20);

/// Why shipping ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub counts: Counts,
    /// Lines that the sink refused for what they are.
    pub refused: u64,
    /// It was told to stop before all was done.
    pub stopped: bool,
    /// How many problems with files were told.
    pub troubles: u64,
    /// Everything that was read was also shipped.
    pub complete: bool,
}

/// A batch handed over: the sink comes back with the answer.
type Sending<S> = JoinHandle<(S, Result<u64, Refused>)>;

struct Shipping<S> {
    settings: Settings,
    follower: Follower,
    store: Option<Store>,
    sink: Option<S>,
    sending: Option<(Sending<S>, Marks)>,
    waiting: Option<Batch>,
    refused: u64,
    watch: Watch,
    scan_at: Instant,
    /// A scan may take long with many files: the next waits a multiple of that.
    scan_took: Duration,
    saved_at: Instant,
}

/// Ships until `stop` completes, or, with `settings.once` or standard input alone, until all is shipped.
///
/// Runs on a multi-threaded runtime, as it reads files in place.
pub async fn ship<S: Sink>(
    settings: Settings,
    store: Option<Store>,
    mut stdin: Option<mpsc::Receiver<Vec<Line>>>,
    sink: S,
    stop: impl Future<Output = ()>,
) -> Result<Report, ShipError> {
    let now = Instant::now();
    let saved = match &store {
        Some(store) => store.load()?,
        None => None,
    };
    let only_stdin = settings.patterns.is_empty();
    let mut this = Shipping {
        watch: Watch::new(&settings.patterns),
        follower: Follower::new(settings.clone(), saved, now),
        settings,
        store,
        sink: Some(sink),
        sending: None,
        waiting: None,
        refused: 0,
        scan_at: now,
        scan_took: Duration::ZERO,
        saved_at: now,
    };
    let mut stopped = false;
    tokio::pin!(stop);
    loop {
        tokio::task::block_in_place(|| this.look_and_read());
        this.hand_over();
        let idle = this.sending.is_none() && this.waiting.is_none();
        this.save(idle)?;
        let files_done = only_stdin || (this.settings.once && this.follower.is_drained());
        if idle && files_done && stdin.is_none() {
            break;
        }
        let wait = if idle && !files_done && this.settings.once {
            // What is left are files beyond the limit of open ones: the next look opens some.
            this.scan_at = Instant::now();
            Duration::from_millis(1)
        } else {
            IDLE
        };
        tokio::select! {
            biased;
            () = &mut stop => {
                stopped = true;
                break;
            }
            done = answer(&mut this.sending) => this.answered(done)?,
            lines = next(&mut stdin), if this.waiting.is_none() => match lines {
                Some(lines) => this.waiting = Some(Batch::of_no_file(lines)),
                None => stdin = None,
            },
            () = this.watch.changed() => {
                // Many events at once are one reason to look.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
    let complete = this.finish(stdin).await?;
    Ok(Report {
        counts: this.follower.counts,
        refused: this.refused,
        stopped,
        troubles: this.follower.troubles(),
        complete,
    })
}

impl<S: Sink> Shipping<S> {
    fn look_and_read(&mut self) {
        let now = Instant::now();
        let names = self.watch.take_names() || self.follower.wants_look();
        let soon = self
            .scan_at
            .checked_sub(self.settings.poll)
            .is_none_or(|last| now.duration_since(last) > 5 * self.scan_took);
        if now >= self.scan_at || (names && soon) {
            self.follower.scan(now);
            for folder in self.follower.folders() {
                self.watch.folder(folder);
            }
            self.scan_took = now.elapsed();
            self.scan_at = now + self.settings.poll.max(5 * self.scan_took);
        }
        if self.waiting.is_none() {
            let batch = self.follower.read(now);
            self.waiting = (!batch.is_empty()).then_some(batch);
        }
    }

    /// Gives the waiting batch to the sink, if that is free.
    fn hand_over(&mut self) {
        if self.waiting.is_none() {
            return;
        }
        let Some(mut sink) = self.sink.take() else {
            return;
        };
        let batch = self.waiting.take().expect("looked at above");
        let sending = tokio::spawn(async move {
            let result = if batch.lines.is_empty() {
                Ok(0)
            } else {
                sink.send(batch.lines).await
            };
            (sink, result)
        });
        self.sending = Some((sending, batch.marks));
    }

    fn answered(
        &mut self,
        (sink, result, marks): (S, Result<u64, Refused>, Marks),
    ) -> Result<(), ShipError> {
        self.sink = Some(sink);
        self.refused += result?;
        self.follower.shipped(&marks);
        Ok(())
    }

    /// Writes the checkpoint if it is due. A disk that is full now may not be later: told, and tried again.
    fn save(&mut self, idle: bool) -> Result<(), CheckpointError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let now = Instant::now();
        // When all is shipped there is time to note it down at once, though not for every single line.
        let due = if idle {
            self.saved_at + self.settings.checkpoint_every / 4
        } else {
            self.saved_at + self.settings.checkpoint_every
        };
        if now < due && !(idle && self.settings.once) {
            return Ok(());
        }
        if let Some(saved) = self.follower.take_saved() {
            self.saved_at = now;
            if let Err(error) = store.save(&saved) {
                if self.settings.once && idle {
                    return Err(error);
                }
                tracing::warn!(
                    "{error}; lines shipped from here on may come twice after a restart"
                );
                self.follower.not_saved();
            }
        }
        Ok(())
    }

    /// Waits a little for what is under way and was read from standard input, then notes down how far all
    /// was shipped.
    async fn finish(
        &mut self,
        mut stdin: Option<mpsc::Receiver<Vec<Line>>>,
    ) -> Result<bool, ShipError> {
        let deadline = tokio::time::Instant::now() + self.settings.grace;
        loop {
            if self.waiting.is_none()
                && let Some(input) = &mut stdin
            {
                // What was read is handed over within moments; who waits longer waits for the writer.
                match tokio::time::timeout(LAST, input.recv()).await {
                    Ok(Some(lines)) => self.waiting = Some(Batch::of_no_file(lines)),
                    Ok(None) | Err(_) => stdin = None,
                }
            }
            if self.sending.is_none() && self.waiting.is_none() {
                break;
            }
            self.hand_over();
            match tokio::time::timeout_at(deadline, answer(&mut self.sending)).await {
                Ok(done) => self.answered(done)?,
                Err(_) => break,
            }
        }
        let complete = self.sending.is_none() && self.waiting.is_none();
        if let Some((sending, _)) = &self.sending {
            sending.abort();
        }
        if let (Some(store), Some(saved)) = (&self.store, self.follower.take_saved()) {
            store.save(&saved)?;
        }
        Ok(complete)
    }
}

/// The sink's answer to the batch under way; never, while there is none.
async fn answer<S>(sending: &mut Option<(Sending<S>, Marks)>) -> (S, Result<u64, Refused>, Marks) {
    let Some((task, _)) = sending else {
        return std::future::pending().await;
    };
    let (sink, result) = match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    let (_, marks) = sending.take().expect("it was just waited for");
    (sink, result, marks)
}

async fn next(stdin: &mut Option<mpsc::Receiver<Vec<Line>>>) -> Option<Vec<Line>> {
    match stdin {
        Some(stdin) => stdin.recv().await,
        None => std::future::pending().await,
    }
}
