//! What each request means. One file an API (admin requests of a kind share one), each
//! in the same three steps: parse, apply, answer. Nothing here knows sockets or files.

mod api_versions;
mod configs;
mod delete_records;
mod describe_cluster;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod groups;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod partitions;
mod produce;
mod topics;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{
    ApiKey, DecodeError, ErrorCode, Message, Reader, RequestHeader, Str, encode_response,
};

use crate::broker::Inner;
use crate::error::Refusal;
use crate::net::{Answer, Client};

pub(crate) use fetch::Sessions;
pub(crate) use produce::Unacknowledged;

/// What every request of a connection has in common.
pub(crate) struct Context<'a> {
    pub(crate) broker: &'a Arc<Inner>,
    pub(crate) client: &'a Client,
    pub(crate) header: &'a RequestHeader,
    pub(crate) key: ApiKey,
}

impl Context<'_> {
    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The answer to this request.
    pub(crate) fn answer(&self, response: &impl Message) -> Answer {
        Answer::Now(
            encode_response(
                self.header.correlation_id,
                response,
                self.key,
                self.version(),
            )
            .into(),
        )
    }
}

/// The API that a request is for, if that version of it is served. Any version of
/// ApiVersions is, as its answer tells the client which it may use (KIP-511).
pub(crate) fn served(header: &RequestHeader) -> Option<ApiKey> {
    let key = ApiKey::try_from(header.api_key).ok()?;
    let known = key == ApiKey::ApiVersions || key.versions().contains(&header.api_version);
    known.then_some(key)
}

/// Starts a request. A body that does not decode ends the connection.
pub(crate) async fn handle(
    broker: &Arc<Inner>,
    client: &Client,
    key: ApiKey,
    header: &RequestHeader,
    body: &mut Reader,
) -> Answer {
    let context = Context {
        broker,
        client,
        header,
        key,
    };
    match dispatch(&context, body).await {
        Ok(answer) => answer,
        Err(error) => Answer::Close(format!(
            "its {} version {} does not decode: {error}",
            key.name(),
            header.api_version
        )),
    }
}

async fn dispatch(context: &Context<'_>, body: &mut Reader) -> Result<Answer, DecodeError> {
    let version = context.version();
    macro_rules! with {
        ($handler:path) => {{
            let request = Message::decode(body, version)?;
            let response = $handler(context, request).await;
            context.answer(&response)
        }};
    }
    Ok(match context.key {
        ApiKey::Produce => produce::handle(context, Message::decode(body, version)?),
        ApiKey::Fetch => fetch::handle(context, Message::decode(body, version)?),
        ApiKey::ApiVersions => api_versions::handle(context, body),
        ApiKey::ListOffsets => with!(list_offsets::handle),
        ApiKey::Metadata => with!(metadata::handle),
        ApiKey::FindCoordinator => with!(find_coordinator::handle),
        ApiKey::InitProducerId => with!(init_producer_id::handle),
        ApiKey::CreateTopics => with!(topics::create),
        ApiKey::DeleteTopics => with!(topics::delete),
        ApiKey::DescribeCluster => with!(describe_cluster::handle),
        ApiKey::OffsetCommit => with!(groups::offset_commit),
        ApiKey::OffsetFetch => with!(groups::offset_fetch),
        ApiKey::OffsetDelete => with!(groups::offset_delete),
        ApiKey::JoinGroup => with!(groups::join),
        ApiKey::SyncGroup => with!(groups::sync),
        ApiKey::Heartbeat => with!(groups::heartbeat),
        ApiKey::LeaveGroup => with!(groups::leave),
        ApiKey::DescribeGroups => with!(groups::describe),
        ApiKey::ListGroups => with!(groups::list),
        ApiKey::DeleteGroups => with!(groups::delete),
        ApiKey::CreatePartitions => with!(partitions::create),
        ApiKey::DeleteRecords => with!(delete_records::handle),
        ApiKey::OffsetForLeaderEpoch => with!(offset_for_leader_epoch::handle),
        ApiKey::DescribeConfigs => with!(configs::describe),
        ApiKey::AlterConfigs => with!(configs::alter),
        ApiKey::IncrementalAlterConfigs => with!(configs::alter_incrementally),
        ApiKey::DescribeLogDirs => with!(describe_log_dirs::handle),
        ApiKey::DescribeTopicPartitions => with!(describe_topic_partitions::handle),
    })
}

/// What an answer says of a change.
fn told(result: Result<(), Refusal>) -> (i16, Option<Str>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err(error) => (error.code.code(), Some(error.message.into())),
    }
}

/// Takes out what a request names more than once, as nothing says which mention counts; gives what
/// is left, and the names of the rest, which are refused.
fn named_once<T, K: Ord>(mut all: Vec<T>, name: impl Fn(&T) -> K) -> (Vec<T>, BTreeSet<K>) {
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for one in &all {
        if let Some(name) = seen.replace(name(one)) {
            repeated.insert(name);
        }
    }
    if !repeated.is_empty() {
        all.retain(|one| !repeated.contains(&name(one)));
    }
    (all, repeated)
}

/// The refusal of what was named more than once.
fn repeated(message: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_told_once_and_left_out() {
        let (once, repeated) = named_once(vec!["a", "b", "a", "c", "a"], |name| *name);
        assert_eq!(once, ["b", "c"]);
        assert_eq!(repeated, BTreeSet::from(["a"]));
    }
}
