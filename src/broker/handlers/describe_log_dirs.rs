//! DescribeLogDirs: what lies in this broker's log dirs.

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::replicas::ReplicasCommand;
use crate::model::{ErrorCode, TopicName, TopicPartition};
use crate::storage::log_dirs::LogDirDescription;
use crate::wire::RequestHeader;
use crate::wire::message::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted = request.topics.map(|topics| {
        let named = |topic: DescribableLogDirTopic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |partition| (name.to_string(), partition))
        };
        topics.into_iter().flat_map(named).collect::<BTreeSet<_>>()
    });
    let is_wanted = |id: &TopicPartition| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&(id.topic.to_string(), id.partition.0)))
    };
    let described = ask(&env.replicas, |reply| ReplicasCommand::Describe { reply }).await;
    let results = described.unwrap_or_default().into_iter().map(|dir| result(env, dir, &is_wanted));
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn result(env: &Env, dir: LogDirDescription, is_wanted: &dyn Fn(&TopicPartition) -> bool) -> DescribeLogDirsResult {
    let mut topics = BTreeMap::<TopicName, Vec<DescribeLogDirsPartition>>::new();
    for id in dir.partitions.into_iter().filter(is_wanted) {
        let size =
            env.directory.find(id.topic.as_str(), id.partition).map_or(0, |found| found.published.log.size_bytes());
        topics.entry(id.topic).or_default().push(DescribeLogDirsPartition {
            partition_index: id.partition.0,
            partition_size: i64::try_from(size).unwrap_or(i64::MAX),
            // How far a follower, or a copy on its way to another dir, is behind: a leader is not.
            offset_lag: 0,
            is_future_key: false,
        });
    }
    let topics =
        topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name: name.as_str().into(), partitions });
    let bytes = |bytes: Option<u64>| bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    DescribeLogDirsResult {
        error_code: if dir.error.is_some() { ErrorCode::KafkaStorageError } else { ErrorCode::None },
        log_dir: dir.path.to_string_lossy().into_owned().into(),
        topics: topics.collect(),
        total_bytes: bytes(dir.total_bytes),
        usable_bytes: bytes(dir.usable_bytes),
    }
}
