//! A stage's loop against a node in this process: told to stop in the middle, and without its broker.

use std::path::Path;
use std::time::Duration;

use client::stage::{Outputs, StageConfig, StageReport, Step, StepError, run};
use client::{ConsumerRecord, Producer, ProducerConfig, ProducerRecord, TopicPartition};
use node::{Config, Node};
use tokio::sync::oneshot;

/// Nothing here takes long; this only keeps a fault from hanging the tests.
const DEADLINE: Duration = Duration::from_secs(30);

/// A node with ten records in the topic `t`.
async fn start(data: &Path) -> Node {
    let mut config = Config {
        listen: "127.0.0.1:0".to_owned(),
        http_listen: "127.0.0.1:0".to_owned(),
        data: data.to_owned(),
        ..Config::default()
    };
    config
        .set("kafka.group.initial.rebalance.delay.ms", "0")
        .unwrap();
    let node = Node::start(config).await.unwrap();
    let producer = Producer::new(ProducerConfig::new(node.address().to_string())).unwrap();
    for n in 0..10 {
        let record = ProducerRecord::new("t").value(n.to_string());
        producer.send(record).await.unwrap();
    }
    producer.close().await.unwrap();
    node
}

/// Tells of its first record, and of partitions that are not heard of.
#[derive(Default)]
struct Telling {
    first: Option<oneshot::Sender<()>>,
    unheard: Option<oneshot::Sender<Vec<TopicPartition>>>,
}

impl Step for Telling {
    async fn apply(&mut self, _: &ConsumerRecord, _: &mut Outputs) -> Result<(), StepError> {
        self.first.take().map(|first| first.send(()));
        Ok(())
    }

    fn unheard(&mut self, partitions: &[TopicPartition]) {
        let partitions = partitions.to_vec();
        self.unheard.take().map(|unheard| unheard.send(partitions));
    }
}

async fn stage(node: &Node, step: &mut Telling, stop: oneshot::Receiver<()>) -> StageReport {
    let mut config = StageConfig::new(node.address().to_string(), "g", "t");
    config.until_end = true;
    let shutdown = async {
        stop.await.ok();
    };
    let ran = tokio::time::timeout(DEADLINE, run(config, step, shutdown));
    ran.await.expect("it ends").expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_heard_between_two_records_of_one_poll_and_the_rest_is_read_later() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let (first, stop) = oneshot::channel();
    let mut step = Telling {
        first: Some(first),
        ..Telling::default()
    };
    assert_eq!(stage(&node, &mut step, stop).await.consumed, 1);
    let (_stop, never) = oneshot::channel();
    let rest = stage(&node, &mut Telling::default(), never).await;
    assert_eq!(rest.consumed, 9);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_told_of_partitions_whose_broker_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let (first, read) = oneshot::channel();
    let (unheard, told) = oneshot::channel();
    let mut step = Telling {
        first: Some(first),
        unheard: Some(unheard),
    };
    let mut config = StageConfig::new(node.address().to_string(), "g", "t");
    // A commit under way would wait for the broker, and the loop for the commit.
    config.commit_interval = Duration::from_secs(3600);
    let outage = async {
        read.await.expect("a record");
        node.stop().await;
        told.await.expect("the step is told")
    };
    let unheard = tokio::select! {
        ended = run(config, &mut step, std::future::pending()) => panic!("it ended: {ended:?}"),
        unheard = tokio::time::timeout(DEADLINE, outage) => unheard.expect("in time"),
    };
    assert_eq!(unheard, [TopicPartition::new("t", 0)]);
}
