//! What a configuration key is: its name, type, default, allowed values and the
//! sentence that describes it. The tables stand in `topic` and `broker`.

use thiserror::Error;

/// The type of a key's value, as DescribeConfigs reports it (KIP-569).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

impl Kind {
    /// Kafka's number for the type in DescribeConfigs.
    pub fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }
}

/// Which values a key takes, beyond its type.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    Fraction,
    OneOf(&'static [&'static str]),
    EachOf(&'static [&'static str]),
}

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub check: Check,
    pub doc: &'static str,
    /// The broker's key that gives a topic's key its default; none for broker keys.
    pub broker_key: Option<&'static str>,
}

/// A key or value that cannot be used, as a sentence for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("Unknown {scope} config name: {name}")]
    UnknownKey { scope: &'static str, name: String },
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    BadValue {
        name: String,
        value: String,
        reason: String,
    },
    #[error("{0}")]
    Combination(String),
}

/// A boolean as Kafka reads it, in any case.
pub(super) fn flag(value: &str) -> Option<bool> {
    let is = |word: &str| value.trim().eq_ignore_ascii_case(word);
    is("true").then_some(true).or(is("false").then_some(false))
}

impl Definition {
    /// Judges a value for this key.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        let bad = |reason: String| ConfigError::BadValue {
            name: self.name.to_owned(),
            value: value.to_owned(),
            reason,
        };
        match self.kind {
            Kind::Boolean => {
                if flag(value).is_none() {
                    return Err(bad("Expected value to be either true or false".into()));
                }
            }
            Kind::Int | Kind::Long => {
                let number: i64 = value
                    .trim()
                    .parse()
                    .map_err(|_| bad("Not a number".into()))?;
                if self.kind == Kind::Int && i32::try_from(number).is_err() {
                    return Err(bad("Not a number of type INT".into()));
                }
                match self.check {
                    Check::AtLeast(min) if number < min => {
                        return Err(bad(format!("Value must be at least {min}")));
                    }
                    Check::Between(min, max) if !(min..=max).contains(&number) => {
                        return Err(bad(format!("Value must be between {min} and {max}")));
                    }
                    _ => {}
                }
            }
            Kind::Double => {
                let number: f64 = value
                    .trim()
                    .parse()
                    .map_err(|_| bad("Not a number".into()))?;
                if matches!(self.check, Check::Fraction) && !(0.0..=1.0).contains(&number) {
                    return Err(bad("Value must be between 0 and 1".into()));
                }
            }
            Kind::String | Kind::List => {}
        }
        match self.check {
            Check::OneOf(allowed) if !allowed.contains(&value) => Err(bad(format!(
                "String must be one of: {}",
                allowed.join(", ")
            ))),
            Check::EachOf(allowed) => {
                let mut items = value.split(',').map(str::trim).filter(|i| !i.is_empty());
                match items.find(|item| !allowed.contains(item)) {
                    Some(_) => Err(bad(format!(
                        "String must be one of: {}",
                        allowed.join(", ")
                    ))),
                    None if value.trim().is_empty() => Err(bad("must not be empty".into())),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
