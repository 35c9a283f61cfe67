//! A small pool of threads that run syncs, so that files are synced side by side and no worker
//! that serves sockets waits for a disk.
//!
//! A job is an `Arc` that its owner queues again and again: nothing is allocated for a sync.
//! Whoever submits makes sure that one job is not queued twice at once, if that matters to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Work for a [`SyncPool`].
pub trait SyncJob: Send + Sync + 'static {
    /// Does the work; runs on a thread of the pool and may block.
    fn run(&self);
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Arc<dyn SyncJob>>,
    idle: usize,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// The pool. A clone shares the threads; [`SyncPool::stop`] ends them.
#[derive(Clone)]
pub struct SyncPool {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl SyncPool {
    /// Starts `threads` threads named `name`.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(name: &str, threads: usize) -> std::io::Result<SyncPool> {
        let shared = Arc::<Shared>::default();
        let mut handles = Vec::with_capacity(threads);
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(name.to_owned());
            handles.push(thread.stack_size(256 * 1024).spawn(move || work(&shared))?);
        }
        Ok(SyncPool {
            shared,
            threads: Arc::new(Mutex::new(handles)),
        })
    }

    /// Queues a job. After [`SyncPool::stop`] it runs here and now, so that no sync is forgotten.
    pub fn submit(&self, job: Arc<dyn SyncJob>) {
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            drop(queue);
            job.run();
            return;
        }
        queue.jobs.push_back(job);
        let wake = queue.idle > 0;
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// Jobs that wait for a thread.
    pub fn queued(&self) -> usize {
        self.shared.queue.lock().jobs.len()
    }

    /// Runs what is queued to its end, and ends the threads.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A job that panicked has said so; the others have run.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    loop {
        let job = {
            let mut queue = shared.queue.lock();
            loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if queue.stopping {
                    return;
                }
                queue.idle += 1;
                shared.wake.wait(&mut queue);
                queue.idle -= 1;
            }
        };
        job.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_job_runs_also_those_queued_at_the_stop() {
        struct Count(AtomicUsize);
        impl SyncJob for Count {
            fn run(&self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let pool = SyncPool::start("sync", 2).expect("threads");
        let job = Arc::new(Count(AtomicUsize::new(0)));
        for _ in 0..1000 {
            pool.submit(Arc::clone(&job) as Arc<dyn SyncJob>);
        }
        pool.stop();
        pool.submit(Arc::clone(&job) as Arc<dyn SyncJob>);
        assert_eq!(job.0.load(Ordering::SeqCst), 1001);
    }
}
