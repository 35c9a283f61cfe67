//! Why the cluster did not do what it was asked.

use std::time::Duration;

use protocol::ErrorCode;

use crate::connection::ConnectionError;

/// Why the cluster did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// A broker could not be reached, or did not answer.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// No broker address was given.
    #[error("no broker was named; give at least one as HOST:PORT")]
    NoAddress,
    /// None of several brokers answered.
    #[error("none of {tried} brokers answered; the last one said: {last}")]
    NoBroker {
        /// How many were tried.
        tried: usize,
        /// Why the last one did not.
        last: ConnectionError,
    },
    /// A broker answered with an error.
    #[error("{subject}: {}", told(*code, detail.as_deref()))]
    Refused {
        /// What it is about: a topic, a partition, a group.
        subject: String,
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        detail: Option<String>,
    },
    /// It may have succeeded later, but not within the time given.
    #[error("{subject}: not within {} ms: {last}", after.as_millis())]
    Deadline {
        /// What it is about.
        subject: String,
        /// How long was tried.
        after: Duration,
        /// What stood in the way at last.
        last: Box<ClientError>,
    },
    /// The answer does not hold what was asked for.
    #[error("{subject}: the broker's answer does not mention it")]
    Unanswered {
        /// What it is about.
        subject: String,
    },
    /// What was asked makes no sense, seen from here.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    pub(crate) fn refused(subject: impl Into<String>, code: ErrorCode) -> Self {
        Self::Refused {
            subject: subject.into(),
            code,
            detail: None,
        }
    }

    /// `Ok` for no error, else that error.
    pub(crate) fn check(
        subject: impl Into<String>,
        code: i16,
        detail: Option<&str>,
    ) -> Result<(), Self> {
        match ErrorCode::from(code) {
            ErrorCode::None => Ok(()),
            code => Err(Self::Refused {
                subject: subject.into(),
                code,
                detail: detail.map(str::to_owned),
            }),
        }
    }

    pub(crate) fn unanswered(subject: impl Into<String>) -> Self {
        Self::Unanswered {
            subject: subject.into(),
        }
    }

    /// The broker's code, where it is the broker that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Deadline { last, .. } => last.code(),
            _ => None,
        }
    }

    /// Whether the same may succeed later.
    pub fn retriable(&self) -> bool {
        match self {
            Self::Connection(error) | Self::NoBroker { last: error, .. } => error.retriable(),
            Self::Refused { code, .. } => code.retriable(),
            Self::NoAddress
            | Self::Deadline { .. }
            | Self::Unanswered { .. }
            | Self::Invalid(_) => false,
        }
    }
}

fn told(code: ErrorCode, detail: Option<&str>) -> String {
    match detail {
        Some(detail) if !detail.is_empty() => format!("{detail} ({})", code.name()),
        _ => code.to_string(),
    }
}
