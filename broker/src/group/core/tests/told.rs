//! What a script's shard wrote and answered, in words.

use protocol::error::ErrorCode;

use crate::group::core::{Record, Reply, subscription};

/// Uuids of a script are small numbers: `a-…-0003` is told as `a#3`.
pub(super) fn short(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(at) = text.find("-00000000-0000-0000-0000-") {
        let number = text[at + 25..at + 37].trim_start_matches('0').to_owned();
        text.replace_range(at..at + 37, &format!("#{number}"));
    }
    text
}

fn metadata(bytes: &[u8]) -> String {
    match subscription::topics(bytes) {
        Some(topics) => format!("{{{}}}", topics.into_iter().collect::<Vec<_>>().join(",")),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

pub(super) fn record(record: &Record) -> String {
    match record {
        Record::Offset {
            topic,
            partition,
            value,
            ..
        } => match value {
            Some(value) => format!("{topic}-{partition}={}", value.offset),
            None => format!("{topic}-{partition}=X"),
        },
        Record::Group { value: None, .. } => "group=X".into(),
        Record::Group {
            value: Some(group), ..
        } => {
            let members = group.members.iter().map(|member| {
                format!(
                    "{}={}",
                    member.member_id,
                    String::from_utf8_lossy(&member.assignment)
                )
            });
            format!(
                "group={}[{}]",
                group.generation,
                members.collect::<Vec<_>>().join(" ")
            )
        }
    }
}

fn name(code: i16) -> &'static str {
    ErrorCode::from(code).name()
}

pub(super) fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Join(join) if join.error_code == 0 => {
            let members = join
                .members
                .iter()
                .map(|member| format!("{}{}", member.member_id, metadata(&member.metadata)));
            let members: Vec<_> = members.collect();
            let skip = if join.skip_assignment { " skip" } else { "" };
            let protocol = join.protocol_name.as_deref().unwrap_or_default();
            let (generation, id, leader) = (join.generation_id, &join.member_id, &join.leader);
            format!(
                "joined {generation} by {protocol} as {id} led by {leader}{skip} [{}]",
                members.join(" ")
            )
        }
        Reply::Join(join) => format!("{} {:?}", name(join.error_code), &*join.member_id),
        Reply::Sync(sync) if sync.error_code == 0 => {
            format!("assigned {:?}", String::from_utf8_lossy(&sync.assignment))
        }
        Reply::Sync(sync) => name(sync.error_code).into(),
        Reply::Heartbeat(error) | Reply::DeleteGroup(error) | Reply::Settled(error) => {
            error.name().into()
        }
        Reply::Leave(Err(error)) | Reply::DeleteOffsets(Err(error)) => {
            format!("all {}", error.name())
        }
        Reply::Leave(Ok(codes)) | Reply::DeleteOffsets(Ok(codes)) | Reply::Commit(codes) => codes
            .iter()
            .map(|code| code.name())
            .collect::<Vec<_>>()
            .join(" "),
    }
}
