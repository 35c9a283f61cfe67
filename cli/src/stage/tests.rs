//! Pipelines as a whole, without a broker.

use bytes::Bytes;
use client::stage::{Outputs, Step, StepError};
use client::{ConsumerRecord, Header, TimestampType, TopicPartition};

use super::dedupe::Seen;
use super::exec::Exec;
use super::jq::{Constants, Expression, Input};
use super::pipeline::{Dedupe, Parts, Pipeline, Recent};
use super::window::Shape;

/// What an earlier run has put out.
#[derive(Debug, Default, Clone)]
struct Earlier(Vec<ConsumerRecord>);

impl Recent for Earlier {
    async fn recent(
        &mut self,
        _: usize,
        each: &mut (dyn FnMut(ConsumerRecord) + Send),
    ) -> Result<(), String> {
        self.0.iter().cloned().for_each(each);
        Ok(())
    }
}

pub(super) fn record(key: &[u8], value: &[u8]) -> ConsumerRecord {
    ConsumerRecord {
        topic: "t".into(),
        partition: 0,
        offset: 7,
        timestamp: 1000,
        timestamp_type: TimestampType::CreateTime,
        key: Some(Bytes::copy_from_slice(key)),
        value: Some(Bytes::copy_from_slice(value)),
        headers: vec![Header::new("h", "v")],
    }
}

#[allow(clippy::unnecessary_wraps)] // the parts of a pipeline are options
fn jq(code: &str) -> Option<Expression> {
    Some(Expression::new(code, &Constants::default()).unwrap())
}

fn text(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(
        || "-".to_owned(),
        |b| String::from_utf8_lossy(b).into_owned(),
    )
}

async fn apply(
    pipeline: &mut Pipeline<Earlier>,
    record: &ConsumerRecord,
) -> Result<Vec<String>, StepError> {
    let mut out = Outputs::new();
    pipeline.apply(record, &mut out).await?;
    let line =
        |o: client::stage::Output| format!("{}={}", text(o.key.as_ref()), text(o.value.as_ref()));
    Ok(out.take().into_iter().map(line).collect())
}

fn pipeline(parts: Parts) -> Pipeline<Earlier> {
    Pipeline::new(parts, Earlier::default())
}

#[tokio::test]
async fn filter_map_and_key_in_this_order() {
    let mut p = pipeline(Parts {
        filter: jq(".n > 1"),
        map: jq(".items[] | {item: ., from: $key}"),
        key: jq(".item"),
        ..Parts::default()
    });
    let some = record(b"k", br#"{"n":2,"items":["a","b"]}"#);
    assert_eq!(
        apply(&mut p, &some).await.unwrap(),
        [
            r#"a={"item":"a","from":"k"}"#,
            r#"b={"item":"b","from":"k"}"#
        ]
    );
    let none = record(b"k", br#"{"n":1,"items":["a"]}"#);
    assert_eq!(apply(&mut p, &none).await.unwrap(), Vec::<String>::new());
    assert_eq!(
        (p.tally.records_in, p.tally.records_out, p.tally.filtered),
        (2, 2, 1)
    );
}

#[tokio::test]
async fn a_bad_value_is_an_error_of_that_record_alone() {
    let mut p = pipeline(Parts {
        map: jq(".a"),
        ..Parts::default()
    });
    let error = apply(&mut p, &record(b"k", b"not json")).await.unwrap_err();
    assert!(matches!(error, StepError::Record(_)), "{error}");
    assert_eq!(
        apply(&mut p, &record(b"k", br#"{"a":1}"#)).await.unwrap(),
        ["k=1"]
    );
}

#[tokio::test]
async fn without_expressions_bytes_pass_untouched() {
    let mut p = pipeline(Parts::default());
    let mut tombstone = record(b"\xff", b"");
    tombstone.value = None;
    let mut out = Outputs::new();
    p.apply(&tombstone, &mut out).await.unwrap();
    let out = out.take();
    assert_eq!(
        (out[0].key.clone(), out[0].value.clone()),
        (tombstone.key, None)
    );
    assert_eq!(out[0].headers, tombstone.headers);
}

#[tokio::test]
async fn text_passes_through_a_program() {
    let mut p = pipeline(Parts {
        input: Input::Text,
        raw: true,
        map: jq("ascii_upcase"),
        exec: Some(Exec::new(
            r#"while read -r l; do echo "$l!"; done"#,
            std::time::Duration::from_secs(20),
        )),
        ..Parts::default()
    });
    assert_eq!(
        apply(&mut p, &record(b"k", b"hello")).await.unwrap(),
        ["k=HELLO!"]
    );
}

fn dedupe(by: Option<&str>) -> Parts {
    Parts {
        dedupe: Some(Dedupe {
            by: by.and_then(jq),
            seen: Seen::new(100, None),
        }),
        ..Parts::default()
    }
}

#[tokio::test]
async fn duplicates_are_dropped_also_those_of_an_earlier_run() {
    let earlier = Earlier(vec![record(b"x", br#"{"id":1}"#)]);
    let mut p = Pipeline::new(dedupe(Some(".id")), earlier);
    let none = Vec::<String>::new();
    assert_eq!(
        apply(&mut p, &record(b"a", br#"{"id":1}"#)).await.unwrap(),
        none
    );
    assert_eq!(
        apply(&mut p, &record(b"a", br#"{"id":2}"#))
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        apply(&mut p, &record(b"b", br#"{"id":2}"#)).await.unwrap(),
        none
    );
    assert_eq!(p.tally.duplicates, 2);
    let mut by_key = pipeline(dedupe(None));
    assert_eq!(
        apply(&mut by_key, &record(b"a", b"1")).await.unwrap().len(),
        1
    );
    assert_eq!(apply(&mut by_key, &record(b"a", b"2")).await.unwrap(), none);
}

fn windowed() -> Parts {
    Parts {
        window: Some(Shape {
            size_ms: 60_000,
            grace_ms: 0,
            idle_ms: i64::MAX / 2,
            max_keys: 10,
        }),
        time: jq(".at"),
        late_to: Some("late".to_owned()),
        close_at_end: true,
        ..Parts::default()
    }
}

#[tokio::test]
async fn counts_come_when_windows_close_and_survive_a_crash() {
    let at = |key: &str, minute: i64| {
        let value = format!(r#"{{"at":"1970-01-01T00:{minute:02}:30Z"}}"#);
        record(key.as_bytes(), value.as_bytes())
    };
    let mut p = pipeline(windowed());
    for (key, minute) in [("a", 0), ("b", 0), ("a", 0)] {
        assert_eq!(
            apply(&mut p, &at(key, minute)).await.unwrap(),
            Vec::<String>::new()
        );
    }
    let tp = TopicPartition::new("t", 0);
    assert_eq!(p.holds(&tp), Some(7));
    let counts = apply(&mut p, &at("a", 1)).await.unwrap();
    expect_test::expect![[r#"
        [
            "a={\"key\":\"a\",\"count\":2,\"window_start\":\"1970-01-01T00:00:00Z\",\"window_end\":\"1970-01-01T00:01:00Z\",\"window_start_ms\":0}",
            "b={\"key\":\"b\",\"count\":1,\"window_start\":\"1970-01-01T00:00:00Z\",\"window_end\":\"1970-01-01T00:01:00Z\",\"window_start_ms\":0}",
        ]
    "#]]
    .assert_debug_eq(&counts);
    // Late records go where they were told to, as they came.
    let mut out = Outputs::new();
    p.apply(&at("a", 0), &mut out).await.unwrap();
    assert_eq!(out.take()[0].topic.as_deref(), Some("late"));
    assert_eq!(p.tally.late, 1);

    // A crash before the commit: all comes again, but only what was not put out is put out.
    let (key, value) = counts[0].split_once('=').unwrap();
    let earlier = Earlier(vec![record(key.as_bytes(), value.as_bytes())]);
    let mut again = Pipeline::new(windowed(), earlier);
    for (key, minute) in [("a", 0), ("b", 0), ("a", 0)] {
        apply(&mut again, &at(key, minute)).await.unwrap();
    }
    let counts = apply(&mut again, &at("a", 1)).await.unwrap();
    assert_eq!(counts.len(), 1);
    assert!(counts[0].starts_with("b="));
    let mut out = Outputs::new();
    again.finish(&mut out).await.unwrap();
    assert_eq!(out.take().len(), 1);
    assert_eq!(again.holds(&tp), None);
}

#[tokio::test]
async fn a_tombstone_that_stays_null_is_one_still() {
    let mut p = pipeline(Parts {
        map: jq("."),
        ..Parts::default()
    });
    let tombstone = ConsumerRecord {
        value: None,
        ..record(b"k", b"")
    };
    assert_eq!(apply(&mut p, &tombstone).await.unwrap(), ["k=-"]);
    assert_eq!(
        apply(&mut p, &record(b"k", b"null")).await.unwrap(),
        ["k=null"]
    );
}
