//! A node's configuration. `setting` has the table of the node's own settings, `layers` puts
//! together what defaults, file, variables and flags say, `print` shows the outcome.

mod error;
mod layers;
mod print;
mod setting;

use std::path::PathBuf;

use broker::config::BrokerConfig;

pub use error::{BadSetting, ConfigError};
pub use layers::{Loaded, Origin, load};
pub use setting::{FILE_VARIABLE, KAFKA_PREFIX, KAFKA_VARIABLE_PREFIX, SETTINGS, Setting};

use crate::logging::{LogFilter, LogFormat};

/// How a node is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where Kafka clients connect, `HOST:PORT`.
    pub listen: String,
    /// What clients are told to connect to; port 0 is the bound port.
    pub advertise: Option<(String, u16)>,
    /// Where metrics and health are served, `HOST:PORT`.
    pub http_listen: String,
    /// The folder of everything that is kept.
    pub data: PathBuf,
    pub rack: Option<String>,
    /// Threads that serve requests; 0 is one for each core.
    pub threads: usize,
    pub log: LogFilter,
    pub log_format: LogFormat,
    /// Kafka's keys.
    pub kafka: BrokerConfig,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self {
            listen: String::new(),
            advertise: None,
            http_listen: String::new(),
            data: PathBuf::new(),
            rack: None,
            threads: 0,
            log: LogFilter::default(),
            log_format: LogFormat::default(),
            kafka: BrokerConfig::default(),
        };
        for setting in SETTINGS {
            config
                .set(setting.name, setting.default)
                .expect("the table's defaults are valid");
        }
        config
    }
}

/// Kafka's keys that the node sets by itself, with the setting to use in their place.
const OURS: &[(&str, &str)] = &[
    ("listeners", "listen"),
    ("advertised.listeners", "advertise"),
    ("log.dir", "data"),
    ("log.dirs", "data"),
    ("broker.rack", "rack"),
];

impl Config {
    /// Sets a setting by its name (`listen`, `kafka.num.partitions`) from text. An empty text
    /// unsets what may be unset.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadSetting> {
        if let Some(key) = name.strip_prefix(KAFKA_PREFIX) {
            if let Some((_, instead)) = OURS.iter().find(|(theirs, _)| *theirs == key) {
                return Err(BadSetting::Instead { instead });
            }
            return Ok(self.kafka.set(key, value)?);
        }
        match name {
            "listen" => self.listen = address(value)?,
            "advertise" => self.advertise = advertised(value)?,
            "http-listen" => self.http_listen = address(value)?,
            "data" if value.is_empty() => return Err(BadSetting::Empty),
            "data" => self.data = PathBuf::from(value),
            "rack" => self.rack = (!value.is_empty()).then(|| value.to_owned()),
            "threads" => {
                self.threads = value
                    .parse()
                    .ok()
                    .filter(|&threads| threads <= 1024)
                    .ok_or(BadSetting::Expected("a number from 0 to 1024"))?;
            }
            "log" => self.log = value.parse()?,
            "log-format" => self.log_format = value.parse()?,
            _ => return Err(BadSetting::Unknown),
        }
        Ok(())
    }

    /// The value in force of one of the node's own settings, as text.
    pub fn get(&self, name: &str) -> String {
        match name {
            "listen" => self.listen.clone(),
            "advertise" => match &self.advertise {
                None => String::new(),
                Some((host, 0)) => host.clone(),
                Some((host, port)) if host.contains(':') => format!("[{host}]:{port}"),
                Some((host, port)) => format!("{host}:{port}"),
            },
            "http-listen" => self.http_listen.clone(),
            "data" => self.data.display().to_string(),
            "rack" => self.rack.clone().unwrap_or_default(),
            "threads" => self.threads.to_string(),
            "log" => self.log.to_string(),
            "log-format" => self.log_format.to_string(),
            _ => String::new(),
        }
    }
}

/// A `HOST:PORT` as it is; whether the host resolves shows when it is bound.
fn address(value: &str) -> Result<String, BadSetting> {
    match split(value) {
        Some((host, Some(_))) if !host.is_empty() => Ok(value.to_owned()),
        _ => Err(BadSetting::Expected("HOST:PORT, such as 127.0.0.1:9092")),
    }
}

fn advertised(value: &str) -> Result<Option<(String, u16)>, BadSetting> {
    if value.is_empty() {
        return Ok(None);
    }
    match split(value) {
        Some((host, port)) if !host.is_empty() => {
            Ok(Some((host.to_owned(), port.unwrap_or_default())))
        }
        _ => Err(BadSetting::Expected(
            "HOST:PORT or HOST, such as broker-1.example.org:9092",
        )),
    }
}

/// Host and port, if there is one. An IPv6 address with a port stands in brackets.
fn split(value: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match value.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None if value.matches(':').count() > 1 => (value, ""),
        None => value.split_at(value.find(':').unwrap_or(value.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for (text, good) in [
            ("127.0.0.1:9092", true),
            ("localhost:0", true),
            ("[::1]:9092", true),
            ("::1", false),
            ("localhost", false),
            (":9092", false),
            ("localhost:http", false),
            ("localhost:70000", false),
            ("[::1]9092", false),
            ("", false),
        ] {
            assert_eq!(address(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn what_is_advertised_may_leave_the_port_to_the_listener() {
        for (text, expected) in [
            ("", None),
            ("a.example", Some(("a.example".to_owned(), 0))),
            ("a.example:1", Some(("a.example".to_owned(), 1))),
            ("[::1]:7", Some(("::1".to_owned(), 7))),
        ] {
            let mut config = Config::default();
            config.set("advertise", text).unwrap();
            assert_eq!(config.advertise, expected, "{text}");
            assert_eq!(config.get("advertise"), text);
        }
    }

    #[test]
    fn a_key_of_kafkas_that_has_another_name_here_says_which() {
        let refused = Config::default().set("kafka.log.dirs", "/d").unwrap_err();
        assert_eq!(refused.to_string(), "use the setting data instead");
    }
}
