//! A small pool of threads that run syncs, so that files are synced side by side and no worker
//! that serves sockets waits for a disk.
//!
//! A job is an `Arc` that its owner queues again and again: nothing is allocated for a sync.
//! Whoever submits makes sure that one job is not queued twice at once, if that matters to it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Work for a [`SyncPool`].
pub trait SyncJob: Send + Sync + 'static {
    /// Does the work; runs on a thread of the pool and may block. True to be queued again, behind
    /// what waits by now.
    fn run(&self) -> bool;
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Arc<dyn SyncJob>>,
    idle: usize,
    stopping: bool,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    name: String,
    threads_max: usize,
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// The pool. A clone shares the threads; [`SyncPool::stop`] ends them.
#[derive(Clone)]
pub struct SyncPool {
    shared: Arc<Shared>,
}

impl SyncPool {
    /// Starts a pool of one thread named `name`. More come as jobs queue up, to at most
    /// `threads_max`, and stay.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, threads_max: usize) -> io::Result<SyncPool> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            threads_max,
            queue: Mutex::default(),
            wake: Condvar::new(),
        });
        Shared::add_thread(&shared, &mut shared.queue.lock())?;
        Ok(SyncPool { shared })
    }

    /// Queues a job. After [`SyncPool::stop`] it runs here and now, so that no sync is forgotten.
    pub fn submit(&self, job: Arc<dyn SyncJob>) {
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            drop(queue);
            while job.run() {}
            return;
        }
        queue.jobs.push_back(job);
        let wake = queue.idle > 0;
        if queue.jobs.len() > queue.idle && queue.threads.len() < self.shared.threads_max {
            // Without another thread, the job waits for one of those there are.
            let _ = Shared::add_thread(&self.shared, &mut queue);
        }
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
        let threads = {
            let mut queue = self.shared.queue.lock();
            queue.stopping = true;
            std::mem::take(&mut queue.threads)
        };
        self.shared.wake.notify_all();
        for thread in threads {
            // A job that panicked has said so; the others have run.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn add_thread(this: &Arc<Self>, queue: &mut Queue) -> io::Result<()> {
        let shared = Arc::clone(this);
        let thread = std::thread::Builder::new().name(this.name.clone());
        let handle = thread.stack_size(256 * 1024).spawn(move || work(&shared))?;
        queue.threads.push(handle);
        Ok(())
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
        if job.run() {
            // This thread is free for it: none is woken.
            shared.queue.lock().jobs.push_back(job);
        }
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
            fn run(&self) -> bool {
                self.0.fetch_add(1, Ordering::SeqCst) % 10 == 3
            }
        }
        let pool = SyncPool::start("sync", 2).expect("threads");
        let job = Arc::new(Count(AtomicUsize::new(0)));
        for _ in 0..1000 {
            pool.submit(Arc::clone(&job) as Arc<dyn SyncJob>);
        }
        pool.stop();
        pool.submit(Arc::clone(&job) as Arc<dyn SyncJob>);
        // A tenth of the runs asks for another.
        assert_eq!(job.0.load(Ordering::SeqCst), 1112);
    }
}
