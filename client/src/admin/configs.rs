//! Configs of topics and brokers.

use protocol::api::describe_configs::DescribeConfigsResource;
use protocol::api::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use protocol::api::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

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
    /// Kafka's code for where the value comes from: 1 the topic, 2 and 3 dynamic at the broker,
    /// 4 the broker's file, 5 the default.
    pub source: i8,
}

/// A change to a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Back to the default.
    Delete(String),
}

impl ConfigChange {
    fn parts(&self) -> (i8, &str, Option<&str>) {
        match self {
            Self::Set(name, value) => (0, name, Some(value)),
            Self::Delete(name) => (1, name, None),
        }
    }
}

impl Admin {
    /// All configs of a topic or broker.
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
            include_synonyms: false,
            include_documentation: false,
        };
        let response = match resource {
            ConfigResource::Broker(Some(id)) => self.ask_broker(*id, &request).await?,
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
            source: config.config_source,
        });
        Ok(entries.collect())
    }

    /// Changes some configs and leaves the others as they are (KIP-339).
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
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
            validate_only: false,
        };
        let response = match resource {
            ConfigResource::Broker(Some(id)) => self.ask_broker(*id, &request).await?,
            _ => {
                let code = |response: &IncrementalAlterConfigsResponse| {
                    response.responses.first().map(|result| result.error_code)
                };
                self.ask_controller(&request, code).await?
            }
        };
        let Some(result) = response.responses.first() else {
            return Err(ClientError::unanswered(resource.subject()));
        };
        let detail = result.error_message.as_deref();
        ClientError::check(resource.subject(), result.error_code, detail)
    }
}
