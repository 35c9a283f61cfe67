//! How lines become records for `milena produce`. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use client::{Header, ProducerRecord};
use serde_json::{Map, Value};

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kind {
    /// The value, or key and value with a separator between.
    #[default]
    Lines,
    /// A record in JSON, as `milena consume --output json` prints it.
    Json,
}

/// How to read lines, and what every record gets.
#[derive(Debug, Clone)]
pub struct Reading {
    pub topic: std::sync::Arc<str>,
    pub kind: Kind,
    pub separator: Option<String>,
    pub key: Option<String>,
    pub partition: Option<i32>,
    pub headers: Vec<Header>,
    /// An empty value is a tombstone.
    pub tombstones: bool,
}

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine(String);

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadLine {}

fn bad(what: impl Into<String>) -> BadLine {
    BadLine(what.into())
}

impl Reading {
    /// The record that `line` stands for.
    pub fn record(&self, line: &[u8]) -> Result<ProducerRecord, BadLine> {
        let mut record = match self.kind {
            Kind::Lines => self.line_record(line)?,
            Kind::Json => self.json_record(line)?,
        };
        if let Some(key) = &self.key {
            record.key = Some(Bytes::from(key.clone()));
        }
        if self.partition.is_some() {
            record.partition = self.partition;
        }
        if self.tombstones && record.value.as_ref().is_some_and(Bytes::is_empty) {
            record.value = None;
        }
        record.headers.extend(self.headers.iter().cloned());
        Ok(record)
    }

    fn line_record(&self, line: &[u8]) -> Result<ProducerRecord, BadLine> {
        let mut record = ProducerRecord::new(self.topic.clone());
        let Some(separator) = &self.separator else {
            return Ok(record.value(Bytes::copy_from_slice(line)));
        };
        let separator = separator.as_bytes();
        let at = line.windows(separator.len()).position(|w| w == separator);
        let at = at.ok_or_else(|| {
            bad(format!(
                "no key separator {:?} in it",
                String::from_utf8_lossy(separator)
            ))
        })?;
        record.key = Some(Bytes::copy_from_slice(&line[..at]));
        Ok(record.value(Bytes::copy_from_slice(&line[at + separator.len()..])))
    }

    fn json_record(&self, line: &[u8]) -> Result<ProducerRecord, BadLine> {
        let value: Value =
            serde_json::from_slice(line).map_err(|e| bad(format!("not JSON: {e}")))?;
        let Value::Object(mut map) = value else {
            return Err(bad("not a JSON object"));
        };
        let mut record = ProducerRecord::new(self.topic.clone());
        record.key = take(&mut map, "key")?;
        record.value = take(&mut map, "value")?;
        record.timestamp = match map.get("timestamp") {
            None | Some(Value::Null) => None,
            Some(v) => Some(
                v.as_i64()
                    .ok_or_else(|| bad("its timestamp is no number of ms"))?,
            ),
        };
        match map.remove("headers") {
            None | Some(Value::Null) => {}
            Some(Value::Array(headers)) => {
                for header in headers {
                    record.headers.push(to_header(header)?);
                }
            }
            Some(Value::Object(headers)) => {
                for (key, value) in headers {
                    record.headers.push(Header {
                        key,
                        value: to_bytes(value),
                    });
                }
            }
            Some(_) => return Err(bad("its headers are neither an array nor an object")),
        }
        Ok(record)
    }
}

fn to_header(value: Value) -> Result<Header, BadLine> {
    let Value::Object(mut map) = value else {
        return Err(bad("a header is no object with key and value"));
    };
    match map.remove("key") {
        Some(Value::String(key)) => Ok(Header {
            key,
            value: take(&mut map, "value")?,
        }),
        _ => Err(bad("a header has no key")),
    }
}

fn take(map: &mut Map<String, Value>, name: &str) -> Result<Option<Bytes>, BadLine> {
    let encoded = format!("{name}_base64");
    match map.remove(&encoded) {
        Some(Value::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(bad(format!("its {encoded} is no base64: {error}"))),
        },
        Some(_) => Err(bad(format!("its {encoded} is no string"))),
        None => Ok(map.remove(name).and_then(to_bytes)),
    }
}

/// A string is what it says; null is none; everything else is its JSON.
fn to_bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

/// For clap: `NAME=VALUE`.
pub fn header(text: &str) -> Result<Header, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok(Header::new(key, value.to_owned())),
        _ => Err("a header is written NAME=VALUE".to_owned()),
    }
}

/// For clap: a separator, in which `\t` is a tab.
pub fn separator(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a separator has at least one character".to_owned()),
        _ => Ok(text.replace("\\t", "\t")),
    }
}

#[cfg(test)]
mod tests {
    use client::{ConsumerRecord, TimestampType};
    use proptest::prelude::*;

    use super::super::format::to_json;
    use super::*;

    fn reading(kind: Kind) -> Reading {
        Reading {
            topic: "t".into(),
            kind,
            separator: None,
            key: None,
            partition: None,
            headers: Vec::new(),
            tombstones: false,
        }
    }

    #[test]
    fn lines_with_and_without_keys() {
        let plain = reading(Kind::Lines);
        let record = plain.record(b"a:b").unwrap();
        assert_eq!(
            (record.key, record.value.unwrap()),
            (None, Bytes::from("a:b"))
        );
        let keyed = Reading {
            separator: Some(":".to_owned()),
            tombstones: true,
            headers: vec![Header::new("h", "1")],
            ..reading(Kind::Lines)
        };
        let record = keyed.record(b"a:b:c").unwrap();
        assert_eq!(
            (record.key.unwrap(), record.value.unwrap()),
            ("a".into(), Bytes::from("b:c"))
        );
        assert_eq!(record.headers, [Header::new("h", "1")]);
        assert_eq!(keyed.record(b"a:").unwrap().value, None);
        assert_eq!(
            keyed.record(b"abc").unwrap_err().to_string(),
            r#"no key separator ":" in it"#
        );
    }

    #[test]
    fn json_of_many_kinds() {
        let json = reading(Kind::Json);
        let record = json
            .record(br#"{"key":{"a":1},"value":[1,"x"],"headers":{"h":"v"},"timestamp":5}"#)
            .unwrap();
        assert_eq!(record.key.unwrap(), r#"{"a":1}"#);
        assert_eq!(record.value.unwrap(), r#"[1,"x"]"#);
        assert_eq!(record.headers, [Header::new("h", "v")]);
        assert_eq!(record.timestamp, Some(5));
        assert_eq!(json.record(b"{}").unwrap().value, None);
        for text in [
            "x",
            "[]",
            r#"{"headers":1}"#,
            r#"{"value_base64":"?"}"#,
            r#"{"timestamp":"x"}"#,
        ] {
            assert!(json.record(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_consume_prints_produce_reads_back(
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            name in ".*",
            timestamp in 0i64..i64::MAX,
        ) {
            let record = ConsumerRecord {
                topic: "t".into(),
                partition: 0,
                offset: 0,
                timestamp,
                timestamp_type: TimestampType::CreateTime,
                key: key.map(Bytes::from),
                value: value.clone().map(Bytes::from),
                headers: vec![Header { key: name, value: value.map(Bytes::from) }],
            };
            let line = to_json(&record).to_string();
            let back = reading(Kind::Json).record(line.as_bytes()).unwrap();
            prop_assert_eq!(back.key, record.key);
            prop_assert_eq!(back.value, record.value);
            prop_assert_eq!(back.headers, record.headers);
            prop_assert_eq!(back.timestamp, Some(timestamp));
        }
    }
}
