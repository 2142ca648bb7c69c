//! AlterReplicaLogDirs: moves replicas between the log dirs of this broker.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::replicas::ReplicasCommand;
use crate::model::{ErrorCode, PartitionIndex, TopicName, TopicPartition};
use crate::wire::message::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use crate::wire::{RequestHeader, Str};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let mut results = BTreeMap::<Str, BTreeMap<i32, ErrorCode>>::new();
    // Of several dirs for one replica the last counts, as in Kafka.
    let mut wanted = BTreeMap::<TopicPartition, PathBuf>::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for partition in topic.partitions {
                let code = match known(env, &topic.name, partition) {
                    Some(id) => {
                        wanted.insert(id, PathBuf::from(dir.path.as_str()));
                        // Unless somebody says something else.
                        ErrorCode::UnknownServerError
                    }
                    None => ErrorCode::UnknownTopicOrPartition,
                };
                results.entry(topic.name.clone()).or_default().insert(partition, code);
            }
        }
    }
    let ids = wanted.keys().cloned().collect::<Vec<_>>();
    let wanted = wanted.into_iter().collect();
    let codes = ask(&env.replicas, |reply| ReplicasCommand::AlterDirs { wanted, reply }).await.unwrap_or_default();
    for (id, code) in ids.into_iter().zip(codes) {
        if let Some((_, codes)) = results.iter_mut().find(|(name, _)| name.as_str() == id.topic.as_str()) {
            codes.insert(id.partition.0, code);
        }
    }
    let results = results.into_iter().map(|(topic_name, codes)| {
        let partitions = codes.into_iter();
        let result = |(partition_index, error_code)| AlterReplicaLogDirPartitionResult { partition_index, error_code };
        AlterReplicaLogDirTopicResult { topic_name, partitions: partitions.map(result).collect() }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

/// A partition of the cluster: what is noted for one that is not here yet is bounded by what there is.
fn known(env: &Env, topic: &Str, partition: i32) -> Option<TopicPartition> {
    let (topic, partition) = (TopicName::new(topic).ok()?, PartitionIndex(partition));
    let is_known = |topic: &TopicName| {
        let image = env.metadata.load();
        image.topics.get(topic).is_some_and(|topic| topic.partitions.contains_key(&partition))
    };
    is_known(&topic).then_some(TopicPartition { topic, partition })
}
