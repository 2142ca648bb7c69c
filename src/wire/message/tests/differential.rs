//! What we write, `kafka-protocol` reads; what it writes, we read; and both write the same bytes.
//!
//! | release | APIs and versions it lacks | why |
//! |---|---|---|
//! | 0.15.1 | none | generated from Kafka 3.9 |
//! | 0.18.0 | LeaderAndIsr, StopReplica, UpdateMetadata, ControlledShutdown; the lowest versions of others, see the table | generated from Kafka 4, which removed them (KIP-896) |

use super::*;

/// Compares one message in one version, in both directions, with the types of one release.
macro_rules! compare {
    ($theirs:ident, $name:ident, $versions:expr) => {
        for version in $versions {
            for seed in 0..VALUES {
                let place = format!("{} v{version}, seed {seed}", stringify!($name));
                let message = arbitrary::<crate::wire::message::$name>(version, seed);
                let ours = encoded(&message, version);
                let mut left = ours.clone();
                let read = <$theirs::messages::$name as $theirs::protocol::Decodable>::decode(&mut left, version)
                    .unwrap_or_else(|error| panic!("{place}: not read: {error}\n{message:?}"));
                assert!(left.is_empty(), "{place}: {} bytes not read\n{message:?}", left.len());
                let mut theirs = bytes::BytesMut::new();
                $theirs::protocol::Encodable::encode(&read, &mut theirs, version)
                    .unwrap_or_else(|error| panic!("{place}: not written: {error}\n{message:?}"));
                assert_eq!(theirs, ours, "{place}: written otherwise\n{message:?}");
                let back =
                    crate::wire::message::$name::decode(&mut crate::wire::Decoder::new(theirs.freeze()), version);
                assert_eq!(back, Ok(message), "{place}: read otherwise");
            }
        }
    };
}

/// Values tried per message and version.
const VALUES: u64 = 20;

/// One test per API and release. The versions are those that this release and ours have in common.
macro_rules! releases {
    ($($release:ident = $theirs:ident { $($test:ident $request:ident $response:ident $versions:expr;)* })*) => {
        $(mod $release {
            use super::*;
            $(
                #[test]
                fn $test() {
                    compare!($theirs, $request, $versions);
                    compare!($theirs, $response, $versions);
                }
            )*
        })*
    };
}

releases! {
    release_0_15 = kafka_protocol_015 {
        produce ProduceRequest ProduceResponse 0..=11;
        fetch FetchRequest FetchResponse 0..=17;
        list_offsets ListOffsetsRequest ListOffsetsResponse 0..=9;
        metadata MetadataRequest MetadataResponse 0..=12;
        leader_and_isr LeaderAndIsrRequest LeaderAndIsrResponse 0..=7;
        stop_replica StopReplicaRequest StopReplicaResponse 0..=4;
        update_metadata UpdateMetadataRequest UpdateMetadataResponse 0..=8;
        controlled_shutdown ControlledShutdownRequest ControlledShutdownResponse 0..=3;
        offset_commit OffsetCommitRequest OffsetCommitResponse 0..=9;
        offset_fetch OffsetFetchRequest OffsetFetchResponse 0..=9;
        find_coordinator FindCoordinatorRequest FindCoordinatorResponse 0..=6;
        join_group JoinGroupRequest JoinGroupResponse 0..=9;
        heartbeat HeartbeatRequest HeartbeatResponse 0..=4;
        leave_group LeaveGroupRequest LeaveGroupResponse 0..=5;
        sync_group SyncGroupRequest SyncGroupResponse 0..=5;
        describe_groups DescribeGroupsRequest DescribeGroupsResponse 0..=5;
        list_groups ListGroupsRequest ListGroupsResponse 0..=5;
        sasl_handshake SaslHandshakeRequest SaslHandshakeResponse 0..=1;
        api_versions ApiVersionsRequest ApiVersionsResponse 0..=4;
        create_topics CreateTopicsRequest CreateTopicsResponse 0..=7;
        delete_topics DeleteTopicsRequest DeleteTopicsResponse 0..=6;
        delete_records DeleteRecordsRequest DeleteRecordsResponse 0..=2;
        init_producer_id InitProducerIdRequest InitProducerIdResponse 0..=5;
        offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse 0..=4;
        add_partitions_to_txn AddPartitionsToTxnRequest AddPartitionsToTxnResponse 0..=5;
        add_offsets_to_txn AddOffsetsToTxnRequest AddOffsetsToTxnResponse 0..=4;
        end_txn EndTxnRequest EndTxnResponse 0..=4;
        write_txn_markers WriteTxnMarkersRequest WriteTxnMarkersResponse 0..=1;
        txn_offset_commit TxnOffsetCommitRequest TxnOffsetCommitResponse 0..=4;
        describe_acls DescribeAclsRequest DescribeAclsResponse 0..=3;
        create_acls CreateAclsRequest CreateAclsResponse 0..=3;
        delete_acls DeleteAclsRequest DeleteAclsResponse 0..=3;
        describe_configs DescribeConfigsRequest DescribeConfigsResponse 0..=4;
        alter_configs AlterConfigsRequest AlterConfigsResponse 0..=2;
        alter_replica_log_dirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse 0..=2;
        describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse 0..=4;
        sasl_authenticate SaslAuthenticateRequest SaslAuthenticateResponse 0..=2;
        create_partitions CreatePartitionsRequest CreatePartitionsResponse 0..=3;
        create_delegation_token CreateDelegationTokenRequest CreateDelegationTokenResponse 0..=3;
        renew_delegation_token RenewDelegationTokenRequest RenewDelegationTokenResponse 0..=2;
        expire_delegation_token ExpireDelegationTokenRequest ExpireDelegationTokenResponse 0..=2;
        describe_delegation_token DescribeDelegationTokenRequest DescribeDelegationTokenResponse 0..=3;
        delete_groups DeleteGroupsRequest DeleteGroupsResponse 0..=2;
        elect_leaders ElectLeadersRequest ElectLeadersResponse 0..=2;
        incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse 0..=1;
        alter_partition_reassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse 0..=0;
        list_partition_reassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse 0..=0;
        offset_delete OffsetDeleteRequest OffsetDeleteResponse 0..=0;
        describe_client_quotas DescribeClientQuotasRequest DescribeClientQuotasResponse 0..=1;
        alter_client_quotas AlterClientQuotasRequest AlterClientQuotasResponse 0..=1;
        describe_user_scram_credentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse 0..=0;
        alter_user_scram_credentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse 0..=0;
        alter_partition AlterPartitionRequest AlterPartitionResponse 0..=3;
        update_features UpdateFeaturesRequest UpdateFeaturesResponse 0..=1;
        envelope EnvelopeRequest EnvelopeResponse 0..=0;
        describe_cluster DescribeClusterRequest DescribeClusterResponse 0..=1;
        describe_producers DescribeProducersRequest DescribeProducersResponse 0..=0;
        describe_transactions DescribeTransactionsRequest DescribeTransactionsResponse 0..=0;
        list_transactions ListTransactionsRequest ListTransactionsResponse 0..=1;
        allocate_producer_ids AllocateProducerIdsRequest AllocateProducerIdsResponse 0..=0;
        consumer_group_heartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse 0..=0;
        consumer_group_describe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse 0..=0;
    }
    release_0_18 = kafka_protocol_018 {
        produce ProduceRequest ProduceResponse 3..=11;
        fetch FetchRequest FetchResponse 4..=17;
        list_offsets ListOffsetsRequest ListOffsetsResponse 1..=9;
        metadata MetadataRequest MetadataResponse 0..=12;
        offset_commit OffsetCommitRequest OffsetCommitResponse 2..=9;
        offset_fetch OffsetFetchRequest OffsetFetchResponse 1..=9;
        find_coordinator FindCoordinatorRequest FindCoordinatorResponse 0..=6;
        join_group JoinGroupRequest JoinGroupResponse 0..=9;
        heartbeat HeartbeatRequest HeartbeatResponse 0..=4;
        leave_group LeaveGroupRequest LeaveGroupResponse 0..=5;
        sync_group SyncGroupRequest SyncGroupResponse 0..=5;
        describe_groups DescribeGroupsRequest DescribeGroupsResponse 0..=5;
        list_groups ListGroupsRequest ListGroupsResponse 0..=5;
        sasl_handshake SaslHandshakeRequest SaslHandshakeResponse 0..=1;
        api_versions ApiVersionsRequest ApiVersionsResponse 0..=4;
        create_topics CreateTopicsRequest CreateTopicsResponse 2..=7;
        delete_topics DeleteTopicsRequest DeleteTopicsResponse 1..=6;
        delete_records DeleteRecordsRequest DeleteRecordsResponse 0..=2;
        init_producer_id InitProducerIdRequest InitProducerIdResponse 0..=5;
        offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse 2..=4;
        add_partitions_to_txn AddPartitionsToTxnRequest AddPartitionsToTxnResponse 0..=5;
        add_offsets_to_txn AddOffsetsToTxnRequest AddOffsetsToTxnResponse 0..=4;
        end_txn EndTxnRequest EndTxnResponse 0..=4;
        write_txn_markers WriteTxnMarkersRequest WriteTxnMarkersResponse 1..=1;
        txn_offset_commit TxnOffsetCommitRequest TxnOffsetCommitResponse 0..=4;
        describe_acls DescribeAclsRequest DescribeAclsResponse 1..=3;
        create_acls CreateAclsRequest CreateAclsResponse 1..=3;
        delete_acls DeleteAclsRequest DeleteAclsResponse 1..=3;
        describe_configs DescribeConfigsRequest DescribeConfigsResponse 1..=4;
        alter_configs AlterConfigsRequest AlterConfigsResponse 0..=2;
        alter_replica_log_dirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse 1..=2;
        describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse 1..=4;
        sasl_authenticate SaslAuthenticateRequest SaslAuthenticateResponse 0..=2;
        create_partitions CreatePartitionsRequest CreatePartitionsResponse 0..=3;
        create_delegation_token CreateDelegationTokenRequest CreateDelegationTokenResponse 1..=3;
        renew_delegation_token RenewDelegationTokenRequest RenewDelegationTokenResponse 1..=2;
        expire_delegation_token ExpireDelegationTokenRequest ExpireDelegationTokenResponse 1..=2;
        describe_delegation_token DescribeDelegationTokenRequest DescribeDelegationTokenResponse 1..=3;
        delete_groups DeleteGroupsRequest DeleteGroupsResponse 0..=2;
        elect_leaders ElectLeadersRequest ElectLeadersResponse 0..=2;
        incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse 0..=1;
        alter_partition_reassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse 0..=0;
        list_partition_reassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse 0..=0;
        offset_delete OffsetDeleteRequest OffsetDeleteResponse 0..=0;
        describe_client_quotas DescribeClientQuotasRequest DescribeClientQuotasResponse 0..=1;
        alter_client_quotas AlterClientQuotasRequest AlterClientQuotasResponse 0..=1;
        describe_user_scram_credentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse 0..=0;
        alter_user_scram_credentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse 0..=0;
        alter_partition AlterPartitionRequest AlterPartitionResponse 2..=3;
        update_features UpdateFeaturesRequest UpdateFeaturesResponse 0..=1;
        envelope EnvelopeRequest EnvelopeResponse 0..=0;
        describe_cluster DescribeClusterRequest DescribeClusterResponse 0..=1;
        describe_producers DescribeProducersRequest DescribeProducersResponse 0..=0;
        describe_transactions DescribeTransactionsRequest DescribeTransactionsResponse 0..=0;
        list_transactions ListTransactionsRequest ListTransactionsResponse 0..=1;
        allocate_producer_ids AllocateProducerIdsRequest AllocateProducerIdsResponse 0..=0;
        consumer_group_heartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse 0..=1;
        consumer_group_describe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse 0..=1;
    }
}
