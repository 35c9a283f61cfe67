//! Kafka's error codes.
//!
//! Responses hold bare `int16`s; this is what they mean. Whether an error is worth a retry is
//! as Kafka's own clients see it.

macro_rules! error_codes {
    ($($code:literal, $variant:ident, $name:ident, $retriable:literal, $message:literal;)*) => {
        /// An error code as responses carry it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $($variant = $code,)*
        }

        impl ErrorCode {
            /// Kafka's name, such as `NOT_LEADER_OR_FOLLOWER`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            /// What happened, in a few words.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)*
                }
            }

            /// Whether the same request may succeed later.
            pub const fn retriable(self) -> bool {
                match self {
                    $(Self::$variant => $retriable,)*
                }
            }
        }

        /// A code that is not known reads as [`ErrorCode::UnknownServerError`], as in Kafka's clients.
        impl From<i16> for ErrorCode {
            fn from(code: i16) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::UnknownServerError,
                }
            }
        }
    };
}

// code, variant, Kafka's name, retriable, message
error_codes! {
    -1, UnknownServerError, UNKNOWN_SERVER_ERROR, false, "the server met an unexpected error";
    0, None, NONE, false, "no error";
    1, OffsetOutOfRange, OFFSET_OUT_OF_RANGE, false, "the offset lies outside the log";
    2, CorruptMessage, CORRUPT_MESSAGE, true, "the message's checksum or size is wrong, or its content is corrupt";
    3, UnknownTopicOrPartition, UNKNOWN_TOPIC_OR_PARTITION, true, "the topic or partition is not on this server";
    4, InvalidFetchSize, INVALID_FETCH_SIZE, false, "the fetch size is invalid";
    5, LeaderNotAvailable, LEADER_NOT_AVAILABLE, true, "the partition has no leader at the moment";
    6, NotLeaderOrFollower, NOT_LEADER_OR_FOLLOWER, true, "this broker does not lead the partition, or has no replica of it";
    7, RequestTimedOut, REQUEST_TIMED_OUT, true, "the request timed out";
    8, BrokerNotAvailable, BROKER_NOT_AVAILABLE, false, "the broker is not available";
    9, ReplicaNotAvailable, REPLICA_NOT_AVAILABLE, true, "the replica is not available";
    10, MessageTooLarge, MESSAGE_TOO_LARGE, false, "the message is larger than the server accepts";
    11, StaleControllerEpoch, STALE_CONTROLLER_EPOCH, false, "the controller has moved to another broker";
    12, OffsetMetadataTooLarge, OFFSET_METADATA_TOO_LARGE, false, "the offset's metadata is too long";
    13, NetworkException, NETWORK_EXCEPTION, true, "the connection broke before the response came";
    14, CoordinatorLoadInProgress, COORDINATOR_LOAD_IN_PROGRESS, true, "the coordinator is still loading";
    15, CoordinatorNotAvailable, COORDINATOR_NOT_AVAILABLE, true, "the coordinator is not available";
    16, NotCoordinator, NOT_COORDINATOR, true, "this broker is not the coordinator";
    17, InvalidTopicException, INVALID_TOPIC_EXCEPTION, false, "the topic's name is invalid, or the topic may not be written";
    18, RecordListTooLarge, RECORD_LIST_TOO_LARGE, false, "the batch is larger than a segment";
    19, NotEnoughReplicas, NOT_ENOUGH_REPLICAS, true, "fewer replicas are in sync than the topic requires";
    20, NotEnoughReplicasAfterAppend, NOT_ENOUGH_REPLICAS_AFTER_APPEND, true, "written, but to fewer in-sync replicas than the topic requires";
    21, InvalidRequiredAcks, INVALID_REQUIRED_ACKS, false, "the required acks are none of -1, 0 and 1";
    22, IllegalGeneration, ILLEGAL_GENERATION, false, "the group is in another generation";
    23, InconsistentGroupProtocol, INCONSISTENT_GROUP_PROTOCOL, false, "the member's protocols have nothing in common with the group's";
    24, InvalidGroupId, INVALID_GROUP_ID, false, "the group id is invalid";
    25, UnknownMemberId, UNKNOWN_MEMBER_ID, false, "the coordinator does not know this member";
    26, InvalidSessionTimeout, INVALID_SESSION_TIMEOUT, false, "the session timeout lies outside the broker's bounds";
    27, RebalanceInProgress, REBALANCE_IN_PROGRESS, false, "the group is rebalancing; the member has to rejoin";
    28, InvalidCommitOffsetSize, INVALID_COMMIT_OFFSET_SIZE, false, "the committed offsets are too large";
    29, TopicAuthorizationFailed, TOPIC_AUTHORIZATION_FAILED, false, "no authorization for the topic";
    30, GroupAuthorizationFailed, GROUP_AUTHORIZATION_FAILED, false, "no authorization for the group";
    31, ClusterAuthorizationFailed, CLUSTER_AUTHORIZATION_FAILED, false, "no authorization for the cluster";
    32, InvalidTimestamp, INVALID_TIMESTAMP, false, "the message's timestamp is out of bounds";
    33, UnsupportedSaslMechanism, UNSUPPORTED_SASL_MECHANISM, false, "the SASL mechanism is not supported";
    34, IllegalSaslState, ILLEGAL_SASL_STATE, false, "the request does not fit the state of authentication";
    35, UnsupportedVersion, UNSUPPORTED_VERSION, false, "the version is not supported";
    36, TopicAlreadyExists, TOPIC_ALREADY_EXISTS, false, "the topic exists already";
    37, InvalidPartitions, INVALID_PARTITIONS, false, "the number of partitions is invalid";
    38, InvalidReplicationFactor, INVALID_REPLICATION_FACTOR, false, "the replication factor is below 1 or above the number of brokers";
    39, InvalidReplicaAssignment, INVALID_REPLICA_ASSIGNMENT, false, "the replica assignment is invalid";
    40, InvalidConfig, INVALID_CONFIG, false, "the configuration is invalid";
    41, NotController, NOT_CONTROLLER, true, "this broker is not the controller";
    42, InvalidRequest, INVALID_REQUEST, false, "the request is malformed or contradicts itself";
    43, UnsupportedForMessageFormat, UNSUPPORTED_FOR_MESSAGE_FORMAT, false, "the message format does not support the request";
    44, PolicyViolation, POLICY_VIOLATION, false, "a policy forbids the request";
    45, OutOfOrderSequenceNumber, OUT_OF_ORDER_SEQUENCE_NUMBER, false, "a sequence number is missing before this batch";
    46, DuplicateSequenceNumber, DUPLICATE_SEQUENCE_NUMBER, false, "the sequence number was used before";
    47, InvalidProducerEpoch, INVALID_PRODUCER_EPOCH, false, "the producer's epoch is old";
    48, InvalidTxnState, INVALID_TXN_STATE, false, "the transaction is in a state that does not allow this";
    49, InvalidProducerIdMapping, INVALID_PRODUCER_ID_MAPPING, false, "the producer id does not belong to the transactional id";
    50, InvalidTransactionTimeout, INVALID_TRANSACTION_TIMEOUT, false, "the transaction timeout is above the broker's maximum";
    51, ConcurrentTransactions, CONCURRENT_TRANSACTIONS, true, "another operation on the transaction is under way";
    52, TransactionCoordinatorFenced, TRANSACTION_COORDINATOR_FENCED, false, "the transaction's coordinator has been replaced";
    53, TransactionalIdAuthorizationFailed, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, false, "no authorization for the transactional id";
    54, SecurityDisabled, SECURITY_DISABLED, false, "security is not enabled";
    55, OperationNotAttempted, OPERATION_NOT_ATTEMPTED, false, "the operation was not attempted, because another failed";
    56, KafkaStorageError, KAFKA_STORAGE_ERROR, true, "the disk failed under the log";
    57, LogDirNotFound, LOG_DIR_NOT_FOUND, false, "the log directory is not one of the broker's";
    58, SaslAuthenticationFailed, SASL_AUTHENTICATION_FAILED, false, "authentication failed";
    59, UnknownProducerId, UNKNOWN_PRODUCER_ID, false, "the broker knows nothing of this producer id";
    60, ReassignmentInProgress, REASSIGNMENT_IN_PROGRESS, false, "the partition is being reassigned";
    61, DelegationTokenAuthDisabled, DELEGATION_TOKEN_AUTH_DISABLED, false, "delegation tokens are not enabled";
    62, DelegationTokenNotFound, DELEGATION_TOKEN_NOT_FOUND, false, "the delegation token does not exist";
    63, DelegationTokenOwnerMismatch, DELEGATION_TOKEN_OWNER_MISMATCH, false, "the principal neither owns nor may renew the token";
    64, DelegationTokenRequestNotAllowed, DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, false, "delegation tokens may not be asked for on this channel";
    65, DelegationTokenAuthorizationFailed, DELEGATION_TOKEN_AUTHORIZATION_FAILED, false, "no authorization for the delegation token";
    66, DelegationTokenExpired, DELEGATION_TOKEN_EXPIRED, false, "the delegation token has expired";
    67, InvalidPrincipalType, INVALID_PRINCIPAL_TYPE, false, "the type of principal is not supported";
    68, NonEmptyGroup, NON_EMPTY_GROUP, false, "the group is not empty";
    69, GroupIdNotFound, GROUP_ID_NOT_FOUND, false, "the group does not exist";
    70, FetchSessionIdNotFound, FETCH_SESSION_ID_NOT_FOUND, true, "the fetch session does not exist";
    71, InvalidFetchSessionEpoch, INVALID_FETCH_SESSION_EPOCH, true, "the fetch session is at another epoch";
    72, ListenerNotFound, LISTENER_NOT_FOUND, true, "the partition's leader has no listener of this name";
    73, TopicDeletionDisabled, TOPIC_DELETION_DISABLED, false, "topics may not be deleted";
    74, FencedLeaderEpoch, FENCED_LEADER_EPOCH, true, "the leader epoch is older than the broker's";
    75, UnknownLeaderEpoch, UNKNOWN_LEADER_EPOCH, true, "the leader epoch is newer than the broker's";
    76, UnsupportedCompressionType, UNSUPPORTED_COMPRESSION_TYPE, false, "the compression type is not supported";
    77, StaleBrokerEpoch, STALE_BROKER_EPOCH, false, "the broker's epoch has changed";
    78, OffsetNotAvailable, OFFSET_NOT_AVAILABLE, true, "the high watermark has not caught up since the election";
    79, MemberIdRequired, MEMBER_ID_REQUIRED, false, "the member needs a member id before it may join";
    80, PreferredLeaderNotAvailable, PREFERRED_LEADER_NOT_AVAILABLE, true, "the preferred leader is not available";
    81, GroupMaxSizeReached, GROUP_MAX_SIZE_REACHED, false, "the group is full";
    82, FencedInstanceId, FENCED_INSTANCE_ID, false, "another member has taken the group instance id";
    83, EligibleLeadersNotAvailable, ELIGIBLE_LEADERS_NOT_AVAILABLE, true, "no replica may become leader";
    84, ElectionNotNeeded, ELECTION_NOT_NEEDED, true, "an election is not needed";
    85, NoReassignmentInProgress, NO_REASSIGNMENT_IN_PROGRESS, false, "no reassignment is in progress";
    86, GroupSubscribedToTopic, GROUP_SUBSCRIBED_TO_TOPIC, false, "the group is subscribed to the topic";
    87, InvalidRecord, INVALID_RECORD, false, "a record in the batch is invalid";
    88, UnstableOffsetCommit, UNSTABLE_OFFSET_COMMIT, true, "there are offsets of an open transaction";
    89, ThrottlingQuotaExceeded, THROTTLING_QUOTA_EXCEEDED, true, "a quota is exceeded";
    90, ProducerFenced, PRODUCER_FENCED, false, "a newer producer has the same transactional id";
    91, ResourceNotFound, RESOURCE_NOT_FOUND, false, "the resource does not exist";
    92, DuplicateResource, DUPLICATE_RESOURCE, false, "the request names a resource twice";
    93, UnacceptableCredential, UNACCEPTABLE_CREDENTIAL, false, "the credential is not acceptable";
    94, InconsistentVoterSet, INCONSISTENT_VOTER_SET, false, "the peers do not agree on who votes";
    95, InvalidUpdateVersion, INVALID_UPDATE_VERSION, false, "the version of the update is invalid";
    96, FeatureUpdateFailed, FEATURE_UPDATE_FAILED, false, "the feature could not be updated";
    97, PrincipalDeserializationFailure, PRINCIPAL_DESERIALIZATION_FAILURE, false, "the principal could not be read";
    98, SnapshotNotFound, SNAPSHOT_NOT_FOUND, false, "the snapshot does not exist";
    99, PositionOutOfRange, POSITION_OUT_OF_RANGE, false, "the position lies outside the snapshot";
    100, UnknownTopicId, UNKNOWN_TOPIC_ID, true, "no topic with this id is on this server";
    101, DuplicateBrokerRegistration, DUPLICATE_BROKER_REGISTRATION, false, "the broker id is in use";
    102, BrokerIdNotRegistered, BROKER_ID_NOT_REGISTERED, false, "the broker id is not registered";
    103, InconsistentTopicId, INCONSISTENT_TOPIC_ID, true, "the log's topic id is not the request's";
    104, InconsistentClusterId, INCONSISTENT_CLUSTER_ID, false, "the cluster id is not the server's";
    105, TransactionalIdNotFound, TRANSACTIONAL_ID_NOT_FOUND, false, "the transactional id does not exist";
    106, FetchSessionTopicIdError, FETCH_SESSION_TOPIC_ID_ERROR, true, "the fetch session mixes topic ids and names";
    107, IneligibleReplica, INELIGIBLE_REPLICA, false, "a replica of the new ISR is not eligible";
    108, NewLeaderElected, NEW_LEADER_ELECTED, false, "the partition has changed, and its leader with it";
    109, OffsetMovedToTieredStorage, OFFSET_MOVED_TO_TIERED_STORAGE, false, "the offset has moved to tiered storage";
    110, FencedMemberEpoch, FENCED_MEMBER_EPOCH, false, "the coordinator has fenced the member's epoch";
    111, UnreleasedInstanceId, UNRELEASED_INSTANCE_ID, false, "another member still holds the group instance id";
    112, UnsupportedAssignor, UNSUPPORTED_ASSIGNOR, false, "the assignor is not supported";
    113, StaleMemberEpoch, STALE_MEMBER_EPOCH, false, "the member's epoch is stale";
    114, MismatchedEndpointType, MISMATCHED_ENDPOINT_TYPE, false, "the endpoint is of another type";
    115, UnsupportedEndpointType, UNSUPPORTED_ENDPOINT_TYPE, false, "the type of endpoint is not supported";
    116, UnknownControllerId, UNKNOWN_CONTROLLER_ID, false, "the controller id is not known";
    117, UnknownSubscriptionId, UNKNOWN_SUBSCRIPTION_ID, false, "the telemetry subscription is not known";
    118, TelemetryTooLarge, TELEMETRY_TOO_LARGE, false, "the telemetry is too large";
    119, InvalidRegistration, INVALID_REGISTRATION, false, "the broker's registration is invalid";
    120, TransactionAbortable, TRANSACTION_ABORTABLE, false, "the transaction has to be aborted";
    121, InvalidRecordState, INVALID_RECORD_STATE, false, "the record's acknowledgement does not fit its state";
    122, ShareSessionNotFound, SHARE_SESSION_NOT_FOUND, true, "the share session does not exist";
    123, InvalidShareSessionEpoch, INVALID_SHARE_SESSION_EPOCH, true, "the share session is at another epoch";
    124, FencedStateEpoch, FENCED_STATE_EPOCH, false, "the share group's state is at another epoch";
    125, InvalidVoterKey, INVALID_VOTER_KEY, false, "the voter's key is not this replica's";
    126, DuplicateVoter, DUPLICATE_VOTER, false, "the voter is one already";
    127, VoterNotFound, VOTER_NOT_FOUND, false, "the voter is not one of the voters";
    128, InvalidRegularExpression, INVALID_REGULAR_EXPRESSION, false, "the regular expression is invalid";
    129, RebootstrapRequired, REBOOTSTRAP_REQUIRED, false, "the metadata is stale; the client has to bootstrap anew";
    130, StreamsInvalidTopology, STREAMS_INVALID_TOPOLOGY, false, "the topology is invalid";
    131, StreamsInvalidTopologyEpoch, STREAMS_INVALID_TOPOLOGY_EPOCH, false, "the topology's epoch is invalid";
    132, StreamsTopologyFenced, STREAMS_TOPOLOGY_FENCED, false, "the topology's epoch is old";
    133, ShareSessionLimitReached, SHARE_SESSION_LIMIT_REACHED, true, "there are too many share sessions";
}

impl ErrorCode {
    /// The code as it stands in a response.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether it is an error at all.
    pub const fn is_err(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message(), self.name())
    }
}

impl std::error::Error for ErrorCode {}
