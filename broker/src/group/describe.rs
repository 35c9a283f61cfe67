//! DescribeGroups, ListGroups and DeleteGroups.

use std::collections::BTreeSet;

use protocol::Str;
use protocol::api::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use protocol::api::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use protocol::api::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use protocol::error::ErrorCode;

use super::coordinator::answer;
use super::core::{Event, Group, MemberRecord, Reply, State};
use super::membership::error_of;
use super::{GroupCoordinator, OffsetsLog};

/// What may be done to a group where nothing is forbidden: read (3), delete (6), describe (8), as a
/// set of bits.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;

impl<L: OffsetsLog> GroupCoordinator<L> {
    /// DescribeGroups.
    pub(crate) fn describe(
        &self,
        version: i16,
        request: &DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let operations = if request.include_authorized_operations {
            ALL_OPERATIONS
        } else {
            i32::MIN
        };
        let describe = |id: &Str| {
            let described = if id.is_empty() {
                Err(ErrorCode::InvalidGroupId)
            } else {
                self.of(id).and_then(|partition| {
                    partition.look(|shard| shard.group(id).map(|group| describe(id.clone(), group)))
                })
            };
            match described {
                Ok(Some(group)) => DescribedGroup {
                    authorized_operations: operations,
                    ..group
                },
                Ok(None) => unknown(version, id.clone()),
                Err(error) => DescribedGroup {
                    error_code: error as i16,
                    group_id: id.clone(),
                    ..DescribedGroup::default()
                },
            }
        };
        // A group named a million times is described once: its members' metadata may be large.
        let mut seen = BTreeSet::new();
        let groups = request.groups.iter().filter(|id| seen.insert(*id));
        let groups = groups.map(describe).collect();
        DescribeGroupsResponse {
            throttle_time_ms: 0,
            groups,
        }
    }

    /// ListGroups: all groups that this broker coordinates, unless some are still being loaded.
    pub(crate) fn list(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let matches = |filter: &[Str], name: &str| {
            filter.is_empty()
                || filter
                    .iter()
                    .any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        let mut response = ListGroupsResponse::default();
        if !matches(&request.types_filter, "classic") {
            return response;
        }
        for partition in self.loaded() {
            let listed = partition.look(|shard| {
                let wanted = shard
                    .groups()
                    .filter(|(_, group)| matches(&request.states_filter, group.state().name()));
                let listed = wanted.map(|(id, group)| ListedGroup {
                    group_id: id.to_owned().into(),
                    protocol_type: group.protocol_type().to_owned().into(),
                    group_state: Str::from(group.state().name()),
                    group_type: Str::from("classic"),
                });
                listed.collect::<Vec<_>>()
            });
            match listed {
                Ok(listed) => response.groups.extend(listed),
                // It has gone to another broker in this moment, which will list it.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => {
                    let error_code = error as i16;
                    return ListGroupsResponse {
                        error_code,
                        ..ListGroupsResponse::default()
                    };
                }
            }
        }
        response
    }

    /// DeleteGroups; answered when the log has the tombstones.
    pub(crate) async fn delete(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut names = request.groups_names;
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        // All are under way before the first is awaited, so that one append can serve many.
        let delete = |name: &Str| {
            self.send(name, |reply_to| Event::DeleteGroup {
                group: name.to_string(),
                reply_to,
            })
        };
        let sent: Vec<_> = names.iter().map(delete).collect();
        let mut response = DeleteGroupsResponse::default();
        for (group_id, sent) in names.into_iter().zip(sent) {
            let error = match answer(sent).await {
                Ok(Reply::DeleteGroup(error)) => error,
                other => error_of(other),
            };
            response.results.push(DeletableGroupResult {
                group_id,
                error_code: error as i16,
            });
        }
        response
    }
}

fn describe(group_id: Str, group: &Group) -> DescribedGroup {
    // The metadata means something only beside the protocol that was chosen by it.
    let stable = *group.state() == State::Stable;
    let member = |member: MemberRecord| DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Str::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: if stable {
            member.subscription
        } else {
            bytes::Bytes::new()
        },
        member_assignment: member.assignment,
    };
    DescribedGroup {
        group_id,
        group_state: Str::from(group.state().name()),
        protocol_type: group.protocol_type().to_owned().into(),
        protocol_data: group
            .protocol_name()
            .filter(|_| stable)
            .map(|name| Str::from(name.to_owned()))
            .unwrap_or_default(),
        members: group.members().into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

/// A group that does not exist is dead; from version 6 on that is an error, too (KIP-1043).
fn unknown(version: i16, group_id: Str) -> DescribedGroup {
    let mut group = DescribedGroup {
        group_state: Str::from("Dead"),
        ..DescribedGroup::default()
    };
    if version >= 6 {
        group.error_code = ErrorCode::GroupIdNotFound as i16;
        group.error_message = Some(format!("Group {group_id} not found.").into());
    }
    DescribedGroup { group_id, ..group }
}
