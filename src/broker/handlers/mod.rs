//! One file per API: wire to domain and back, nothing else is decided here.
//!
//! [`SERVED`] is the statement of what this broker supports: ApiVersions answers it, and nothing else is decoded.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use super::admin::{AdminCommand, Refusal};
use super::ask;
use super::directory::PartitionHandle;
use super::env::Env;
use super::groups::{self, GroupCoordinator};
use super::peer::Peer;
use crate::machine::group;
use crate::model::{ErrorCode, PartitionIndex, TopicName};
use crate::wire::{ApiKey, DecodeError, Decoder, EncodeError, Encoded, Request, RequestHeader, Str, encode_response};

mod allocate_producer_ids;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod consumer_groups;
mod controlled_shutdown;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod elect_leaders;
pub(super) mod fetch;
mod find_coordinator;
mod group_admin;
mod group_members;
mod group_offsets;
mod init_producer_id;
mod leader_and_isr;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_for_leader_epoch;
pub(super) mod produce;
mod sasl;
mod stop_replica;
mod update_features;
mod update_metadata;
mod zookeeper_offsets;

pub(super) use api_versions::unsupported as unsupported_api_versions;

/// Why a request has no answer: its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// The body is not what its header says.
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
    /// Our own answer does not fit the version: a bug of ours.
    #[error("an answer that cannot be encoded: {0}")]
    Answer(#[from] EncodeError),
    /// Not served, though the codec knows it.
    #[error("{0} version {1} is not served")]
    NotServed(ApiKey, i16),
}

/// Declares which APIs are served in which versions, and by whom.
macro_rules! serve {
    ($($key:ident $versions:expr => $handler:path;)*) => {
        /// Every API that works, and in which versions. The connection itself looks after Produce and Fetch.
        pub const SERVED: &[(ApiKey, RangeInclusive<i16>)] =
            &[(ApiKey::Produce, produce::VERSIONS), (ApiKey::Fetch, fetch::VERSIONS), $((ApiKey::$key, $versions),)*];

        /// Answers any request but Produce and Fetch.
        ///
        /// # Errors
        /// [`Unanswerable`]: the connection is to be closed.
        pub async fn answer(
            env: &Env,
            peer: &mut Peer,
            header: &RequestHeader,
            body: Decoder,
        ) -> Result<Encoded, Unanswerable> {
            match header.key {
                $(ApiKey::$key => {
                    let request = decode(peer, header, body)?;
                    let response = Box::pin($handler(env, peer, header, request)).await;
                    Ok(encode_response(header.correlation_id, header.key, header.version, &response)?)
                })*
                other => Err(Unanswerable::NotServed(other, header.version)),
            }
        }
    };
}

serve! {
    ListOffsets 0..=9 => list_offsets::handle;
    Metadata 0..=12 => metadata::handle;
    LeaderAndIsr 0..=7 => leader_and_isr::handle;
    StopReplica 0..=4 => stop_replica::handle;
    UpdateMetadata 0..=8 => update_metadata::handle;
    ControlledShutdown 0..=3 => controlled_shutdown::handle;
    OffsetCommit 0..=9 => group_offsets::handle_commit;
    OffsetFetch 0..=9 => group_offsets::handle_fetch;
    FindCoordinator 0..=6 => find_coordinator::handle;
    JoinGroup 0..=9 => group_members::handle_join;
    Heartbeat 0..=4 => group_members::handle_heartbeat;
    LeaveGroup 0..=5 => group_members::handle_leave;
    SyncGroup 0..=5 => group_members::handle_sync;
    DescribeGroups 0..=5 => group_admin::handle_describe;
    ListGroups 0..=5 => group_admin::handle_list;
    SaslHandshake 0..=1 => sasl::handle_handshake;
    ApiVersions 0..=4 => api_versions::handle;
    CreateTopics 0..=7 => create_topics::handle;
    DeleteTopics 0..=6 => delete_topics::handle;
    DeleteRecords 0..=2 => delete_records::handle;
    InitProducerId 0..=5 => init_producer_id::handle;
    OffsetForLeaderEpoch 0..=4 => offset_for_leader_epoch::handle;
    DescribeConfigs 0..=4 => describe_configs::handle;
    AlterConfigs 0..=2 => alter_configs::handle;
    AlterReplicaLogDirs 0..=2 => alter_replica_log_dirs::handle;
    DescribeLogDirs 0..=4 => describe_log_dirs::handle;
    SaslAuthenticate 0..=2 => sasl::handle_authenticate;
    CreatePartitions 0..=3 => create_partitions::handle;
    DeleteGroups 0..=2 => group_admin::handle_delete;
    ElectLeaders 0..=2 => elect_leaders::handle;
    IncrementalAlterConfigs 0..=1 => alter_configs::handle_incremental;
    AlterPartitionReassignments 0..=0 => alter_partition_reassignments::handle;
    ListPartitionReassignments 0..=0 => list_partition_reassignments::handle;
    OffsetDelete 0..=0 => group_offsets::handle_delete;
    UpdateFeatures 0..=1 => update_features::handle;
    DescribeCluster 0..=1 => describe_cluster::handle;
    DescribeProducers 0..=0 => describe_producers::handle;
    AlterPartition 0..=3 => alter_partition::handle;
    AllocateProducerIds 0..=0 => allocate_producer_ids::handle;
    ConsumerGroupHeartbeat 0..=1 => consumer_groups::handle_heartbeat;
    ConsumerGroupDescribe 0..=1 => consumer_groups::handle_describe;
}

/// Whether an API is served in a version.
#[must_use]
pub fn is_served(key: ApiKey, version: i16) -> bool {
    SERVED.iter().any(|(served, versions)| *served == key && versions.contains(&version))
}

/// Reads the body. Bytes behind it are counted and ignored, as Kafka does.
///
/// # Errors
/// [`Unanswerable::NotServed`], [`Unanswerable::Malformed`].
pub(super) fn decode<R: Request>(peer: &Peer, header: &RequestHeader, mut body: Decoder) -> Result<R, Unanswerable> {
    if !is_served(header.key, header.version) {
        return Err(Unanswerable::NotServed(header.key, header.version));
    }
    let request = R::decode(&mut body, header.version)?;
    peer.left_over(header.key, body.remaining());
    Ok(request)
}

/// A time-out of a request; negative ones are none at all.
fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// A partition that is led here.
fn led(env: &Env, topic: &Str, partition: i32) -> Result<PartitionHandle, ErrorCode> {
    let index = PartitionIndex(partition);
    let found = env.directory.find(topic, index);
    let image = env.metadata.load();
    let known = image.topics.get(topic.as_str()).is_some_and(|topic| topic.partitions.contains_key(&index));
    match found {
        _ if !known => Err(ErrorCode::UnknownTopicOrPartition),
        Some(partition) if partition.published.role().leading() => Ok(partition),
        Some(_) => Err(ErrorCode::NotLeaderOrFollower),
        None => Err(env.directory.absence(topic, index)),
    }
}

/// The coordinator of a group, if it was ever here.
fn coordinator(env: &Env, group: &str) -> Option<Addr<GroupCoordinator>> {
    env.groups.coordinator(group_partition(env, group)?)
}

/// The partition that a group is kept in, if there are any.
fn group_partition(env: &Env, group: &str) -> Option<PartitionIndex> {
    let image = env.metadata.load();
    let offsets = image.topics.get(TopicName::CONSUMER_OFFSETS)?;
    Some(groups::partition_of(group, offsets))
}

/// Asks the coordinator of a group; `None` when it is not here.
async fn coordinate(env: &Env, request: group::Request) -> Option<group::Reply> {
    let partition = group_partition(env, request.group())?;
    env.groups.ask(partition, request).await
}

/// READ, DELETE and DESCRIBE as a bit field (`AclEntry.supportedOperations`): there is no authorizer.
const GROUP_OPERATIONS: i32 = 0b1_0100_1000;

/// What a request names more than once.
fn named_twice<K: Ord + Clone>(named: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    named.filter(|key| !seen.insert(key.clone())).collect()
}

/// Asks the admin for one answer to each of `count` things. Where it gives none, because the broker stops or for a bug of
/// ours, each gets an error: what was done is not known.
async fn ask_admin<T: Send>(
    env: &Env,
    count: usize,
    command: impl FnOnce(oneshot::Sender<Vec<Result<T, Refusal>>>) -> AdminCommand,
) -> Vec<Result<T, Refusal>> {
    let answers = ask(&env.admin, command).await;
    answers.unwrap_or_else(|| (0..count).map(|_| Err(unknown_outcome())).collect())
}

/// What an administrator hears when it is not known whether something was done.
fn unknown_outcome() -> Refusal {
    (
        ErrorCode::UnknownServerError,
        "The broker stops or failed; its log says more. Look before trying again.".to_owned(),
    )
}

/// Whether this broker is the controller: some requests are refused elsewhere, and the client asks the right one.
fn is_controller(env: &Env) -> bool {
    env.metadata.load().controller == env.local
}

/// The refusal of a request that only the controller may do.
fn not_controller() -> Refusal {
    (ErrorCode::NotController, "This is not the controller of the cluster; ask the one that Metadata names.".to_owned())
}
