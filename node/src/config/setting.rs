//! The node's own settings, in one table: names, defaults, and the sentence that describes each.
//! Kafka's keys are not here: the broker has their table.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file, and after `--` among the flags.
    pub name: &'static str,
    /// Its default as text; empty where there is none.
    pub default: &'static str,
    pub doc: &'static str,
}

impl Setting {
    /// The variable that sets it: `MILENA_HTTP_LISTEN` for `http-listen`.
    pub fn variable(&self) -> String {
        format!("MILENA_{}", self.name.replace('-', "_").to_uppercase())
    }
}

const fn setting(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, doc }
}

/// Every setting, in the order in which they are shown.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:9092", "Where Kafka clients connect, `HOST:PORT`."),
    setting("advertise", "", "What clients are told to connect to, `HOST:PORT` or `HOST`, if it is not `listen`."),
    setting("http-listen", "127.0.0.1:9464", "Where `/metrics`, `/healthz` and `/readyz` are served, `HOST:PORT`."),
    setting("data", "./milena-data", "The folder of everything that is kept."),
    setting("rack", "", "The rack or zone of this machine, as clients see it."),
    setting("threads", "0", "Threads that serve requests; 0 is one for each core."),
    setting("log", "info", "What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), also by part of the program: `info,broker=debug`."),
    setting("log-format", "text", "`text` for people, `json` for programs."),
];

/// The prefix of Kafka's keys among the settings.
pub const KAFKA_PREFIX: &str = "kafka.";

/// The prefix of the variables that set Kafka's keys: `MILENA_KAFKA_NUM_PARTITIONS`.
pub const KAFKA_VARIABLE_PREFIX: &str = "MILENA_KAFKA_";

/// The variable that names the configuration file.
pub const FILE_VARIABLE: &str = "MILENA_CONFIG";
