//! The tasks that keep a consumer supplied: one fetches from each leader, one keeps metadata
//! current, looks up where to start, and starts the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::api::fetch::{FetchPartition, FetchTopic, PartitionData};
use protocol::api::{FetchRequest, FetchResponse};
use protocol::{ErrorCode, Records};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::positions::{Plan, Positions};
use super::{ConsumeError, ConsumerConfig, Reset};
use crate::client::Lane;
use crate::coordinator::by_topic;
use crate::offsets::{self, OffsetSpec};
use crate::{Client, ClientError, TopicPartition};

/// How often the tasks look without being woken.
const TICK: Duration = Duration::from_millis(100);
/// How long a broker may hold a fetch that leaves partitions out; see [`Plan::withheld`].
const SHORT_WAIT: Duration = Duration::from_millis(10);

/// What a consumer and its tasks share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) config: ConsumerConfig,
    pub(super) positions: Mutex<Positions>,
    /// Told when there may be something to poll.
    pub(super) data: Notify,
    /// Told when there may be something to fetch or to look up.
    director: Notify,
    fetchers: Mutex<HashMap<i32, Arc<Notify>>>,
}

impl Shared {
    pub(super) fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            client,
            config,
            positions: Mutex::default(),
            data: Notify::new(),
            director: Notify::new(),
            fetchers: Mutex::default(),
        }
    }

    /// Where partitions without an offset start.
    pub(super) fn reset(&self) -> Option<OffsetSpec> {
        match self.config.reset {
            Reset::Earliest => Some(OffsetSpec::Earliest),
            Reset::Latest => Some(OffsetSpec::Latest),
            Reset::None => None,
        }
    }

    /// The partitions, or what is to be read of them, changed.
    pub(super) fn wake(&self) {
        self.director.notify_one();
        self.wake_fetchers();
    }

    /// There is room for more.
    pub(super) fn wake_fetchers(&self) {
        for fetcher in self.fetchers.lock().values() {
            fetcher.notify_one();
        }
    }

    fn report(&self, error: impl Into<ConsumeError>) {
        self.positions.lock().report(error.into());
        self.data.notify_one();
    }
}

/// Runs until it is aborted, and with it all that it started.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut failures = 0;
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            () = shared.director.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        if Instant::now() < not_before || shared.positions.lock().is_empty() {
            continue;
        }
        let missing = {
            let cluster = shared.client.cluster();
            shared.positions.lock().misses_leaders(&cluster)
        };
        let mut ran = Ok(());
        if missing || shared.client.is_stale() {
            ran = shared.client.refresh().await;
        }
        if ran.is_ok() {
            ran = look_up(&shared).await;
        }
        match ran {
            Ok(()) if missing => failures += 1,
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::debug!(%error, "the consumer waits for the cluster");
            }
        }
        if failures > 0 {
            not_before = Instant::now() + shared.client.backoff(failures);
        }
        start(&shared, &mut tasks);
        shared.wake_fetchers();
    }
}

fn start(shared: &Arc<Shared>, tasks: &mut JoinSet<()>) {
    let leaders = {
        let cluster = shared.client.cluster();
        shared.positions.lock().leaders(&cluster)
    };
    let mut fetchers = shared.fetchers.lock();
    for leader in leaders {
        fetchers.entry(leader).or_insert_with(|| {
            let wake = Arc::new(Notify::new());
            tasks.spawn(fetch_from(Arc::clone(shared), leader, Arc::clone(&wake)));
            wake
        });
    }
}

/// Finds out where partitions start that do not know.
async fn look_up(shared: &Shared) -> Result<(), ClientError> {
    let unresolved = shared.positions.lock().unresolved(Instant::now());
    if unresolved.is_empty() {
        return Ok(());
    }
    let wanted: BTreeMap<TopicPartition, OffsetSpec> = unresolved
        .iter()
        .map(|(partition, _, spec)| (partition.clone(), *spec))
        .collect();
    let mut found = BTreeMap::new();
    let result = offsets::attempt(&shared.client, &wanted, &mut found).await;
    {
        let mut positions = shared.positions.lock();
        for (partition, epoch, _) in &unresolved {
            if let Some(Some(at)) = found.get(partition) {
                positions.resolve(partition, *epoch, at.offset);
            }
        }
    }
    match result {
        Err(error) if !error.retriable() => {
            shared.report(error.clone());
            Err(error)
        }
        Err(error) => {
            // A leader that moved is found in newer metadata.
            shared.client.refresh().await?;
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

async fn fetch_from(shared: Arc<Shared>, broker: i32, wake: Arc<Notify>) {
    let mut failures = 0;
    let mut wait = ShortWait::default();
    loop {
        let plan = {
            let cluster = shared.client.cluster();
            let config = &shared.config;
            shared.positions.lock().plan(
                Instant::now(),
                &cluster,
                broker,
                config.partition_max_bytes.max(1) as usize,
                config.prefetch_bytes,
            )
        };
        if plan.wanted.is_empty() {
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            continue;
        }
        let max_wait = wait.of(&plan).min(shared.config.fetch_max_wait);
        match fetch(&shared, broker, &plan, max_wait).await {
            Ok(response) => {
                failures = 0;
                if accept(&shared, &plan, response) {
                    refresh(&shared).await;
                }
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(broker, %error, "a fetch failed");
                let until = Instant::now() + shared.client.backoff(failures);
                {
                    let mut positions = shared.positions.lock();
                    for wanted in &plan.wanted {
                        positions.failed(wanted, |_| until);
                    }
                }
                if error.retriable() {
                    refresh(&shared).await;
                } else {
                    shared.report(error);
                }
            }
        }
    }
}

/// How long the broker may hold the next fetch. While partitions are left out it is short, as
/// they may have room again at any time; but while nobody polls, they have not.
#[derive(Default)]
struct ShortWait {
    takes: u64,
    rounds: u32,
}

impl ShortWait {
    fn of(&mut self, plan: &Plan) -> Duration {
        if !plan.withheld {
            return Duration::MAX;
        }
        self.rounds = if plan.takes == self.takes {
            self.rounds + 1
        } else {
            0
        };
        self.takes = plan.takes;
        SHORT_WAIT.saturating_mul(1 << self.rounds.min(16))
    }
}

async fn refresh(shared: &Shared) {
    if let Err(error) = shared.client.refresh().await {
        tracing::debug!(%error, "metadata could not be fetched");
    }
    shared.director.notify_one();
}

async fn fetch(
    shared: &Shared,
    broker: i32,
    plan: &Plan,
    max_wait: Duration,
) -> Result<FetchResponse, ClientError> {
    let config = &shared.config;
    let wanted = plan.wanted.iter().map(|wanted| (&wanted.partition, wanted));
    let request = FetchRequest {
        max_wait_ms: max_wait.as_millis() as i32,
        min_bytes: config.fetch_min_bytes,
        max_bytes: config.fetch_max_bytes,
        topics: by_topic(wanted)
            .into_iter()
            .map(|(topic, partitions)| FetchTopic {
                topic: topic.as_ref().into(),
                partitions: partitions
                    .into_iter()
                    .map(|(partition, wanted)| FetchPartition {
                        partition,
                        current_leader_epoch: wanted.leader_epoch,
                        fetch_offset: wanted.offset,
                        partition_max_bytes: config.partition_max_bytes,
                        ..FetchPartition::default()
                    })
                    .collect(),
                ..FetchTopic::default()
            })
            .collect(),
        ..FetchRequest::default()
    };
    let connection = shared.client.connection(broker, Lane::Fetch)?;
    let timeout = config.client.connection.request_timeout + max_wait;
    let answer = connection.submit_with(&request, timeout).await?;
    let response = answer.await?;
    ClientError::check(
        format!("fetch from broker {broker}"),
        response.error_code,
        None,
    )?;
    Ok(response)
}

/// Takes an answer in; whether newer metadata is needed.
fn accept(shared: &Shared, plan: &Plan, response: FetchResponse) -> bool {
    let mut answers: HashMap<(String, i32), PartitionData> = HashMap::new();
    for topic in response.responses {
        for data in topic.partitions {
            answers.insert((topic.topic.to_string(), data.partition_index), data);
        }
    }
    let mut stale = false;
    let mut positions = shared.positions.lock();
    for wanted in &plan.wanted {
        let key = (
            wanted.partition.topic.to_string(),
            wanted.partition.partition,
        );
        let later = |failures| Instant::now() + shared.client.backoff(failures);
        let Some(data) = answers.remove(&key) else {
            positions.failed(wanted, later);
            continue;
        };
        match ErrorCode::from(data.error_code) {
            ErrorCode::None => {
                let bytes = match data.records {
                    Some(Records::Bytes(bytes)) => bytes,
                    _ => Bytes::new(),
                };
                let check = shared.config.check_crcs;
                positions.heard(wanted, Instant::now());
                positions.arrived(wanted, bytes, data.high_watermark, check);
            }
            ErrorCode::OffsetOutOfRange => {
                tracing::info!(partition = %wanted.partition, offset = wanted.offset, "nothing at this offset");
                positions.out_of_range(wanted, shared.reset(), later(1));
                shared.director.notify_one();
            }
            code if code.retriable() => {
                positions.failed(wanted, later);
                stale = true;
            }
            code => {
                positions.failed(wanted, |_| Instant::now() + Duration::from_secs(1));
                let error = ClientError::refused(wanted.partition.to_string(), code);
                positions.report(error.into());
            }
        }
    }
    drop(positions);
    shared.data.notify_one();
    stale
}
