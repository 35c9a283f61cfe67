//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs: a topic's configuration is
//! its own to change; a broker's is shown, and fixed while it runs.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ErrorCode;
use protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use protocol::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::api::incremental_alter_configs::{
    AlterConfigsResource as IncrementalResource, AlterConfigsResourceResponse as IncrementalResult,
    AlterableConfig as Change, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::topics::{SOURCE_BROKER, SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{Context, named_once, repeated, told};
use crate::config::{
    BrokerConfig, Definition, Kind, TOPIC_KEYS, check_overrides, definition, in_force,
};
use crate::error::Refusal;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// How often a change is tried when others change the same topic.
const CONFLICTS_MAX: u32 = 20;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn describe(
    context: &Context<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let mut seen = BTreeSet::new();
    let mut resources = request.resources;
    resources.retain(|one| seen.insert((one.resource_type, one.resource_name.clone())));
    let results = resources.into_iter().map(|resource| {
        let (error_code, error_message, mut configs) = match describe_one(context, &resource) {
            Ok(configs) => (0, None, configs),
            Err(error) => (error.code.code(), Some(error.message.into()), Vec::new()),
        };
        for config in &mut configs {
            if !request.include_synonyms {
                config.synonyms.clear();
            }
            if !request.include_documentation {
                config.documentation = None;
            }
        }
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        }
    });
    DescribeConfigsResponse {
        results: results.collect(),
        ..Default::default()
    }
}

fn describe_one(
    context: &Context<'_>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let broker = context.broker;
    let mut configs = match resource.resource_type {
        TOPIC => {
            let view = broker.view();
            let topic = view.topic(&resource.resource_name).ok_or_else(unknown)?;
            TOPIC_KEYS
                .iter()
                .map(|key| topic_config(&broker.config, &topic.overrides, key))
                .collect::<Vec<_>>()
        }
        BROKER => {
            check_broker(context, &resource.resource_name)?;
            if resource.resource_name.is_empty() {
                // The defaults for all brokers: none are set in the cluster.
                return Ok(Vec::new());
            }
            let all = broker.config.all();
            all.into_iter()
                .map(|(name, (key, value))| broker_config(&broker.config, name, key, value))
                .collect()
        }
        other => return Err(wrong_type(other)),
    };
    if let Some(keys) = &resource.configuration_keys
        && !keys.is_empty()
    {
        let wanted: BTreeSet<&str> = keys.iter().map(|key| &**key).collect();
        configs.retain(|config| wanted.contains(&*config.name));
    }
    Ok(configs)
}

fn topic_config(
    broker: &BrokerConfig,
    overrides: &BTreeMap<String, String>,
    key: &Definition,
) -> DescribeConfigsResourceResult {
    let mut synonyms = Vec::new();
    let mut add = |name: &str, value: &str, source| {
        synonyms.push(DescribeConfigsSynonym {
            name: name.into(),
            value: Some(value.into()),
            source,
        });
    };
    if let Some(value) = overrides.get(key.name) {
        add(key.name, value, SOURCE_TOPIC);
    }
    if let Some(name) = key.broker_key {
        if broker.is_set(name) {
            add(name, broker.text(name), SOURCE_BROKER);
        }
        add(name, key.default, SOURCE_DEFAULT);
    }
    DescribeConfigsResourceResult {
        name: key.name.into(),
        value: Some(in_force(broker, overrides, key.name).into()),
        config_source: synonyms
            .first()
            .map_or(SOURCE_DEFAULT, |first| first.source),
        synonyms,
        config_type: key.kind.code(),
        documentation: Some(key.doc.into()),
        ..Default::default()
    }
}

fn broker_config(
    broker: &BrokerConfig,
    name: &str,
    key: &Definition,
    value: String,
) -> DescribeConfigsResourceResult {
    let source = if broker.is_set(name) {
        SOURCE_BROKER
    } else {
        SOURCE_DEFAULT
    };
    DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(value.clone().into()),
        read_only: true,
        config_source: source,
        synonyms: vec![DescribeConfigsSynonym {
            name: name.into(),
            value: Some(value.into()),
            source,
        }],
        config_type: key.kind.code(),
        documentation: Some(key.doc.into()),
        ..Default::default()
    }
}

pub(super) async fn alter(
    context: &Context<'_>,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let name = |one: &AlterConfigsResource| (one.resource_type, one.resource_name.clone());
    let (resources, twice) = named_once(request.resources, name);
    let refused = twice.into_iter().map(|(resource_type, resource_name)| {
        let (error_code, error_message) = told(Err(repeated(TWICE)));
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type,
            resource_name,
        }
    });
    let mut responses: Vec<_> = refused.collect();
    for resource in resources {
        // Sets all that are named, and takes back all that are not.
        let changes = resource.configs.iter().map(|config| Change {
            name: config.name.clone(),
            config_operation: SET,
            value: config.value.clone(),
        });
        let wish = Wish {
            resource_type: resource.resource_type,
            name: &resource.resource_name,
            changes: changes.collect(),
            from_nothing: true,
            validate_only: request.validate_only,
        };
        let (error_code, error_message) = told(wish.apply(context).await);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    AlterConfigsResponse {
        responses,
        ..Default::default()
    }
}

pub(super) async fn alter_incrementally(
    context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let name = |one: &IncrementalResource| (one.resource_type, one.resource_name.clone());
    let (resources, twice) = named_once(request.resources, name);
    let refused = twice.into_iter().map(|(resource_type, resource_name)| {
        let (error_code, error_message) = told(Err(repeated(TWICE)));
        IncrementalResult {
            error_code,
            error_message,
            resource_type,
            resource_name,
        }
    });
    let mut responses: Vec<_> = refused.collect();
    for resource in resources {
        let wish = Wish {
            resource_type: resource.resource_type,
            name: &resource.resource_name,
            changes: resource.configs,
            from_nothing: false,
            validate_only: request.validate_only,
        };
        let (error_code, error_message) = told(wish.apply(context).await);
        responses.push(IncrementalResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    IncrementalAlterConfigsResponse {
        responses,
        ..Default::default()
    }
}

const TWICE: &str = "Each resource must appear at most once.";

/// How somebody wants a resource's configuration changed.
struct Wish<'a> {
    resource_type: i8,
    name: &'a str,
    changes: Vec<Change>,
    from_nothing: bool,
    validate_only: bool,
}

impl Wish<'_> {
    async fn apply(&self, context: &Context<'_>) -> Result<(), Refusal> {
        match self.resource_type {
            TOPIC => {}
            BROKER => {
                check_broker(context, self.name)?;
                return Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    "A broker's configuration is fixed while it runs; change its file and restart it.",
                ));
            }
            other => return Err(wrong_type(other)),
        }
        let broker = context.broker;
        broker.view().topic(self.name).ok_or_else(unknown)?;
        // Somebody else may change the same topic: then what they did is built upon.
        for _ in 0..CONFLICTS_MAX {
            let (before, version) = broker.overrides(self.name)?;
            let overrides = self.applied_to(&broker.config, before)?;
            if self.validate_only || broker.set_overrides(self.name, &overrides, version).await? {
                return Ok(());
            }
        }
        Err(Refusal::new(
            ErrorCode::UnknownServerError,
            "The topic's configuration is being changed by too many at once.",
        ))
    }

    fn applied_to(
        &self,
        broker: &BrokerConfig,
        before: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let mut overrides = if self.from_nothing {
            BTreeMap::new()
        } else {
            before
        };
        let mut seen = BTreeSet::new();
        for change in &self.changes {
            if !seen.insert(&change.name) {
                return Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    format!("Error due to duplicate config keys: {}", change.name),
                ));
            }
            apply_change(broker, &mut overrides, change)?;
        }
        check_overrides(&overrides)
            .map_err(|error| Refusal::new(ErrorCode::InvalidConfig, error.to_string()))?;
        Ok(overrides)
    }
}

fn apply_change(
    broker: &BrokerConfig,
    overrides: &mut BTreeMap<String, String>,
    change: &Change,
) -> Result<(), Refusal> {
    let name = change.name.to_string();
    if change.config_operation == DELETE {
        overrides.remove(&name);
        return Ok(());
    }
    let value = change.value.as_ref().ok_or_else(|| {
        Refusal::new(
            ErrorCode::InvalidRequest,
            format!("Null value not supported for : {name}"),
        )
    })?;
    match change.config_operation {
        SET => {
            overrides.insert(name, value.to_string());
        }
        operation @ (APPEND | SUBTRACT) => {
            if definition(&name).is_some_and(|key| key.kind != Kind::List) {
                return Err(Refusal::new(
                    ErrorCode::InvalidConfig,
                    format!("Config value append is not allowed for config key: {name}"),
                ));
            }
            let now = in_force(broker, overrides, &name);
            let mut items: Vec<&str> = now
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect();
            for item in value.split(',').map(str::trim) {
                items.retain(|have| *have != item);
                if operation == APPEND {
                    items.push(item);
                }
            }
            let joined = items.join(",");
            overrides.insert(name, joined);
        }
        other => {
            return Err(Refusal::new(
                ErrorCode::InvalidRequest,
                format!("Unknown operation {other}"),
            ));
        }
    }
    Ok(())
}

fn check_broker(context: &Context<'_>, name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.parse() == Ok(context.broker.id) {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::InvalidRequest,
        format!(
            "Unexpected broker id, expected {} or empty string, but received {name}",
            context.broker.id
        ),
    ))
}

fn unknown() -> Refusal {
    Refusal::from(ErrorCode::UnknownTopicOrPartition)
}

fn wrong_type(resource_type: i8) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidRequest,
        format!("Resources of type {resource_type} have no configuration here."),
    )
}
