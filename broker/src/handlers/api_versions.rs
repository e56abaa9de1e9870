//! ApiVersions (KIP-35, KIP-511, KIP-584): what this broker speaks. Served before anything else.

use std::ops::RangeInclusive;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use super::request::{Refusal, RequestContext, RequestHead};
use super::table::{HANDLERS, Handler};

pub const VERSIONS: RangeInclusive<i16> = 0..=4;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: ApiVersionsRequest,
) -> Result<ApiVersionsResponse, Refusal> {
    let names_itself_well = [&request.client_software_name, &request.client_software_version]
        .iter()
        .all(|text| is_software_name(text));
    if head.version >= 3 && !names_itself_well {
        return Ok(ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.into(),
            ..Default::default()
        });
    }
    let view = context.core.view();
    let features = view.features();
    Ok(ApiVersionsResponse {
        error_code: ErrorCode::None.into(),
        api_keys: HANDLERS.iter().map(entry).collect(),
        supported_features: features
            .iter()
            // Up to version 3 clients choke on a minimum of 0 (KAFKA-17011).
            .filter(|feature| head.version >= 4 || feature.supported.start() > &0)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: *feature.supported.start(),
                max_version: *feature.supported.end(),
            })
            .collect(),
        // The offset of the last record that is folded in.
        finalized_features_epoch: view.version().0 - 1,
        finalized_features: features
            .iter()
            .filter(|feature| feature.finalized > 0)
            .map(|feature| FinalizedFeatureKey {
                name: feature.name.into(),
                min_version_level: feature.finalized,
                max_version_level: feature.finalized,
            })
            .collect(),
        ..Default::default()
    })
}

/// The answer to a version that we do not know: in version 0, with one entry, our own. franz-go takes
/// any other list for the whole table, and Java steps down to the entry's maximum.
pub fn unsupported_version(head: &RequestHead) -> Result<Vec<Bytes>, Refusal> {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys: HANDLERS.iter().filter(|own| own.api_key == head.api_key).map(entry).collect(),
        ..Default::default()
    };
    RequestHead { version: 0, ..head.clone() }.respond(&response)
}

fn entry(handler: &Handler) -> ApiVersion {
    ApiVersion {
        api_key: handler.api_key.into(),
        min_version: handler.advertised_min,
        max_version: *handler.versions.end(),
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`. Source: KIP-511.
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kip_511() {
        for (text, want) in [
            ("apache-kafka-java", true),
            ("4.3.1", true),
            ("x", true),
            ("", false),
            ("-x", false),
            ("x.", false),
            ("a b", false),
        ] {
            assert_eq!(is_software_name(text), want, "{text:?}");
        }
    }
}
