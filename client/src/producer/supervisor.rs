//! What all of a producer's partitions need: metadata, a producer id, a task for each broker,
//! and an end to waiting that took too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::api::InitProducerIdRequest;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::ProducerId;
use super::{Shared, sender};
use crate::ClientError;

/// How often it looks without being asked.
const TICK: Duration = Duration::from_millis(100);

/// Runs until the producer is closed and all is settled.
pub(super) async fn run(shared: Arc<Shared>) {
    // Looks in a row at which something was to be fetched, whether or not it could be: what just
    // failed for stale metadata would ask again at once, for ever.
    let mut rounds = 0;
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            () = shared.supervisor.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        expire(&shared);
        if shared.is_done() {
            break;
        }
        start_tasks(&shared);
        if Instant::now() < not_before {
            continue;
        }
        let errands = errands(&shared);
        tokio::pin!(errands);
        let ran = loop {
            tokio::select! {
                ran = &mut errands => break ran,
                // Brokers that hang must not keep records from expiring.
                () = tokio::time::sleep(TICK) => expire(&shared),
            }
        };
        if let Ok(false) = ran {
            rounds = 0;
            continue;
        }
        rounds += 1;
        not_before = Instant::now() + shared.client.backoff(rounds);
        match ran {
            Ok(_) => {
                start_tasks(&shared);
                for task in shared.tasks.lock().values() {
                    task.notify_one();
                }
            }
            Err(error) => {
                let known = shared.client.cluster().brokers.len();
                tracing::debug!(%error, known, "the producer waits for the cluster");
            }
        }
    }
    for (_, task) in shared.tasks.lock().drain() {
        task.notify_one();
    }
}

fn expire(shared: &Shared) {
    let expired = shared.accumulator.lock().expire(shared.now());
    shared.settle(expired);
}

/// Fetches what is missing; whether something was.
async fn errands(shared: &Shared) -> Result<bool, ClientError> {
    let mut ran = false;
    let wants = shared.accumulator.lock().take_wants_metadata();
    if wants || shared.client.is_stale() && !shared.client.cluster().topics.is_empty() {
        if let Err(error) = shared.client.refresh().await {
            shared.accumulator.lock().want_metadata();
            return Err(error);
        }
        let cluster = shared.client.cluster();
        shared.accumulator.lock().set_topics(&cluster.topics);
        ran = true;
    }
    let needs_identity = shared.accumulator.lock().needs_identity();
    if needs_identity {
        let identity = init_producer_id(shared).await?;
        shared.accumulator.lock().set_identity(identity);
        ran = true;
    }
    Ok(ran)
}

async fn init_producer_id(shared: &Shared) -> Result<ProducerId, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let response = shared.client.send(&request).await?;
    ClientError::check("a producer id", response.error_code, None)?;
    Ok(ProducerId {
        id: response.producer_id,
        epoch: response.producer_epoch,
    })
}

fn start_tasks(shared: &Arc<Shared>) {
    if shared.closing.load(Ordering::Acquire) && shared.is_done() {
        return;
    }
    let brokers = shared.accumulator.lock().brokers();
    let mut tasks = shared.tasks.lock();
    for broker in brokers {
        tasks.entry(broker).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            tokio::spawn(sender::run(Arc::clone(shared), broker, Arc::clone(&wake)));
            wake
        });
    }
}
