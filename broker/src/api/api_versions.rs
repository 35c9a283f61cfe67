//! ApiVersions: which requests are served, in which versions.

use protocol::api::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use protocol::{ApiKey, ErrorCode, Message, Reader, encode_response};

use super::Context;
use crate::net::Answer;

pub(super) fn handle(context: &Context<'_>, body: &mut Reader) -> Answer {
    let own = ApiKey::ApiVersions;
    let version = context.version();
    if !own.versions().contains(&version) {
        // Version 0, as the client's is unknown, with the range that it may ask in.
        let response = ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            api_keys: vec![entry(own)],
            ..Default::default()
        };
        let id = context.header.correlation_id;
        return Answer::Now(encode_response(id, &response, own, 0).into());
    }
    let Ok(request) = ApiVersionsRequest::decode(body, version) else {
        return Answer::Close("its ApiVersions request does not decode".into());
    };
    let valid = version < 3
        || (is_name(&request.client_software_name) && is_name(&request.client_software_version));
    let response = if valid {
        ApiVersionsResponse {
            api_keys: ApiKey::ALL.iter().map(|&key| entry(key)).collect(),
            ..Default::default()
        }
    } else {
        ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..Default::default()
        }
    };
    context.answer(&response)
}

fn entry(key: ApiKey) -> ApiVersion {
    let versions = key.versions();
    ApiVersion {
        api_key: key as i16,
        // librdkafka turns compression off where Produce does not reach down to 0
        // (KAFKA-18659), so that is what is said; real requests begin at 3.
        min_version: if key == ApiKey::Produce {
            0
        } else {
            *versions.start()
        },
        max_version: *versions.end(),
    }
}

/// Kafka's rule for a client's name and version (KIP-511).
fn is_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge)
        && text.ends_with(edge)
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}
