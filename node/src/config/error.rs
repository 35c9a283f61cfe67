//! What can be wrong with a configuration, as sentences that name key and place.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Origin;

/// Why a value cannot be used; the caller knows where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadSetting {
    #[error("there is no such setting")]
    Unknown,
    #[error("it must not be empty")]
    Empty,
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("use the setting {instead} instead")]
    Instead { instead: &'static str },
    #[error(transparent)]
    Filter(#[from] crate::logging::BadFilter),
    #[error(transparent)]
    Kafka(#[from] broker::config::ConfigError),
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration file {} is not TOML: {source}", path.display())]
    NotToml {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("{name} in {origin}: {reason}")]
    Setting {
        name: String,
        origin: Origin,
        reason: Box<BadSetting>,
    },
    #[error("{name} in {origin}: expected a text, a number, true or false")]
    NotAValue { name: String, origin: Origin },
}
