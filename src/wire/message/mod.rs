//! One file per API: its request and response in every version, from one description each.

use std::ops::RangeInclusive;

use super::api_key::ApiKey;
use super::decoder::{DecodeError, Decoder};
use super::encoder::{EncodeError, Encoded, Encoder};
use super::schema::{Message, Request};

/// Why a message could not be read and written again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RewriteError {
    /// The bytes are no such message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What was read cannot be written: text that was not UTF-8 has grown beyond a string's length, see
    /// [`Str::from_wire`](super::Str::from_wire).
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

fn rewrite<M: Message>(input: &mut Decoder, version: i16) -> Result<Encoded, RewriteError> {
    let message = M::decode(input, version)?;
    let mut out = Encoder::new();
    message.encode(&mut out, version)?;
    Ok(out.finish())
}

/// Declares the messages of each API, and what is done with whichever of them a number names.
macro_rules! apis {
    ($($module:ident $key:ident $request:ident $response:ident;)*) => {
        $(
            pub mod $module;
            pub use $module::{$request, $response};

            impl Message for $request {
                const VERSIONS: RangeInclusive<i16> = ApiKey::$key.versions();
                const FLEXIBLE_FROM: Option<i16> = ApiKey::$key.flexible_from();
            }

            impl Message for $response {
                const VERSIONS: RangeInclusive<i16> = ApiKey::$key.versions();
                const FLEXIBLE_FROM: Option<i16> = ApiKey::$key.flexible_from();
            }

            impl Request for $request {
                const KEY: ApiKey = ApiKey::$key;
                type Response = $response;
            }
        )*

        /// Reads the body of a request whose API is only known at run time, and writes it again: for fuzzing and for
        /// looking at traffic.
        ///
        /// # Errors
        /// [`RewriteError::Decode`] when the bytes are no such request.
        pub fn rewrite_request(key: ApiKey, version: i16, input: &mut Decoder) -> Result<Encoded, RewriteError> {
            match key {
                $(ApiKey::$key => rewrite::<$request>(input, version),)*
            }
        }

        /// Reads the body of a response whose API is only known at run time, and writes it again.
        ///
        /// # Errors
        /// [`RewriteError::Decode`] when the bytes are no such response.
        pub fn rewrite_response(key: ApiKey, version: i16, input: &mut Decoder) -> Result<Encoded, RewriteError> {
            match key {
                $(ApiKey::$key => rewrite::<$response>(input, version),)*
            }
        }

        /// Shows every API to `visitor`, in the order of their keys.
        #[cfg(test)]
        fn visit_every_api(visitor: &mut impl tests::Visitor) {
            $(visitor.visit::<$request>();)*
        }
    };
}

apis! {
    produce Produce ProduceRequest ProduceResponse;
    fetch Fetch FetchRequest FetchResponse;
    list_offsets ListOffsets ListOffsetsRequest ListOffsetsResponse;
    metadata Metadata MetadataRequest MetadataResponse;
    leader_and_isr LeaderAndIsr LeaderAndIsrRequest LeaderAndIsrResponse;
    stop_replica StopReplica StopReplicaRequest StopReplicaResponse;
    update_metadata UpdateMetadata UpdateMetadataRequest UpdateMetadataResponse;
    controlled_shutdown ControlledShutdown ControlledShutdownRequest ControlledShutdownResponse;
    offset_commit OffsetCommit OffsetCommitRequest OffsetCommitResponse;
    offset_fetch OffsetFetch OffsetFetchRequest OffsetFetchResponse;
    find_coordinator FindCoordinator FindCoordinatorRequest FindCoordinatorResponse;
    join_group JoinGroup JoinGroupRequest JoinGroupResponse;
    heartbeat Heartbeat HeartbeatRequest HeartbeatResponse;
    leave_group LeaveGroup LeaveGroupRequest LeaveGroupResponse;
    sync_group SyncGroup SyncGroupRequest SyncGroupResponse;
    describe_groups DescribeGroups DescribeGroupsRequest DescribeGroupsResponse;
    list_groups ListGroups ListGroupsRequest ListGroupsResponse;
    sasl_handshake SaslHandshake SaslHandshakeRequest SaslHandshakeResponse;
    api_versions ApiVersions ApiVersionsRequest ApiVersionsResponse;
    create_topics CreateTopics CreateTopicsRequest CreateTopicsResponse;
    delete_topics DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
    delete_records DeleteRecords DeleteRecordsRequest DeleteRecordsResponse;
    init_producer_id InitProducerId InitProducerIdRequest InitProducerIdResponse;
    offset_for_leader_epoch OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
    add_partitions_to_txn AddPartitionsToTxn AddPartitionsToTxnRequest AddPartitionsToTxnResponse;
    add_offsets_to_txn AddOffsetsToTxn AddOffsetsToTxnRequest AddOffsetsToTxnResponse;
    end_txn EndTxn EndTxnRequest EndTxnResponse;
    write_txn_markers WriteTxnMarkers WriteTxnMarkersRequest WriteTxnMarkersResponse;
    txn_offset_commit TxnOffsetCommit TxnOffsetCommitRequest TxnOffsetCommitResponse;
    describe_acls DescribeAcls DescribeAclsRequest DescribeAclsResponse;
    create_acls CreateAcls CreateAclsRequest CreateAclsResponse;
    delete_acls DeleteAcls DeleteAclsRequest DeleteAclsResponse;
    describe_configs DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse;
    alter_configs AlterConfigs AlterConfigsRequest AlterConfigsResponse;
    alter_replica_log_dirs AlterReplicaLogDirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
    describe_log_dirs DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse;
    sasl_authenticate SaslAuthenticate SaslAuthenticateRequest SaslAuthenticateResponse;
    create_partitions CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
    create_delegation_token CreateDelegationToken CreateDelegationTokenRequest CreateDelegationTokenResponse;
    renew_delegation_token RenewDelegationToken RenewDelegationTokenRequest RenewDelegationTokenResponse;
    expire_delegation_token ExpireDelegationToken ExpireDelegationTokenRequest ExpireDelegationTokenResponse;
    describe_delegation_token DescribeDelegationToken DescribeDelegationTokenRequest DescribeDelegationTokenResponse;
    delete_groups DeleteGroups DeleteGroupsRequest DeleteGroupsResponse;
    elect_leaders ElectLeaders ElectLeadersRequest ElectLeadersResponse;
    incremental_alter_configs IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    alter_partition_reassignments AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    list_partition_reassignments ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
    offset_delete OffsetDelete OffsetDeleteRequest OffsetDeleteResponse;
    describe_client_quotas DescribeClientQuotas DescribeClientQuotasRequest DescribeClientQuotasResponse;
    alter_client_quotas AlterClientQuotas AlterClientQuotasRequest AlterClientQuotasResponse;
    describe_user_scram_credentials DescribeUserScramCredentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse;
    alter_user_scram_credentials AlterUserScramCredentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse;
    alter_partition AlterPartition AlterPartitionRequest AlterPartitionResponse;
    update_features UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
    envelope Envelope EnvelopeRequest EnvelopeResponse;
    describe_cluster DescribeCluster DescribeClusterRequest DescribeClusterResponse;
    describe_producers DescribeProducers DescribeProducersRequest DescribeProducersResponse;
    describe_transactions DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse;
    list_transactions ListTransactions ListTransactionsRequest ListTransactionsResponse;
    allocate_producer_ids AllocateProducerIds AllocateProducerIdsRequest AllocateProducerIdsResponse;
    consumer_group_heartbeat ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse;
    consumer_group_describe ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
}

#[cfg(test)]
mod tests;
