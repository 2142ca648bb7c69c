//! Every error that the protocol can carry. Source: Kafka 3.9, `Errors.java`.

use std::fmt;

macro_rules! error_codes {
    ($($code:literal $name:ident $wire:literal $message:literal,)*) => {
        /// A protocol error code. Displays as Kafka names it, for instance `NOT_LEADER_OR_FOLLOWER`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $message] $name = $code,)*
        }

        impl ErrorCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code that stands for `code` on the wire; unknown ones are [`Self::UnknownServerError`], as clients take them.
            #[must_use]
            pub const fn from_code(code: i16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::UnknownServerError,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Kafka's name, in capitals.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $wire,)*
                }
            }

            /// What happened, in words for a person.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }
        }
    };
}

error_codes! {
    -1 UnknownServerError "UNKNOWN_SERVER_ERROR" "Unknown server error.",
    0 None "NONE" "None.",
    1 OffsetOutOfRange "OFFSET_OUT_OF_RANGE" "Offset out of range.",
    2 CorruptMessage "CORRUPT_MESSAGE" "Corrupt message.",
    3 UnknownTopicOrPartition "UNKNOWN_TOPIC_OR_PARTITION" "Unknown topic or partition.",
    4 InvalidFetchSize "INVALID_FETCH_SIZE" "Invalid fetch size.",
    5 LeaderNotAvailable "LEADER_NOT_AVAILABLE" "Leader not available.",
    6 NotLeaderOrFollower "NOT_LEADER_OR_FOLLOWER" "Not leader or follower.",
    7 RequestTimedOut "REQUEST_TIMED_OUT" "Request timed out.",
    8 BrokerNotAvailable "BROKER_NOT_AVAILABLE" "Broker not available.",
    9 ReplicaNotAvailable "REPLICA_NOT_AVAILABLE" "Replica not available.",
    10 MessageTooLarge "MESSAGE_TOO_LARGE" "Message too large.",
    11 StaleControllerEpoch "STALE_CONTROLLER_EPOCH" "Stale controller epoch.",
    12 OffsetMetadataTooLarge "OFFSET_METADATA_TOO_LARGE" "Offset metadata too large.",
    13 NetworkException "NETWORK_EXCEPTION" "Network exception.",
    14 CoordinatorLoadInProgress "COORDINATOR_LOAD_IN_PROGRESS" "Coordinator load in progress.",
    15 CoordinatorNotAvailable "COORDINATOR_NOT_AVAILABLE" "Coordinator not available.",
    16 NotCoordinator "NOT_COORDINATOR" "Not coordinator.",
    17 InvalidTopicException "INVALID_TOPIC_EXCEPTION" "Invalid topic exception.",
    18 RecordListTooLarge "RECORD_LIST_TOO_LARGE" "Record list too large.",
    19 NotEnoughReplicas "NOT_ENOUGH_REPLICAS" "Not enough replicas.",
    20 NotEnoughReplicasAfterAppend "NOT_ENOUGH_REPLICAS_AFTER_APPEND" "Not enough replicas after append.",
    21 InvalidRequiredAcks "INVALID_REQUIRED_ACKS" "Invalid required acks.",
    22 IllegalGeneration "ILLEGAL_GENERATION" "Illegal generation.",
    23 InconsistentGroupProtocol "INCONSISTENT_GROUP_PROTOCOL" "Inconsistent group protocol.",
    24 InvalidGroupId "INVALID_GROUP_ID" "Invalid group id.",
    25 UnknownMemberId "UNKNOWN_MEMBER_ID" "Unknown member id.",
    26 InvalidSessionTimeout "INVALID_SESSION_TIMEOUT" "Invalid session timeout.",
    27 RebalanceInProgress "REBALANCE_IN_PROGRESS" "Rebalance in progress.",
    28 InvalidCommitOffsetSize "INVALID_COMMIT_OFFSET_SIZE" "Invalid commit offset size.",
    29 TopicAuthorizationFailed "TOPIC_AUTHORIZATION_FAILED" "Topic authorization failed.",
    30 GroupAuthorizationFailed "GROUP_AUTHORIZATION_FAILED" "Group authorization failed.",
    31 ClusterAuthorizationFailed "CLUSTER_AUTHORIZATION_FAILED" "Cluster authorization failed.",
    32 InvalidTimestamp "INVALID_TIMESTAMP" "Invalid timestamp.",
    33 UnsupportedSaslMechanism "UNSUPPORTED_SASL_MECHANISM" "Unsupported sasl mechanism.",
    34 IllegalSaslState "ILLEGAL_SASL_STATE" "Illegal sasl state.",
    35 UnsupportedVersion "UNSUPPORTED_VERSION" "Unsupported version.",
    36 TopicAlreadyExists "TOPIC_ALREADY_EXISTS" "Topic already exists.",
    37 InvalidPartitions "INVALID_PARTITIONS" "Invalid partitions.",
    38 InvalidReplicationFactor "INVALID_REPLICATION_FACTOR" "Invalid replication factor.",
    39 InvalidReplicaAssignment "INVALID_REPLICA_ASSIGNMENT" "Invalid replica assignment.",
    40 InvalidConfig "INVALID_CONFIG" "Invalid config.",
    41 NotController "NOT_CONTROLLER" "Not controller.",
    42 InvalidRequest "INVALID_REQUEST" "Invalid request.",
    43 UnsupportedForMessageFormat "UNSUPPORTED_FOR_MESSAGE_FORMAT" "Unsupported for message format.",
    44 PolicyViolation "POLICY_VIOLATION" "Policy violation.",
    45 OutOfOrderSequenceNumber "OUT_OF_ORDER_SEQUENCE_NUMBER" "Out of order sequence number.",
    46 DuplicateSequenceNumber "DUPLICATE_SEQUENCE_NUMBER" "Duplicate sequence number.",
    47 InvalidProducerEpoch "INVALID_PRODUCER_EPOCH" "Invalid producer epoch.",
    48 InvalidTxnState "INVALID_TXN_STATE" "Invalid txn state.",
    49 InvalidProducerIdMapping "INVALID_PRODUCER_ID_MAPPING" "Invalid producer id mapping.",
    50 InvalidTransactionTimeout "INVALID_TRANSACTION_TIMEOUT" "Invalid transaction timeout.",
    51 ConcurrentTransactions "CONCURRENT_TRANSACTIONS" "Concurrent transactions.",
    52 TransactionCoordinatorFenced "TRANSACTION_COORDINATOR_FENCED" "Transaction coordinator fenced.",
    53 TransactionalIdAuthorizationFailed "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" "Transactional id authorization failed.",
    54 SecurityDisabled "SECURITY_DISABLED" "Security disabled.",
    55 OperationNotAttempted "OPERATION_NOT_ATTEMPTED" "Operation not attempted.",
    56 KafkaStorageError "KAFKA_STORAGE_ERROR" "Kafka storage error.",
    57 LogDirNotFound "LOG_DIR_NOT_FOUND" "Log dir not found.",
    58 SaslAuthenticationFailed "SASL_AUTHENTICATION_FAILED" "Sasl authentication failed.",
    59 UnknownProducerId "UNKNOWN_PRODUCER_ID" "Unknown producer id.",
    60 ReassignmentInProgress "REASSIGNMENT_IN_PROGRESS" "Reassignment in progress.",
    61 DelegationTokenAuthDisabled "DELEGATION_TOKEN_AUTH_DISABLED" "Delegation token auth disabled.",
    62 DelegationTokenNotFound "DELEGATION_TOKEN_NOT_FOUND" "Delegation token not found.",
    63 DelegationTokenOwnerMismatch "DELEGATION_TOKEN_OWNER_MISMATCH" "Delegation token owner mismatch.",
    64 DelegationTokenRequestNotAllowed "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED" "Delegation token request not allowed.",
    65 DelegationTokenAuthorizationFailed "DELEGATION_TOKEN_AUTHORIZATION_FAILED" "Delegation token authorization failed.",
    66 DelegationTokenExpired "DELEGATION_TOKEN_EXPIRED" "Delegation token expired.",
    67 InvalidPrincipalType "INVALID_PRINCIPAL_TYPE" "Invalid principal type.",
    68 NonEmptyGroup "NON_EMPTY_GROUP" "Non empty group.",
    69 GroupIdNotFound "GROUP_ID_NOT_FOUND" "Group id not found.",
    70 FetchSessionIdNotFound "FETCH_SESSION_ID_NOT_FOUND" "Fetch session id not found.",
    71 InvalidFetchSessionEpoch "INVALID_FETCH_SESSION_EPOCH" "Invalid fetch session epoch.",
    72 ListenerNotFound "LISTENER_NOT_FOUND" "Listener not found.",
    73 TopicDeletionDisabled "TOPIC_DELETION_DISABLED" "Topic deletion disabled.",
    74 FencedLeaderEpoch "FENCED_LEADER_EPOCH" "Fenced leader epoch.",
    75 UnknownLeaderEpoch "UNKNOWN_LEADER_EPOCH" "Unknown leader epoch.",
    76 UnsupportedCompressionType "UNSUPPORTED_COMPRESSION_TYPE" "Unsupported compression type.",
    77 StaleBrokerEpoch "STALE_BROKER_EPOCH" "Stale broker epoch.",
    78 OffsetNotAvailable "OFFSET_NOT_AVAILABLE" "Offset not available.",
    79 MemberIdRequired "MEMBER_ID_REQUIRED" "Member id required.",
    80 PreferredLeaderNotAvailable "PREFERRED_LEADER_NOT_AVAILABLE" "Preferred leader not available.",
    81 GroupMaxSizeReached "GROUP_MAX_SIZE_REACHED" "Group max size reached.",
    82 FencedInstanceId "FENCED_INSTANCE_ID" "Fenced instance id.",
    83 EligibleLeadersNotAvailable "ELIGIBLE_LEADERS_NOT_AVAILABLE" "Eligible leaders not available.",
    84 ElectionNotNeeded "ELECTION_NOT_NEEDED" "Election not needed.",
    85 NoReassignmentInProgress "NO_REASSIGNMENT_IN_PROGRESS" "No reassignment in progress.",
    86 GroupSubscribedToTopic "GROUP_SUBSCRIBED_TO_TOPIC" "Group subscribed to topic.",
    87 InvalidRecord "INVALID_RECORD" "Invalid record.",
    88 UnstableOffsetCommit "UNSTABLE_OFFSET_COMMIT" "Unstable offset commit.",
    89 ThrottlingQuotaExceeded "THROTTLING_QUOTA_EXCEEDED" "Throttling quota exceeded.",
    90 ProducerFenced "PRODUCER_FENCED" "Producer fenced.",
    91 ResourceNotFound "RESOURCE_NOT_FOUND" "Resource not found.",
    92 DuplicateResource "DUPLICATE_RESOURCE" "Duplicate resource.",
    93 UnacceptableCredential "UNACCEPTABLE_CREDENTIAL" "Unacceptable credential.",
    94 InconsistentVoterSet "INCONSISTENT_VOTER_SET" "Inconsistent voter set.",
    95 InvalidUpdateVersion "INVALID_UPDATE_VERSION" "Invalid update version.",
    96 FeatureUpdateFailed "FEATURE_UPDATE_FAILED" "Feature update failed.",
    97 PrincipalDeserializationFailure "PRINCIPAL_DESERIALIZATION_FAILURE" "Principal deserialization failure.",
    98 SnapshotNotFound "SNAPSHOT_NOT_FOUND" "Snapshot not found.",
    99 PositionOutOfRange "POSITION_OUT_OF_RANGE" "Position out of range.",
    100 UnknownTopicId "UNKNOWN_TOPIC_ID" "Unknown topic id.",
    101 DuplicateBrokerRegistration "DUPLICATE_BROKER_REGISTRATION" "Duplicate broker registration.",
    102 BrokerIdNotRegistered "BROKER_ID_NOT_REGISTERED" "Broker id not registered.",
    103 InconsistentTopicId "INCONSISTENT_TOPIC_ID" "Inconsistent topic id.",
    104 InconsistentClusterId "INCONSISTENT_CLUSTER_ID" "Inconsistent cluster id.",
    105 TransactionalIdNotFound "TRANSACTIONAL_ID_NOT_FOUND" "Transactional id not found.",
    106 FetchSessionTopicIdError "FETCH_SESSION_TOPIC_ID_ERROR" "Fetch session topic id error.",
    107 IneligibleReplica "INELIGIBLE_REPLICA" "Ineligible replica.",
    108 NewLeaderElected "NEW_LEADER_ELECTED" "New leader elected.",
    109 OffsetMovedToTieredStorage "OFFSET_MOVED_TO_TIERED_STORAGE" "Offset moved to tiered storage.",
    110 FencedMemberEpoch "FENCED_MEMBER_EPOCH" "Fenced member epoch.",
    111 UnreleasedInstanceId "UNRELEASED_INSTANCE_ID" "Unreleased instance id.",
    112 UnsupportedAssignor "UNSUPPORTED_ASSIGNOR" "Unsupported assignor.",
    113 StaleMemberEpoch "STALE_MEMBER_EPOCH" "Stale member epoch.",
    114 MismatchedEndpointType "MISMATCHED_ENDPOINT_TYPE" "Mismatched endpoint type.",
    115 UnsupportedEndpointType "UNSUPPORTED_ENDPOINT_TYPE" "Unsupported endpoint type.",
    116 UnknownControllerId "UNKNOWN_CONTROLLER_ID" "Unknown controller id.",
    117 UnknownSubscriptionId "UNKNOWN_SUBSCRIPTION_ID" "Unknown subscription id.",
    118 TelemetryTooLarge "TELEMETRY_TOO_LARGE" "Telemetry too large.",
    119 InvalidRegistration "INVALID_REGISTRATION" "Invalid registration.",
    120 TransactionAbortable "TRANSACTION_ABORTABLE" "Transaction abortable.",
    121 InvalidRecordState "INVALID_RECORD_STATE" "Invalid record state.",
    122 ShareSessionNotFound "SHARE_SESSION_NOT_FOUND" "Share session not found.",
    123 InvalidShareSessionEpoch "INVALID_SHARE_SESSION_EPOCH" "Invalid share session epoch.",
    124 FencedStateEpoch "FENCED_STATE_EPOCH" "Fenced state epoch.",
    125 InvalidVoterKey "INVALID_VOTER_KEY" "Invalid voter key.",
    126 DuplicateVoter "DUPLICATE_VOTER" "Duplicate voter.",
    127 VoterNotFound "VOTER_NOT_FOUND" "Voter not found.",
    128 InvalidRegularExpression "INVALID_REGULAR_EXPRESSION" "Invalid regular expression.",
}

impl ErrorCode {
    /// Whether the code says that something went wrong.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// No error: what a response says unless something went wrong.
impl Default for ErrorCode {
    fn default() -> Self {
        Self::None
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_one_to_one() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), code);
        }
        assert_eq!(ErrorCode::from_code(9_999), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::NotLeaderOrFollower.to_string(), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(ErrorCode::NotLeaderOrFollower.code(), 6);
    }
}
