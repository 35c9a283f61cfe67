//! The configuration in force as a TOML file that would give it again, with where each value
//! came from.

use std::fmt::Write;

use broker::config::Kind;
use toml::Value;

use super::setting::{KAFKA_PREFIX, SETTINGS};
use super::{Loaded, Origin};

impl Loaded {
    /// The effective configuration as TOML. Kafka's keys that stand at their defaults are
    /// commented out.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for setting in SETTINGS {
            let value = self.config.get(setting.name);
            let from = self.from(setting.name);
            if value.is_empty() {
                let _ = writeln!(out, "# {} is not set", setting.name);
            } else {
                let value = if setting.name == "threads" {
                    value
                } else {
                    quoted(&value)
                };
                let _ = writeln!(out, "{} = {value} # {from}", setting.name);
            }
        }
        out.push_str("\n[kafka]\n");
        for (name, (definition, value)) in self.config.kafka.all() {
            let value = match definition.kind {
                Kind::Boolean | Kind::Int | Kind::Long | Kind::Double => value,
                Kind::String | Kind::List => quoted(&value),
            };
            let set = self.config.kafka.is_set(name);
            let (mark, from) = if set {
                ("", self.from(&format!("{KAFKA_PREFIX}{name}")))
            } else {
                ("# ", "default".to_owned())
            };
            let _ = writeln!(out, "{mark}{} = {value} # {from}", quoted(name));
        }
        out
    }

    fn from(&self, name: &str) -> String {
        match self.origins.get(name) {
            None => "default".to_owned(),
            Some(Origin::File(path)) => format!("file {}", path.display()),
            Some(Origin::Variable(variable)) => variable.clone(),
            Some(Origin::Flag(flag)) => flag.clone(),
        }
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::config::load;

    #[test]
    fn what_is_printed_says_where_it_came_from_and_loads_again() {
        let variables = [("MILENA_KAFKA_NUM_PARTITIONS", "3"), ("MILENA_RACK", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = [
            ("http-listen", "127.0.0.1:0"),
            ("kafka.log.retention.ms", "5"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned(), format!("--{name}")));
        let loaded = load(None, variables, flags).unwrap();
        let printed = loaded.to_toml();
        let set: Vec<&str> = printed
            .lines()
            .filter(|line| line.is_empty() || !line.starts_with("# \""))
            .collect();
        expect![[r#"
            listen = "127.0.0.1:9092" # default
            # advertise is not set
            http-listen = "127.0.0.1:0" # --http-listen
            data = "./milena-data" # default
            rack = "a" # MILENA_RACK
            threads = 0 # default
            log = "info" # default
            log-format = "text" # default

            [kafka]
            "log.retention.ms" = 5 # --kafka.log.retention.ms
            "num.partitions" = 3 # MILENA_KAFKA_NUM_PARTITIONS
        "#]]
        .assert_eq(&(set.join("\n") + "\n"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("again.toml");
        std::fs::write(&path, &printed).unwrap();
        let again = load(Some(&path), [], []).unwrap();
        assert_eq!(again.config, loaded.config);
    }
}
