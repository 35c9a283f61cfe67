//! The sink that is a Kafka cluster: each line a record, keyed by its file's path, so that a file's lines
//! stay in order in one partition.

use std::sync::Arc;
use std::time::Duration;

use client::{Delivery, Header, ProduceError, Producer, ProducerRecord};
use protocol::ErrorCode;

use super::sink::{Line, Refused, Sink};

/// How long it is quiet before the user is told that the brokers do not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait between tries while a topic or its brokers cannot be found.
const PAUSE: Duration = Duration::from_secs(1);

/// Ships to one topic.
#[derive(Clone)]
pub struct BrokerSink {
    producer: Producer,
    topic: Arc<str>,
    host: Arc<str>,
}

impl BrokerSink {
    /// `producer` must be idempotent and never give a record up: how long is waited is decided here.
    pub fn new(producer: Producer, topic: &str) -> Self {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Self {
            producer,
            topic: topic.into(),
            host: host.into(),
        }
    }

    fn record(&self, line: &Line) -> ProducerRecord {
        use std::os::unix::ffi::OsStrExt;
        let path = bytes::Bytes::copy_from_slice(line.path.as_os_str().as_bytes());
        let mut record = ProducerRecord::new(self.topic.clone())
            .key(path.clone())
            .value(line.value.clone())
            .header(Header::new("path", path))
            .header(Header::new("host", self.host.to_string()));
        if line.cut {
            record = record.header(Header::new("cut", "true"));
        }
        record
    }

    /// Hands a record to the producer, waiting for as long as the topic cannot be found.
    async fn submit(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let mut told = false;
        loop {
            match self.producer.send(record.clone()).await {
                Err(ProduceError::Topic(error)) if error.retriable() || is_late(&error) => {
                    if !told {
                        tracing::warn!("{error}; waiting");
                        told = true;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }
}

/// A deadline's cause may pass, too.
fn is_late(error: &client::ClientError) -> bool {
    matches!(error, client::ClientError::Deadline { .. })
}

/// Waits for a delivery, and says so when that takes long.
async fn delivered(delivery: Delivery, told: &mut bool) -> Result<(), ProduceError> {
    tokio::pin!(delivery);
    loop {
        match tokio::time::timeout(PATIENCE, &mut delivery).await {
            Ok(result) => return result.map(|_| ()),
            Err(_) if *told => {}
            Err(_) => {
                tracing::warn!("the brokers do not answer; waiting, the files wait too");
                *told = true;
            }
        }
    }
}

fn is_too_large(error: &ProduceError) -> bool {
    matches!(
        error,
        ProduceError::TooLarge { .. }
            | ProduceError::Refused {
                code: ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge,
                ..
            }
    )
}

fn tell_too_large(line: &Line, error: &ProduceError) {
    tracing::warn!(
        "{}: a line of {} bytes is not shipped: {error}; --line-limit cuts such lines",
        line.path.display(),
        line.value.len()
    );
}

impl Sink for BrokerSink {
    async fn send(&mut self, lines: Vec<Line>) -> Result<u64, Refused> {
        let mut too_large = 0;
        let refused = |error: ProduceError| Refused(format!("topic {}: {error}", self.topic));
        let mut told = false;
        let mut under_way = Vec::with_capacity(lines.len());
        for line in &lines {
            under_way.push(match self.submit(self.record(line)).await {
                Ok(delivery) => Some(delivery),
                Err(error) if is_too_large(&error) => {
                    tell_too_large(line, &error);
                    too_large += 1;
                    None
                }
                Err(error) => return Err(refused(error)),
            });
        }
        for (line, delivery) in lines.iter().zip(under_way) {
            let result = match delivery {
                Some(delivery) => delivered(delivery, &mut told).await,
                None => Ok(()),
            };
            match result {
                Ok(()) => {}
                // The batch was too large for the topic; the line alone may not be.
                Err(error) if is_too_large(&error) => {
                    let again =
                        async { delivered(self.submit(self.record(line)).await?, &mut told).await };
                    match again.await {
                        Ok(()) => {}
                        Err(error) if is_too_large(&error) => {
                            tell_too_large(line, &error);
                            too_large += 1;
                        }
                        Err(error) => return Err(refused(error)),
                    }
                }
                Err(error) => return Err(refused(error)),
            }
        }
        if told {
            tracing::info!("the brokers answer again");
        }
        Ok(too_large)
    }
}
