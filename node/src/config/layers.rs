//! What is in force when several places speak: defaults, then the file, then `MILENA_*`
//! variables, then flags, the later ones winning; and which of them it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use broker::config::{ConfigError as KafkaError, key_meant};
use toml::{Table, Value};

use super::setting::{FILE_VARIABLE, KAFKA_PREFIX, KAFKA_VARIABLE_PREFIX, SETTINGS};
use super::{BadSetting, Config, ConfigError};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(name) => write!(f, "the flag {name}"),
        }
    }
}

/// A configuration, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Where each setting that is not at its default was set.
    pub origins: BTreeMap<String, Origin>,
    /// Variables that look like settings and are none, so that a slip is seen.
    pub unknown_variables: Vec<String>,
}

/// Variables of the client commands, which a node does not read.
const CLIENTS_VARIABLES: &[&str] = &["MILENA_BROKERS", "MILENA_CHECKPOINT_DIR"];

/// Puts the layers together. `flags` are settings by name, each with the flag it came by;
/// `file` is the one that a flag names, if one does.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: impl IntoIterator<Item = (String, String, String)>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded {
        config: Config::default(),
        origins: BTreeMap::new(),
        unknown_variables: Vec::new(),
    };
    // In the order of their names, so that the same environment says the same.
    let variables: BTreeMap<String, String> = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with("MILENA_"))
        .collect();
    let named = variables.get(FILE_VARIABLE).map(PathBuf::from);
    if let Some(path) = file.map(Path::to_owned).or(named) {
        loaded.read(&path)?;
    }
    loaded.take_variables(variables)?;
    for (name, value, flag) in flags {
        loaded.set(name, &value, Origin::Flag(flag))?;
    }
    Ok(loaded)
}

impl Loaded {
    fn set(&mut self, name: String, value: &str, origin: Origin) -> Result<(), ConfigError> {
        match self.config.set(&name, value) {
            Ok(()) => {
                self.note(&name, origin);
                Ok(())
            }
            Err(reason) => Err(ConfigError::Setting {
                name,
                origin,
                reason: Box::new(reason),
            }),
        }
    }

    /// Notes where a setting came from, under the name that it is shown by.
    fn note(&mut self, name: &str, origin: Origin) {
        let name = match name.strip_prefix(KAFKA_PREFIX) {
            Some(key) => format!("{KAFKA_PREFIX}{}", key_meant(key)),
            None => name.to_owned(),
        };
        self.origins.insert(name, origin);
    }

    fn read(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let table: Table = toml::from_str(&text).map_err(|source| ConfigError::NotToml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let origin = Origin::File(path.to_owned());
        for (name, value) in table {
            match value {
                Value::Table(kafka) if name == "kafka" => {
                    for (key, value) in kafka {
                        self.take(format!("{KAFKA_PREFIX}{key}"), &value, &origin)?;
                    }
                }
                Value::Table(_) => {
                    return Err(ConfigError::Setting {
                        name,
                        origin,
                        reason: Box::new(BadSetting::Unknown),
                    });
                }
                value => self.take(name, &value, &origin)?,
            }
        }
        Ok(())
    }

    /// Takes a value of the file. `num.partitions = 3` without quotes is a table in a table to
    /// TOML; it is what it looks like here.
    fn take(&mut self, name: String, value: &Value, origin: &Origin) -> Result<(), ConfigError> {
        if let (Value::Table(table), true) = (value, name.starts_with(KAFKA_PREFIX)) {
            for (key, value) in table {
                self.take(format!("{name}.{key}"), value, origin)?;
            }
            return Ok(());
        }
        let Some(text) = text(value) else {
            let origin = origin.clone();
            return Err(ConfigError::NotAValue { name, origin });
        };
        self.set(name, &text, origin.clone())
    }

    fn take_variables(&mut self, variables: BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (variable, value) in variables {
            let name = match variable.strip_prefix(KAFKA_VARIABLE_PREFIX) {
                Some(key) => format!("{KAFKA_PREFIX}{}", key.to_lowercase().replace('_', ".")),
                None => match SETTINGS.iter().find(|s| s.variable() == variable) {
                    Some(setting) => setting.name.to_owned(),
                    None => {
                        let known = variable == FILE_VARIABLE
                            || CLIENTS_VARIABLES.contains(&variable.as_str());
                        if !known {
                            self.unknown_variables.push(variable);
                        }
                        continue;
                    }
                },
            };
            match self.config.set(&name, &value) {
                Ok(()) => {
                    self.note(&name, Origin::Variable(variable));
                }
                // Not refused: an orchestrator makes variables of its own for a service of
                // this name (MILENA_KAFKA_SERVICE_HOST), and the node must start all the same.
                Err(BadSetting::Kafka(KafkaError::UnknownKey { .. })) => {
                    self.unknown_variables.push(variable);
                }
                Err(reason) => {
                    return Err(ConfigError::Setting {
                        name,
                        origin: Origin::Variable(variable),
                        reason: Box::new(reason),
                    });
                }
            }
        }
        Ok(())
    }
}

/// A plain value of TOML as the text that Kafka's tables take.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text).collect();
            items?.join(",")
        }
        Value::Datetime(_) | Value::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn layered(
        file: &str,
        variables: &[(&str, &str)],
        flags: &[(&str, &str)],
    ) -> Result<Loaded, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("milena.toml");
        std::fs::write(&path, file).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let flags = flags
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned(), format!("--{name}")));
        load(Some(&path), variables.iter().map(owned), flags).map_err(|error| {
            let shown = error.to_string();
            shown.replace(&format!("{}/", dir.path().display()), "")
        })
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        const FILE: &str = "listen = \"f:1\"";
        const VARIABLE: &[(&str, &str)] = &[("MILENA_LISTEN", "v:2")];
        const FLAG: &[(&str, &str)] = &[("listen", "g:3")];
        for (file, variables, flags, expected) in [
            ("", &[][..], &[][..], "127.0.0.1:9092"),
            (FILE, &[], &[], "f:1"),
            (FILE, VARIABLE, &[], "v:2"),
            ("", VARIABLE, &[], "v:2"),
            (FILE, VARIABLE, FLAG, "g:3"),
            ("", &[], FLAG, "g:3"),
        ] {
            let loaded = layered(file, variables, flags).unwrap();
            assert_eq!(loaded.config.listen, expected);
        }
    }

    #[test]
    fn kafkas_keys_come_by_every_way() {
        for (file, variables, flags) in [
            ("[kafka]\n\"num.partitions\" = 3", &[][..], &[][..]),
            ("[kafka]\nnum.partitions = \"3\"", &[], &[]),
            ("", &[("MILENA_KAFKA_NUM_PARTITIONS", "3")], &[]),
            ("", &[], &[("kafka.num.partitions", "3")]),
        ] {
            let loaded = layered(file, variables, flags).unwrap();
            assert_eq!(loaded.config.kafka.number("num.partitions"), 3);
        }
    }

    fn refused(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)], expected: Expect) {
        let refusal = layered(file, variables, flags).map(|loaded| loaded.config);
        expected.assert_eq(&refusal.unwrap_err());
    }

    #[test]
    fn a_refusal_names_key_and_place() {
        refused(
            "colour = \"red\"",
            &[],
            &[],
            expect!["colour in milena.toml: there is no such setting"],
        );
        refused(
            "[colours]\nred = 1",
            &[],
            &[],
            expect!["colours in milena.toml: there is no such setting"],
        );
        refused(
            "[kafka]\ncolour = 1",
            &[],
            &[],
            expect!["kafka.colour in milena.toml: Unknown broker config name: colour"],
        );
        refused(
            "threads = true",
            &[],
            &[],
            expect!["threads in milena.toml: expected a number from 0 to 1024"],
        );
        refused(
            "listen = 1979-05-27",
            &[],
            &[],
            expect!["listen in milena.toml: expected a text, a number, true or false"],
        );
        refused(
            "",
            &[("MILENA_KAFKA_NUM_PARTITIONS", "few")],
            &[],
            expect![
                "kafka.num.partitions in the variable MILENA_KAFKA_NUM_PARTITIONS: Invalid value few for configuration num.partitions: Not a number"
            ],
        );
        refused(
            "",
            &[],
            &[("log-format", "xml")],
            expect!["log-format in the flag --log-format: expected text or json"],
        );
    }

    #[test]
    fn variables_that_are_no_settings_are_told() {
        let variables = [
            ("MILENA_LISTNE", "x"),
            ("MILENA_KAFKA_PORT", "tcp://10.0.0.1"),
            ("MILENA_BROKERS", "a:1"),
            ("MILENA_CHECKPOINT_DIR", "/x"),
            ("HOME", "/"),
        ];
        let loaded = layered("", &variables, &[]).unwrap();
        let told = ["MILENA_KAFKA_PORT", "MILENA_LISTNE"];
        assert_eq!(loaded.unknown_variables, told);
    }
}
