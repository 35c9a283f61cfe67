//! Configs of topics and brokers.

use protocol::api::describe_configs::DescribeConfigsResource;
use protocol::api::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use protocol::api::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::{Admin, ClientError, owned};

/// What has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id; `None` is the default for all.
    Broker(Option<i32>),
}

impl ConfigResource {
    fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(id) => id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Broker(Some(id)) => format!("broker {id}"),
            Self::Broker(None) => "all brokers".to_owned(),
        }
    }
}

/// A config and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name of it.
    pub name: String,
    /// Its value, unless it is secret.
    pub value: Option<String>,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// Whether its value is a secret.
    pub sensitive: bool,
    /// Whether nobody set it.
    pub is_default: bool,
    /// Kafka's code for where the value comes from: 1 the topic, 2 and 3 dynamic at the broker,
    /// 4 the broker's file, 5 the default.
    pub source: i8,
    /// All values that it would have, the first that is set counts.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it is for, where the broker tells.
    pub documentation: Option<String>,
}

/// A value that a config has or falls back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name under which it is set there.
    pub name: String,
    /// The value.
    pub value: Option<String>,
    /// As [`ConfigEntry::source`].
    pub source: i8,
}

/// A change to a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Back to the default.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes from a list.
    Subtract(String, String),
}

impl ConfigChange {
    fn parts(&self) -> (i8, &str, Option<&str>) {
        match self {
            Self::Set(name, value) => (0, name, Some(value)),
            Self::Delete(name) => (1, name, None),
            Self::Append(name, value) => (2, name, Some(value)),
            Self::Subtract(name, value) => (3, name, Some(value)),
        }
    }
}

/// The source of a value that nobody set.
const DEFAULT_SOURCE: i8 = 5;

impl Admin {
    /// All configs of a topic or broker, with synonyms and documentation.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.code(),
                resource_name: resource.name().into(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: true,
        };
        let response = match resource {
            ConfigResource::Broker(Some(id)) => {
                self.know_brokers().await?;
                self.client.send_to(*id, &request).await?
            }
            _ => self.client.send(&request).await?,
        };
        let Some(result) = response.results.into_iter().next() else {
            return Err(ClientError::unanswered(resource.subject()));
        };
        let detail = result.error_message.as_deref();
        ClientError::check(resource.subject(), result.error_code, detail)?;
        let entries = result.configs.into_iter().map(|config| ConfigEntry {
            name: config.name.to_string(),
            value: owned(config.value.as_ref()),
            read_only: config.read_only,
            sensitive: config.is_sensitive,
            is_default: config.config_source == DEFAULT_SOURCE,
            source: config.config_source,
            synonyms: config
                .synonyms
                .iter()
                .map(|synonym| ConfigSynonym {
                    name: synonym.name.to_string(),
                    value: owned(synonym.value.as_ref()),
                    source: synonym.source,
                })
                .collect(),
            documentation: owned(config.documentation.as_ref()).filter(|text| !text.is_empty()),
        });
        Ok(entries.collect())
    }

    /// Changes some configs and leaves the others as they are (KIP-339). With `validate_only`
    /// only says whether it would.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.code(),
                resource_name: resource.name().into(),
                configs: changes
                    .iter()
                    .map(|change| {
                        let (config_operation, name, value) = change.parts();
                        AlterableConfig {
                            name: name.into(),
                            config_operation,
                            value: value.map(Into::into),
                        }
                    })
                    .collect(),
            }],
            validate_only,
        };
        let response = match resource {
            ConfigResource::Broker(Some(id)) => {
                self.know_brokers().await?;
                self.client.send_to(*id, &request).await?
            }
            _ => self.client.send_to_controller(&request).await?,
        };
        let Some(result) = response.responses.first() else {
            return Err(ClientError::unanswered(resource.subject()));
        };
        let detail = result.error_message.as_deref();
        ClientError::check(resource.subject(), result.error_code, detail)
    }
}
