//! What brokers say of topics: which partitions there are, and who leads them.
//!
//! *Does not know*: how it is asked for (see [`super::cluster`]), nor how old it is.

use std::collections::BTreeMap;

use super::address::BrokerAddress;
use crate::model::{BrokerId, ErrorCode, PartitionIndex};
use crate::wire::Str;
use crate::wire::message::MetadataResponse;

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Where brokers listen.
    pub brokers: BTreeMap<BrokerId, BrokerAddress>,
    /// What was asked for.
    pub topics: BTreeMap<Str, Result<TopicMetadata, ErrorCode>>,
}

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicMetadata {
    /// One of the brokers' own.
    pub is_internal: bool,
    /// The leader of each partition, in the order of their numbers, which begin at 0 and leave none out; `None` for one that
    /// has none now.
    pub leaders: Vec<Option<BrokerId>>,
}

impl Metadata {
    /// As an answer says it. A topic of which not all partitions are told is not there yet.
    #[must_use]
    pub fn of(response: &MetadataResponse) -> Self {
        let brokers = response.brokers.iter().filter_map(|broker| {
            let address = BrokerAddress { host: broker.host.to_string(), port: u16::try_from(broker.port).ok()? };
            Some((BrokerId(broker.node_id), address))
        });
        let brokers = brokers.collect::<BTreeMap<_, _>>();
        let topics = response.topics.iter().filter_map(|topic| {
            let name = Str::from(topic.name.as_deref()?);
            if topic.error_code.is_error() {
                return Some((name, Err(topic.error_code)));
            }
            let mut partitions = topic.partitions.iter().collect::<Vec<_>>();
            partitions.sort_by_key(|partition| partition.partition_index);
            let numbered =
                partitions.iter().map(|partition| partition.partition_index).eq((0..).take(partitions.len()));
            if partitions.is_empty() || !numbered {
                return Some((name, Err(ErrorCode::LeaderNotAvailable)));
            }
            let leaders = partitions
                .iter()
                .map(|partition| Some(BrokerId(partition.leader_id)).filter(|leader| brokers.contains_key(leader)));
            Some((name, Ok(TopicMetadata { is_internal: topic.is_internal, leaders: leaders.collect() })))
        });
        let topics = topics.collect();
        Self { brokers, topics }
    }

    /// Who leads a partition now.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<BrokerId> {
        let topic = self.topics.get(topic)?.as_ref().ok()?;
        *topic.leaders.get(usize::try_from(partition.0).ok()?)?
    }

    /// How many partitions a topic has; `None` when it is not there.
    #[must_use]
    pub fn count(&self, topic: &str) -> Option<i32> {
        i32::try_from(self.topics.get(topic)?.as_ref().ok()?.leaders.len()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};

    #[test]
    fn a_topic_is_there_when_all_of_it_is() {
        let topic = |name: &str, error_code, partitions: &[(i32, i32)]| MetadataResponseTopic {
            name: Some(name.into()),
            error_code,
            partitions: partitions
                .iter()
                .map(|(partition_index, leader_id)| MetadataResponsePartition {
                    partition_index: *partition_index,
                    leader_id: *leader_id,
                    ..MetadataResponsePartition::default()
                })
                .collect(),
            ..MetadataResponseTopic::default()
        };
        let response = MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: 7,
                host: "h".into(),
                port: 9,
                ..MetadataResponseBroker::default()
            }],
            topics: vec![
                topic("whole", ErrorCode::None, &[(1, -1), (0, 7)]),
                topic("half", ErrorCode::None, &[(1, 7)]),
                topic("gone", ErrorCode::UnknownTopicOrPartition, &[]),
            ],
            ..MetadataResponse::default()
        };
        let metadata = Metadata::of(&response);
        assert_eq!(metadata.leader("whole", PartitionIndex(0)), Some(BrokerId(7)));
        assert_eq!(metadata.leader("whole", PartitionIndex(1)), None);
        assert_eq!((metadata.count("whole"), metadata.count("half"), metadata.count("gone")), (Some(2), None, None));
        assert_eq!(metadata.topics.get("gone"), Some(&Err(ErrorCode::UnknownTopicOrPartition)));
    }
}
