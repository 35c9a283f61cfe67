//! Groups and their offsets.

use protocol::api::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};
use protocol::internal::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

use super::{
    Admin, BTreeMap, ClientError, Committed, Committer, Coordinator, TopicPartition, owned,
};

/// A group, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub group: String,
    /// `consumer` for groups that read topics.
    pub protocol_type: String,
    /// `Empty`, `Stable`, `PreparingRebalance`, …; empty where brokers do not tell.
    pub state: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its name.
    pub group: String,
    /// `Empty`, `Stable`, `PreparingRebalance`, `CompletingRebalance` or `Dead`.
    pub state: String,
    /// `consumer` for groups that read topics.
    pub protocol_type: String,
    /// The assignor in use.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: Option<i32>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// The name that it keeps over restarts, if it has one.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The topics that it subscribed to.
    pub topics: Vec<String>,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

impl Admin {
    /// All groups, asked of every broker.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        self.client.refresh().await?;
        let mut groups = BTreeMap::new();
        let brokers: Vec<i32> = self.client.cluster().brokers.keys().copied().collect();
        for broker in brokers {
            let request = ListGroupsRequest::default();
            let response = self.client.send_to(broker, &request).await?;
            ClientError::check(
                format!("broker {broker}'s groups"),
                response.error_code,
                None,
            )?;
            for group in &response.groups {
                groups.insert(
                    group.group_id.to_string(),
                    GroupListing {
                        group: group.group_id.to_string(),
                        protocol_type: group.protocol_type.to_string(),
                        state: group.group_state.to_string(),
                    },
                );
            }
        }
        Ok(groups.into_values().collect())
    }

    /// A group and its members. One that nobody knows is described as `Dead`.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = DescribeGroupsRequest {
            groups: vec![group.into()],
            include_authorized_operations: false,
        };
        let coordinator = self.coordinator(group);
        let response = coordinator
            .ask(&request, |response| {
                let code = response.groups.first().map_or(0, |group| group.error_code);
                // Since version 6 an unknown group is an error, before it was a dead one.
                if code == protocol::ErrorCode::GroupIdNotFound.code() {
                    0
                } else {
                    code
                }
            })
            .await?;
        let Some(described) = response.groups.into_iter().next() else {
            return Err(ClientError::unanswered(format!("group {group}")));
        };
        let mut members = Vec::new();
        for member in described.members {
            let subscribed = ConsumerProtocolSubscription::from_bytes(member.member_metadata);
            let assigned = ConsumerProtocolAssignment::from_bytes(member.member_assignment);
            // What other kinds of groups put there is theirs; before a sync it is empty.
            let topics = subscribed.map(|s| s.topics).unwrap_or_default();
            let assigned = assigned.map(|a| a.assigned_partitions).unwrap_or_default();
            members.push(GroupMember {
                member_id: member.member_id.to_string(),
                instance_id: owned(member.group_instance_id.as_ref()),
                client_id: member.client_id.to_string(),
                host: member.client_host.to_string(),
                topics: topics.iter().map(ToString::to_string).collect(),
                partitions: assigned
                    .iter()
                    .flat_map(|topic| {
                        let indexes = topic.partitions.iter();
                        indexes.map(|&index| TopicPartition::new(&*topic.topic, index))
                    })
                    .collect(),
            });
        }
        let state = match &*described.group_state {
            "" => "Dead".to_owned(),
            state => state.to_owned(),
        };
        Ok(GroupDescription {
            group: group.to_owned(),
            state,
            protocol_type: described.protocol_type.to_string(),
            assignor: described.protocol_data.to_string(),
            coordinator: coordinator.broker(),
            members,
        })
    }

    /// Deletes a group and its offsets. It must have no members.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest {
            groups_names: vec![group.into()],
        };
        let coordinator = self.coordinator(group);
        coordinator
            .ask(&request, |response| {
                response.results.first().map_or(0, |group| group.error_code)
            })
            .await?;
        Ok(())
    }

    /// A group's committed offsets, of all partitions that have one.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        self.coordinator(group).committed(None).await
    }

    /// Sets a group's committed offsets. It must have no members that read these topics.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        let coordinator = self.coordinator(group);
        coordinator.commit(&Committer::outside(), offsets).await
    }

    fn coordinator(&self, group: &str) -> Coordinator {
        Coordinator::new(self.client.clone(), group)
    }
}
