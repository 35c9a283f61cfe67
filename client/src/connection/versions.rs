//! Which version of each request to speak. Pure: what the broker serves against what we know.

use std::ops::RangeInclusive;

use protocol::ApiKey;
use protocol::api::ApiVersionsResponse;
use protocol::error::ErrorCode;

/// What the broker at the other end serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions {
    /// Sorted by key.
    ranges: Vec<(i16, RangeInclusive<i16>)>,
}

impl Versions {
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let mut ranges: Vec<_> = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version..=api.max_version))
            .collect();
        ranges.sort_by_key(|(key, _)| *key);
        Self { ranges }
    }

    pub(crate) fn served(&self, api: ApiKey) -> Option<&RangeInclusive<i16>> {
        let at = self
            .ranges
            .binary_search_by_key(&(api as i16), |(key, _)| *key)
            .ok()?;
        Some(&self.ranges[at].1)
    }

    /// The version to speak: the highest that both know, and that our requests are written for.
    pub(crate) fn pick(&self, api: ApiKey) -> Option<i16> {
        self.pick_below(api, ceiling(api))
    }

    fn pick_below(&self, api: ApiKey, ceiling: i16) -> Option<i16> {
        let (ours, theirs) = (api.versions(), self.served(api)?);
        let highest = (*ours.end()).min(*theirs.end()).min(ceiling);
        (highest >= *ours.start() && highest >= *theirs.start()).then_some(highest)
    }
}

/// The newest version of each API that this library's own requests are written for.
pub(crate) fn ceiling(api: ApiKey) -> i16 {
    let ceiling = match api {
        // From 13 on topics go by id only.
        ApiKey::Produce | ApiKey::Fetch => 12,
        // From 10 on topics go by id only.
        ApiKey::OffsetCommit => 9,
        // From 8 on the request holds several groups.
        ApiKey::OffsetFetch => 7,
        // From 4 on it holds several keys.
        ApiKey::FindCoordinator => 3,
        // From 6 on topics go by name or id.
        ApiKey::DeleteTopics => 5,
        _ => i16::MAX,
    };
    ceiling.min(*api.versions().end())
}

/// What to do with an answer to ApiVersions.
#[derive(Debug)]
pub(crate) enum Negotiated {
    /// Both sides know where they stand.
    Agreed(Versions),
    /// Ask again in this version.
    AskAgain(i16),
    /// The broker refuses for another reason.
    Refused(ErrorCode),
}

/// Judges an answer to ApiVersions that was asked in version `asked`. A broker that does not
/// know that version answers in version 0 with its own range in the list, or without any.
pub(crate) fn judge(response: &ApiVersionsResponse, asked: i16) -> Negotiated {
    match ErrorCode::from(response.error_code) {
        ErrorCode::None => Negotiated::Agreed(Versions::of(response)),
        ErrorCode::UnsupportedVersion if asked > 0 => Negotiated::AskAgain(
            Versions::of(response)
                .pick_below(ApiKey::ApiVersions, asked - 1)
                .unwrap_or(0),
        ),
        error => Negotiated::Refused(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::api::api_versions::ApiVersion;

    fn response(error: ErrorCode, keys: &[(i16, i16, i16)]) -> ApiVersionsResponse {
        ApiVersionsResponse {
            error_code: error.code(),
            api_keys: keys
                .iter()
                .map(|&(api_key, min_version, max_version)| ApiVersion {
                    api_key,
                    min_version,
                    max_version,
                })
                .collect(),
            ..ApiVersionsResponse::default()
        }
    }

    #[test]
    fn the_highest_common_version_that_requests_are_written_for_is_picked() {
        let versions = Versions::of(&response(
            ErrorCode::None,
            &[(18, 0, 4), (0, 0, 7), (8, 0, 99), (3, 90, 99)],
        ));
        assert_eq!(versions.pick(ApiKey::Produce), Some(7));
        assert_eq!(versions.pick(ApiKey::OffsetCommit), Some(9), "by name");
        let metadata = versions.pick(ApiKey::Metadata);
        assert_eq!(metadata, None, "theirs start above ours");
        assert_eq!(versions.pick(ApiKey::Fetch), None, "not served");
    }

    #[test]
    fn an_unknown_version_of_api_versions_is_asked_again_lower() {
        let again = |keys: &[_], asked| match judge(
            &response(ErrorCode::UnsupportedVersion, keys),
            asked,
        ) {
            Negotiated::AskAgain(version) => Some(version),
            _ => None,
        };
        assert_eq!(again(&[(18, 0, 3)], 4), Some(3));
        assert_eq!(again(&[], 4), Some(0));
        assert_eq!(again(&[(18, 0, 9)], 4), Some(3), "never the same again");
        assert_eq!(again(&[], 0), None, "and not for ever");
    }
}
