//! The article example without a broker: its feeds through its chain, against the output that it promises.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use client::stage::{Outputs, Step};
use client::{ConsumerRecord, TimestampType};
use milena_cli::command::input::{Kind, Reading};
use milena_cli::stage::pipeline::{Pipeline, Recent};
use milena_cli::stage::plan::Chain;

#[allow(dead_code)] // its `main` is for the program
#[path = "../examples/feeds.rs"]
mod feeds;

struct Nothing;

impl Recent for Nothing {
    async fn recent(
        &mut self,
        _: usize,
        _: &mut (dyn FnMut(ConsumerRecord) + Send),
    ) -> Result<(), String> {
        Ok(())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/articles")
}

fn loaded() -> Vec<ConsumerRecord> {
    let reading = Reading {
        topic: "article".into(),
        kind: Kind::Json,
        separator: None,
        key: None,
        partition: None,
        headers: Vec::new(),
        tombstones: false,
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join("feeds"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let lines = files.iter().flat_map(|file| feeds::articles(file).unwrap());
    let records = lines.zip(0..).map(|(line, offset)| {
        let record = reading.record(line.to_string().as_bytes()).unwrap();
        consumed(
            &record.topic,
            offset,
            record.timestamp,
            record.key,
            record.value,
        )
    });
    records.collect()
}

fn consumed(
    topic: &str,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<Bytes>,
    value: Option<Bytes>,
) -> ConsumerRecord {
    ConsumerRecord {
        topic: topic.into(),
        partition: 0,
        offset,
        timestamp: timestamp.unwrap_or_default(),
        timestamp_type: TimestampType::CreateTime,
        key,
        value,
        headers: Vec::new(),
    }
}

/// What `examples/articles/run` prints: user and article, in order of users.
fn lines(records: &[ConsumerRecord]) -> String {
    let text = |bytes: &Option<Bytes>| String::from_utf8(bytes.clone().unwrap().to_vec()).unwrap();
    let line = |r: &ConsumerRecord| format!("{}\t{}\n", text(&r.key), text(&r.value));
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

#[tokio::test]
async fn the_chain_gives_what_the_example_promises() {
    let mut records = loaded();
    assert_eq!(records.len(), 8);
    for plan in Chain::read(&folder().join("chain.toml")).unwrap().stage {
        let mut step = Pipeline::new(plan.parts(true).unwrap(), Nothing);
        let mut out = Outputs::new();
        for record in &records {
            step.apply(record, &mut out).await.unwrap();
        }
        let outputs = out.take().into_iter().zip(0..);
        records = outputs
            .map(|(o, offset)| consumed(&plan.to, offset, o.timestamp, o.key, o.value))
            .collect();
    }
    expect_test::expect_file!["../../examples/articles/expected.txt"].assert_eq(&lines(&records));
}
