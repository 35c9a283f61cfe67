//! jq expressions over records, by the jaq crates.
//!
//! An expression sees the value as `.`, and the rest of the record as `$key`, `$topic`, `$partition`,
//! `$offset`, `$timestamp` and `$headers`; data that the user names stands under its own name.

use bytes::Bytes;
use client::ConsumerRecord;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, data};
use jaq_json::{Num, Val};

/// More outputs than this from one record are a runaway expression.
const OUTPUTS: usize = 100_000;

const VARIABLES: [&str; 6] = [
    "$key",
    "$topic",
    "$partition",
    "$offset",
    "$timestamp",
    "$headers",
];

/// Why an expression or a value was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JqError {
    #[error("the jq expression {code:?} is wrong: {what}")]
    Compile { code: String, what: String },
    #[error("the value is not JSON ({0}); --input text takes it as a string")]
    NotJson(String),
    #[error("the value is not UTF-8, which --input text wants")]
    NotText,
    #[error("jq {code:?}: {what}")]
    Run { code: String, what: String },
}

/// How a record's value becomes a jq value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// The value is JSON; a null value (a tombstone) is `null`.
    #[default]
    Json,
    /// The value is text, and `.` a string.
    Text,
}

impl Input {
    /// Reads a value. JSON nested deeper than 128 is refused.
    pub fn read(self, value: Option<&[u8]>) -> Result<Val, JqError> {
        let Some(bytes) = value else {
            return Ok(Val::Null);
        };
        match self {
            Self::Json => {
                serde_json::from_slice(bytes).map_err(|error| JqError::NotJson(error.to_string()))
            }
            Self::Text => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Val::from(text.to_owned())),
                Err(_) => Err(JqError::NotText),
            },
        }
    }
}

/// What an expression can see of a record besides the value.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    pub key: Option<&'a [u8]>,
    pub record: &'a ConsumerRecord,
}

/// Values that all expressions of a stage see, by name.
#[derive(Debug, Clone, Default)]
pub struct Constants {
    /// With the `$` that jq wants.
    names: Vec<String>,
    values: Vec<Val>,
}

impl Constants {
    /// Adds JSON under `$name`.
    pub fn add(&mut self, name: &str, json: &[u8]) -> Result<(), JqError> {
        self.names.push(format!("${name}"));
        self.values.push(Input::Json.read(Some(json))?);
        Ok(())
    }
}

/// A compiled expression.
pub struct Expression {
    code: String,
    filter: Filter<data::JustLut<Val>>,
    constants: Vec<Val>,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.code)
    }
}

impl Expression {
    pub fn new(code: &str, constants: &Constants) -> Result<Self, JqError> {
        let wrong = |what: String| JqError::Compile {
            code: code.to_owned(),
            what,
        };
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code, path: () })
            .map_err(|errors| wrong(load_error(&errors)))?;
        let filter = Compiler::default()
            .with_funs(funs)
            .with_global_vars(
                VARIABLES
                    .into_iter()
                    .chain(constants.names.iter().map(String::as_str)),
            )
            .compile(modules)
            .map_err(|errors| {
                let undefined = errors.first().and_then(|(_, errors)| errors.first());
                wrong(undefined.map_or_else(String::new, |(name, kind)| {
                    format!("there is no {} {name}", kind.as_str())
                }))
            })?;
        Ok(Self {
            code: code.to_owned(),
            filter,
            constants: constants.values.clone(),
        })
    }

    /// All outputs for `value`.
    pub fn run(&self, value: Val, around: &Around<'_>) -> Result<Vec<Val>, JqError> {
        let wrong = |what: String| JqError::Run {
            code: self.code.clone(),
            what,
        };
        let ctx =
            Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new(self.variables(around)));
        let mut out = Vec::new();
        for result in self.filter.id.run((ctx, value)) {
            match result {
                Ok(value) if out.len() < OUTPUTS => out.push(value),
                Ok(_) => return Err(wrong(format!("more than {OUTPUTS} outputs"))),
                Err(exception) => {
                    return Err(wrong(match exception.get_err() {
                        Ok(error) => error.to_string(),
                        Err(_) => "halt is not for stages".to_owned(),
                    }));
                }
            }
        }
        Ok(out)
    }

    /// The first output; none if there is none.
    pub fn first(&self, value: Val, around: &Around<'_>) -> Result<Option<Val>, JqError> {
        Ok(self.run(value, around)?.into_iter().next())
    }

    fn variables(&self, around: &Around<'_>) -> Vec<Val> {
        let record = around.record;
        let headers = record
            .headers
            .iter()
            .map(|h| (Val::from(h.key.clone()), text(h.value.as_deref())))
            .collect();
        let mut all = vec![
            text(around.key),
            Val::from(record.topic.to_string()),
            integer(i64::from(record.partition)),
            integer(record.offset),
            integer(record.timestamp),
            Val::obj(headers),
        ];
        all.extend(self.constants.iter().cloned());
        all
    }
}

fn load_error(errors: &jaq_core::load::Errors<&str, ()>) -> String {
    use jaq_core::load::Error;
    let at = |rest: &str| {
        if rest.is_empty() {
            "at its end".to_owned()
        } else {
            format!("before {:?}", rest.chars().take(20).collect::<String>())
        }
    };
    match errors.first().map(|(_, error)| error) {
        Some(Error::Lex(errors)) => errors.first().map_or_else(String::new, |(want, rest)| {
            format!("{} expected {}", want.as_str(), at(rest))
        }),
        Some(Error::Parse(errors)) => errors.first().map_or_else(String::new, |(want, rest)| {
            format!("{} expected {}", want.as_str(), at(rest))
        }),
        Some(Error::Io(errors)) => errors
            .first()
            .map_or_else(String::new, |(_, what)| what.clone()),
        None => String::new(),
    }
}

fn integer(n: i64) -> Val {
    Val::Num(Num::from_integral(n))
}

fn text(bytes: Option<&[u8]>) -> Val {
    bytes.map_or(Val::Null, |b| {
        Val::from(String::from_utf8_lossy(b).into_owned())
    })
}

/// Whether jq takes `value` for true.
pub fn is_true(value: &Val) -> bool {
    !matches!(value, Val::Null | Val::Bool(false))
}

/// What a record gets as its value: JSON on one line, or, with `raw`, a string as it is.
pub fn to_value(value: &Val, raw: bool) -> Bytes {
    match value {
        Val::TStr(text) | Val::BStr(text) if raw => Bytes::copy_from_slice(text),
        _ => Bytes::from(value.to_string()),
    }
}

/// Whether `value` is null.
pub fn is_null(value: &Val) -> bool {
    matches!(value, Val::Null)
}

/// What a record gets as its key: strings as they are, everything else as JSON; none for null.
pub fn to_key(value: &Val) -> Option<Bytes> {
    (!matches!(value, Val::Null)).then(|| to_value(value, true))
}

/// A point in time: a number of milliseconds since 1970, or a date and time as in RFC 3339.
pub fn to_time_ms(value: &Val) -> Option<i64> {
    match value {
        Val::Num(n) => match n.as_isize() {
            Some(n) => Some(n as i64),
            None => value.to_string().parse::<f64>().ok().map(|f| f as i64),
        },
        Val::TStr(text) => {
            let text = std::str::from_utf8(text).ok()?;
            let time: jiff::Timestamp = text.parse().ok()?;
            Some(time.as_millisecond())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    fn run(code: &str, value: &str) -> Result<Vec<String>, JqError> {
        let record = record(b"k1", value.as_bytes());
        let around = Around {
            key: Some(b"k1"),
            record: &record,
        };
        let out = Expression::new(code, &Constants::default())?
            .run(Input::Json.read(Some(value.as_bytes()))?, &around)?;
        Ok(out.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn expressions_see_the_whole_record() {
        assert_eq!(run(".a", r#"{"a":1}"#).unwrap(), ["1"]);
        assert_eq!(run(".[] | select(. > 1)", "[1,2,3]").unwrap(), ["2", "3"]);
        assert_eq!(
            run(
                "[$key, $topic, $partition, $offset, $timestamp, $headers.h]",
                "1"
            )
            .unwrap(),
            [r#"["k1","t",0,7,1000,"v"]"#]
        );
        assert_eq!(run("empty", "1").unwrap(), Vec::<String>::new());
        assert_eq!(
            run(".", "18446744073709551615").unwrap(),
            ["18446744073709551615"]
        );
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let error = |code: &str, value: &str| run(code, value).unwrap_err().to_string();
        expect_test::expect![[r#"
            the jq expression ".a | (" is wrong: closing parenthesis expected at its end
            the jq expression "nosuch" is wrong: there is no filter nosuch
            the jq expression ". as" is wrong: pattern expected at its end
            the value is not JSON (expected value at line 1 column 1); --input text takes it as a string
            jq ".a": cannot index 1 with "a"
            jq "halt": halt is not for stages
        "#]]
        .assert_eq(
            &[
                error(".a | (", "1"),
                error("nosuch", "1"),
                error(". as", "1"),
                error(".", "plain"),
                error(".a", "1"),
                error("halt", "1"),
                String::new(),
            ]
            .join("\n"),
        );
    }

    #[test]
    fn constants_are_seen_by_their_names() {
        let mut constants = Constants::default();
        constants.add("users", br#"[{"name":"ada"}]"#).unwrap();
        let record = record(b"k", b"1");
        let around = Around {
            key: None,
            record: &record,
        };
        let code = "$users[0].name + ($key // \"-\")";
        let out = Expression::new(code, &constants)
            .unwrap()
            .first(Val::Null, &around);
        assert_eq!(to_value(&out.unwrap().unwrap(), true), "ada-");
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        let deep = "[".repeat(1_000_000);
        assert!(matches!(
            Input::Json.read(Some(deep.as_bytes())),
            Err(JqError::NotJson(_))
        ));
    }

    #[test]
    fn keys_values_and_times() {
        let val = |json: &str| Input::Json.read(Some(json.as_bytes())).unwrap();
        assert_eq!(to_key(&val(r#""a""#)).unwrap(), "a");
        assert_eq!(to_key(&val(r#"{"a":1}"#)).unwrap(), r#"{"a":1}"#);
        assert_eq!(to_key(&val("null")), None);
        assert_eq!(to_value(&val(r#""a""#), false), r#""a""#);
        assert_eq!(to_value(&val(r#""a""#), true), "a");
        assert_eq!(to_time_ms(&val("1500")), Some(1500));
        assert_eq!(to_time_ms(&val(r#""1970-01-01T00:00:01.5Z""#)), Some(1500));
        assert_eq!(to_time_ms(&val(r#""yesterday""#)), None);
        assert!(is_true(&val("0")) && !is_true(&val("null")) && !is_true(&val("false")));
    }
}
