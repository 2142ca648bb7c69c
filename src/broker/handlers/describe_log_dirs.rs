//! DescribeLogDirs: what lies in this broker's log dirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::ask;
use crate::broker::env::Env;
use crate::broker::peer::Peer;
use crate::broker::replicas::{FutureReplica, ReplicasCommand};
use crate::model::{ErrorCode, TopicName, TopicPartition};
use crate::storage::log::LogView;
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
    let results = described.unwrap_or_default().into_iter().map(|(dir, coming)| result(env, dir, coming, &is_wanted));
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

fn result(
    env: &Env,
    dir: LogDirDescription,
    coming: Vec<FutureReplica>,
    is_wanted: &dyn Fn(&TopicPartition) -> bool,
) -> DescribeLogDirsResult {
    let mut topics = BTreeMap::<TopicName, Vec<DescribeLogDirsPartition>>::new();
    let log = |id: &TopicPartition| {
        env.directory.find(id.topic.as_str(), id.partition).map(|found| Arc::clone(&found.published.log))
    };
    let size = |log: Option<&Arc<LogView>>| log.map_or(0, |log| i64::try_from(log.size_bytes()).unwrap_or(i64::MAX));
    for id in dir.partitions.into_iter().filter(is_wanted) {
        let partition_size = size(log(&id).as_ref());
        topics.entry(id.topic).or_default().push(DescribeLogDirsPartition {
            partition_index: id.partition.0,
            partition_size,
            // How far a follower is behind: a leader is not.
            offset_lag: 0,
            is_future_key: false,
        });
    }
    for FutureReplica { id, copy } in coming.into_iter().filter(|coming| is_wanted(&coming.id)) {
        let copied = copy.as_ref().map_or(0, |copy| copy.log_end_offset().0);
        topics.entry(id.topic.clone()).or_default().push(DescribeLogDirsPartition {
            partition_index: id.partition.0,
            partition_size: size(copy.as_ref()),
            offset_lag: log(&id).map_or(-1, |log| log.log_end_offset().0 - copied),
            is_future_key: true,
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
