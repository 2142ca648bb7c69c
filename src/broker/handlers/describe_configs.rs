//! DescribeConfigs: every setting of a topic or broker, with where it comes from.

use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::config::{self, BrokerScope, ConfigSource, Described, Synonym};
use crate::model::{ErrorCode, TopicName};
use crate::wire::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{RequestHeader, Str};

/// Resource types (`ConfigResource.Type`).
pub(super) const TOPIC: i8 = 2;
/// See [`TOPIC`].
pub(super) const BROKER: i8 = 4;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    header: &RequestHeader,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let shown = Shown {
        version: header.version,
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request.resources.into_iter().map(|resource| {
        let nothing = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        };
        match describe(env, &resource) {
            Ok(described) => {
                let wanted = |setting: &Described| {
                    let keys = resource.configuration_keys.as_ref();
                    keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
                };
                let settings = described.into_iter().filter(wanted);
                let configs = settings.map(|setting| result(setting, shown)).collect();
                // Kafka's word for nothing to say; some clients do not expect null.
                DescribeConfigsResult { configs, error_message: Some(Str::default()), ..nothing }
            }
            Err((error_code, message)) => {
                DescribeConfigsResult { error_code, error_message: Some(message.into()), ..nothing }
            }
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(env: &Env, resource: &DescribeConfigsResource) -> Result<Vec<Described>, (ErrorCode, String)> {
    let layers = env.settings.layers();
    match resource.resource_type {
        TOPIC => {
            let name = TopicName::new(&resource.resource_name)
                .map_err(|error| (ErrorCode::InvalidTopicException, error.to_string()))?;
            if !env.metadata.load().topics.contains_key(&name) {
                return Err((ErrorCode::UnknownTopicOrPartition, "This broker knows no such topic.".to_owned()));
            }
            Ok(config::describe_topic(&layers, &env.settings.overrides(&name)))
        }
        BROKER => match config::broker_scope(&resource.resource_name, env.local) {
            Ok(BrokerScope::ThisBroker) => Ok(config::describe_broker(&layers)),
            Ok(BrokerScope::Default) => Ok(config::describe_broker_defaults(&layers)),
            Err(refusal) => Err((refusal.code, refusal.message)),
        },
        other => Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

/// How much of a setting the client wants to know, and can.
#[derive(Clone, Copy)]
struct Shown {
    version: i16,
    synonyms: bool,
    documentation: bool,
}

fn result(setting: Described, shown: Shown) -> DescribeConfigsResourceResult {
    let documented = setting.documentation().filter(|_| shown.documentation);
    let synonym = |synonym: Synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Str::from),
        source: synonym.source.code(),
    };
    DescribeConfigsResourceResult {
        read_only: setting.is_read_only,
        // Version 0 says this and no more about the source.
        is_default: shown.version == 0 && setting.source == ConfigSource::Default,
        config_source: setting.source.code(),
        is_sensitive: setting.is_sensitive,
        config_type: setting.type_code(),
        documentation: documented.map(Str::from),
        synonyms: if shown.synonyms { setting.synonyms.into_iter().map(synonym).collect() } else { vec![] },
        value: setting.value.map(Str::from),
        name: setting.name.into(),
    }
}
