//! The way to a cluster: a connection to each broker, the metadata, and where requests go.
//! [`crate::Producer`], [`crate::Consumer`] and [`crate::Admin`] each stand on one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use protocol::api::metadata::MetadataRequestTopic;
use protocol::api::{FindCoordinatorRequest, MetadataRequest, MetadataResponse};
use protocol::{ErrorCode, Request};
use tokio::time::Instant;

use crate::connection::{Connection, ConnectionError};
use crate::metadata::{Broker, Cluster, Topic};
use crate::random::Random;
use crate::{ClientConfig, ClientError};

/// A cluster, reached by any of its brokers. Clones share connections and metadata.
///
/// ```no_run
/// use client::{Client, ClientConfig};
///
/// # async fn example() -> Result<(), client::ClientError> {
/// let client = Client::new(ClientConfig::new("127.0.0.1:9092"))?;
/// let topic = client.topic("article").await?;
/// println!("{} partitions", topic.partitions.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    connections: Mutex<HashMap<(String, Lane), Connection>>,
    metadata: Mutex<Metadata>,
    /// Held while metadata is fetched, so that all who need it share one request.
    fetching: tokio::sync::Mutex<()>,
    random: Mutex<Random>,
}

struct Metadata {
    cluster: Arc<Cluster>,
    /// The topics that are in use here: what a refresh asks about.
    wanted: BTreeSet<Arc<str>>,
    /// Counts the times it was asked for, answered or not.
    asked: u64,
    /// What came of the last time.
    last: Result<(), ClientError>,
    fetched: Option<Instant>,
    /// What was wrong with wanted topics in the last answer that spoke of them.
    wrong: HashMap<Arc<str>, ErrorCode>,
}

/// How many partitions topics have.
pub(crate) type Counts = BTreeMap<Arc<str>, usize>;

/// Requests that may wait long at the broker go over a connection of their own, as answers
/// come in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Common,
    Fetch,
    Group,
}

impl Client {
    /// A client for the cluster; connects when first asked something.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.brokers.is_empty() {
            return Err(ClientError::NoAddress);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                connections: Mutex::new(HashMap::new()),
                metadata: Mutex::new(Metadata {
                    cluster: Arc::new(Cluster::default()),
                    wanted: BTreeSet::new(),
                    asked: 0,
                    last: Ok(()),
                    fetched: None,
                    wrong: HashMap::new(),
                }),
                fetching: tokio::sync::Mutex::new(()),
                random: Mutex::new(Random::new()),
            }),
        })
    }

    /// What it was made with.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The cluster as last heard of; empty before the first answer.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.inner.metadata.lock().cluster.clone()
    }

    /// Sends a request to any broker that answers: those known first, then those configured,
    /// each once.
    pub async fn send<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let mut tried = 0;
        let mut last = None;
        for address in self.addresses() {
            match self.send_address(address, request).await {
                Ok(response) => return Ok(response),
                Err(error) if error.retriable() => {
                    tried += 1;
                    last = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(match last {
            Some(last) if tried > 1 => ClientError::NoBroker { tried, last },
            Some(last) => last.into(),
            None => ClientError::NoAddress,
        })
    }

    /// Sends a request to one broker.
    pub async fn send_to<R: Request>(
        &self,
        broker: i32,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(broker, Lane::Common)?;
        Ok(connection.send(request).await?)
    }

    /// Sends a request to the controller, or to any broker while none is known.
    pub(crate) async fn send_to_controller<R: Request>(
        &self,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        if self.cluster().brokers.is_empty() {
            self.refresh().await?;
        }
        match self.cluster().controller {
            Some(controller) => self.send_to(controller, request).await,
            None => self.send(request).await,
        }
    }

    /// The connection to a broker of the cluster. One that the metadata does not list may be
    /// back in the next: that is an error which passes, as is a broker that does not answer.
    pub(crate) fn connection(&self, broker: i32, lane: Lane) -> Result<Connection, ClientError> {
        let cluster = self.cluster();
        let Some(known) = cluster.brokers.get(&broker) else {
            return Err(ConnectionError::unlisted(broker).into());
        };
        Ok(self.connection_at(known.address(), lane))
    }

    fn connection_at(&self, address: String, lane: Lane) -> Connection {
        let mut connections = self.inner.connections.lock();
        connections
            .entry((address, lane))
            .or_insert_with_key(|(address, _)| {
                Connection::new(address.as_str(), self.inner.config.connection.clone())
            })
            .clone()
    }

    async fn send_address<R: Request>(
        &self,
        address: String,
        request: &R,
    ) -> Result<R::Response, ConnectionError> {
        let connection = self.connection_at(address, Lane::Common);
        connection.send(request).await
    }

    fn addresses(&self) -> Vec<String> {
        let cluster = self.cluster();
        let mut addresses: Vec<String> = cluster.brokers.values().map(Broker::address).collect();
        if !addresses.is_empty() {
            // So that not all clients ask the first broker.
            let turn = self.inner.random.lock().next() as usize % addresses.len();
            addresses.rotate_left(turn);
        }
        for address in &self.inner.config.brokers {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// Asks for metadata of these topics (`None` for all), past the cache.
    pub(crate) async fn fetch_metadata(
        &self,
        topics: Option<Vec<Arc<str>>>,
        auto_create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        let request = MetadataRequest {
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|topic| MetadataRequestTopic {
                        name: Some(topic.as_ref().into()),
                        ..MetadataRequestTopic::default()
                    })
                    .collect()
            }),
            allow_auto_topic_creation: auto_create,
            ..MetadataRequest::default()
        };
        let response = self.send(&request).await?;
        ClientError::check("metadata", response.error_code, None)?;
        Ok(response)
    }

    /// How many partitions each topic has now; none where it is not there (yet).
    pub(crate) async fn count_partitions(
        &self,
        topics: &BTreeSet<Arc<str>>,
    ) -> Result<Counts, ClientError> {
        let asked = topics.iter().cloned().collect();
        let create = self.inner.config.auto_create_topics;
        let response = self.fetch_metadata(Some(asked), create).await?;
        let mut counts: Counts = topics.iter().map(|t| (t.clone(), 0)).collect();
        for topic in &response.topics {
            if let Some(name) = topic.name.as_deref()
                && let Some(count) = counts.get_mut(name)
            {
                *count = topic.partitions.len();
            }
        }
        Ok(counts)
    }

    /// Fetches metadata of all topics in use; creates none. Fails at once when no broker answers.
    pub async fn refresh(&self) -> Result<(), ClientError> {
        self.refresh_or_create(false).await
    }

    /// Who waits while another asks shares what comes of it, be it an error.
    async fn refresh_or_create(&self, create: bool) -> Result<(), ClientError> {
        let seen = self.inner.metadata.lock().asked;
        let _fetching = self.inner.fetching.lock().await;
        let wanted = {
            let metadata = self.inner.metadata.lock();
            if metadata.asked != seen {
                return metadata.last.clone();
            }
            metadata.wanted.iter().cloned().collect()
        };
        let fetched = self.fetch_metadata(Some(wanted), create).await;
        let mut metadata = self.inner.metadata.lock();
        metadata.asked += 1;
        metadata.last = fetched.map(|response| {
            let (cluster, wrong) = metadata.cluster.merge(&response);
            metadata.cluster = Arc::new(cluster);
            metadata.fetched = Some(Instant::now());
            metadata.wrong = wrong.into_iter().collect();
        });
        metadata.last.clone()
    }

    /// Whether metadata is older than it may be.
    pub(crate) fn is_stale(&self) -> bool {
        let metadata = self.inner.metadata.lock();
        metadata
            .fetched
            .is_none_or(|at| at.elapsed() >= self.inner.config.metadata_max_age)
    }

    /// A topic, from the cache if it is there, only.
    pub(crate) fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.inner.metadata.lock().cluster.topics.get(name).cloned()
    }

    /// From now on `name` is among the topics that a refresh asks about.
    pub(crate) fn want(&self, name: &str) {
        let mut metadata = self.inner.metadata.lock();
        if !metadata.wanted.contains(name) {
            metadata.wanted.insert(name.into());
        }
    }

    /// From now on only these topics are asked about.
    pub(crate) fn want_only(&self, names: &BTreeSet<Arc<str>>) {
        let mut metadata = self.inner.metadata.lock();
        metadata.wanted.clone_from(names);
    }

    /// A topic of the cluster. One that is not there yet, or is being created, is waited for
    /// as long as the configuration's `patience`.
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, ClientError> {
        // Also one that is known: its leaders are to be kept known.
        self.want(name);
        if let Some(topic) = self.known_topic(name)
            && !topic.partitions.is_empty()
        {
            return Ok(topic);
        }
        let mut patience = self.patience(name);
        loop {
            match patience.within(self.find_topic(name)).await {
                Ok(topic) => return Ok(topic),
                Err(error) => patience.after(error).await?,
            }
        }
    }

    async fn find_topic(&self, name: &str) -> Result<Arc<Topic>, ClientError> {
        // Only here: a refresh must not bring back a topic that somebody deleted.
        self.refresh_or_create(self.inner.config.auto_create_topics)
            .await?;
        let metadata = self.inner.metadata.lock();
        match metadata.cluster.topics.get(name) {
            Some(topic) if !topic.partitions.is_empty() => Ok(topic.clone()),
            _ => {
                let unknown = &ErrorCode::UnknownTopicOrPartition;
                let code = *metadata.wrong.get(name).unwrap_or(unknown);
                Err(ClientError::refused(format!("topic {name}"), code))
            }
        }
    }

    /// For a loop that tries until it succeeds, fails for good, or the configuration's
    /// `patience` ends.
    pub(crate) fn patience(&self, subject: impl Into<String>) -> Patience<'_> {
        Patience {
            client: self,
            subject: subject.into(),
            deadline: Instant::now() + self.inner.config.patience,
            failures: 0,
        }
    }

    /// The wait after `failures` failures in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let random = self.inner.random.lock().next();
        self.inner.config.retry.wait(failures, random)
    }

    /// The broker that coordinates a group, asked anew.
    pub(crate) async fn find_coordinator(&self, group: &str) -> Result<i32, ClientError> {
        let subject = || format!("group {group}");
        let request = FindCoordinatorRequest {
            key: group.into(),
            key_type: 0,
            ..FindCoordinatorRequest::default()
        };
        let response = self.send(&request).await?;
        ClientError::check(
            subject(),
            response.error_code,
            response.error_message.as_deref(),
        )?;
        if !self.cluster().brokers.contains_key(&response.node_id) {
            self.refresh().await?;
        }
        Ok(response.node_id)
    }
}

/// How much longer to try.
pub(crate) struct Patience<'a> {
    client: &'a Client,
    subject: String,
    deadline: Instant,
    failures: u32,
}

impl Patience<'_> {
    /// One try, which brokers that hang do not make longer than there is time.
    async fn within<T>(
        &self,
        attempt: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let tried = tokio::time::timeout_at(self.deadline, attempt).await;
        tried.unwrap_or_else(|_| {
            let late = ErrorCode::RequestTimedOut;
            Err(ClientError::refused(self.subject.clone(), late))
        })
    }

    /// Waits a little after an error that may pass; returns any other, and the last one.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.retriable() {
            return Err(error);
        }
        self.failures += 1;
        let wait = self.client.backoff(self.failures);
        if Instant::now() + wait >= self.deadline {
            return Err(ClientError::Deadline {
                subject: self.subject.clone(),
                after: self.client.config().patience,
                last: Box::new(error),
            });
        }
        tracing::debug!(subject = self.subject, %error, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
