//! How a consumed record is printed: a format string, or a line of JSON. Pure.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{ConsumerRecord, Header};
use serde_json::{Map, Value, json};

/// What may stand in a format string, for the help text.
pub const HELP: &str = "\
%t topic  %p partition  %o offset  %k key  %v (or %s) value  %T timestamp in ms
%h headers as name=value,…  %K key's length  %S value's length  (-1 for none)  %% a %
\\n newline  \\t tab  \\r  \\0  \\\\  \\xNN a byte";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Timestamp,
    Headers,
    KeyLen,
    ValueLen,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Field(Field),
}

/// A format string, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFormat(String);

impl fmt::Display for BadFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} means nothing; there are:\n{HELP}", self.0)
    }
}

impl std::error::Error for BadFormat {}

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        let mut pieces = Vec::new();
        let mut bytes = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let field = match chars.next() {
                        Some('%') => {
                            bytes.push(b'%');
                            continue;
                        }
                        Some('t') => Field::Topic,
                        Some('p') => Field::Partition,
                        Some('o') => Field::Offset,
                        Some('k') => Field::Key,
                        Some('v' | 's') => Field::Value,
                        Some('T') => Field::Timestamp,
                        Some('h') => Field::Headers,
                        Some('K') => Field::KeyLen,
                        Some('S') => Field::ValueLen,
                        other => return Err(BadFormat(format!("%{}", other.unwrap_or(' ')))),
                    };
                    if !bytes.is_empty() {
                        pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
                    }
                    pieces.push(Piece::Field(field));
                }
                '\\' => bytes.push(escape(&mut chars)?),
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !bytes.is_empty() {
            pieces.push(Piece::Bytes(bytes));
        }
        Ok(Self(pieces))
    }
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, BadFormat> {
    Ok(match chars.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let hex: String = chars.take(2).collect();
            let byte = u8::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 2);
            byte.ok_or_else(|| BadFormat(format!("\\x{hex}")))?
        }
        other => return Err(BadFormat(format!("\\{}", other.unwrap_or(' ')))),
    })
}

impl Format {
    /// Appends the record to `out`.
    pub fn write(&self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Field(field) => write_field(*field, record, out),
            }
        }
    }
}

fn write_field(field: Field, record: &ConsumerRecord, out: &mut Vec<u8>) {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(-1, |b| b.len() as i64);
    let number = match field {
        Field::Topic => return out.extend_from_slice(record.topic.as_bytes()),
        Field::Key => return out.extend_from_slice(record.key.as_deref().unwrap_or_default()),
        Field::Value => return out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
        Field::Headers => return write_headers(&record.headers, out),
        Field::Partition => i64::from(record.partition),
        Field::Offset => record.offset,
        Field::Timestamp => record.timestamp,
        Field::KeyLen => len(&record.key),
        Field::ValueLen => len(&record.value),
    };
    out.extend_from_slice(number.to_string().as_bytes());
}

fn write_headers(headers: &[Header], out: &mut Vec<u8>) {
    for (i, header) in headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(header.value.as_deref().unwrap_or(b"NULL"));
    }
}

/// The record as JSON, which `milena produce --input json` reads back. Bytes that are not UTF-8 stand in
/// base64 under `key_base64` and `value_base64`.
pub fn to_json(record: &ConsumerRecord) -> Value {
    let mut map = Map::new();
    map.insert("topic".to_owned(), json!(&*record.topic));
    map.insert("partition".to_owned(), json!(record.partition));
    map.insert("offset".to_owned(), json!(record.offset));
    map.insert("timestamp".to_owned(), json!(record.timestamp));
    put(&mut map, "key", record.key.as_deref());
    put(&mut map, "value", record.value.as_deref());
    if !record.headers.is_empty() {
        let header = |h: &Header| {
            let mut map = Map::new();
            map.insert("key".to_owned(), json!(h.key));
            put(&mut map, "value", h.value.as_deref());
            Value::Object(map)
        };
        map.insert(
            "headers".to_owned(),
            record.headers.iter().map(header).collect(),
        );
    }
    Value::Object(map)
}

fn put(map: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|b| (b, std::str::from_utf8(b))) {
        None => map.insert(name.to_owned(), Value::Null),
        Some((_, Ok(text))) => map.insert(name.to_owned(), json!(text)),
        Some((bytes, Err(_))) => {
            map.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes)))
        }
    };
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use client::TimestampType;

    use super::*;

    fn record() -> ConsumerRecord {
        ConsumerRecord {
            topic: "t".into(),
            partition: 3,
            offset: 17,
            timestamp: 1_700_000_000_000,
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from("k")),
            value: Some(Bytes::from("väl")),
            headers: vec![
                Header::new("a", "1"),
                Header {
                    key: "b".to_owned(),
                    value: None,
                },
            ],
        }
    }

    fn check(format: &str, expected: &str) {
        let mut out = Vec::new();
        format.parse::<Format>().unwrap().write(&record(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn fields_and_escapes() {
        check("%t %p %o %T", "t 3 17 1700000000000");
        check(r"%k\t%v|%s\n", "k\tväl|väl\n");
        check("[%h] %K %S", "[a=1,b=NULL] 1 4");
        check(r"100%%\\\x41ü", "100%\\Aü");
        for bad in ["%q", "%", r"\q", r"\x4", "\\"] {
            assert!(bad.parse::<Format>().is_err(), "{bad}");
        }
    }

    #[test]
    fn none_is_told_from_empty_by_its_length() {
        let mut record = record();
        (record.key, record.value) = (None, Some(Bytes::new()));
        let mut out = Vec::new();
        let format: Format = "%k,%v,%K,%S".parse().unwrap();
        format.write(&record, &mut out);
        assert_eq!(out, b",,-1,0");
    }

    #[test]
    fn json_keeps_every_byte() {
        let mut record = record();
        expect_test::expect![[r#"{"topic":"t","partition":3,"offset":17,"timestamp":1700000000000,"key":"k","value":"väl","headers":[{"key":"a","value":"1"},{"key":"b","value":null}]}"#]]
            .assert_eq(&to_json(&record).to_string());
        record.headers.clear();
        record.value = Some(Bytes::from_static(b"\xff\0"));
        record.key = None;
        expect_test::expect![[r#"{"topic":"t","partition":3,"offset":17,"timestamp":1700000000000,"key":null,"value_base64":"/wA="}"#]]
            .assert_eq(&to_json(&record).to_string());
    }
}
