//! What brokers say of topics: which partitions there are, and who leads them.
//!
//! *Does not know*: how it is asked for (see [`super::cluster`]), nor how old it is.

use std::collections::BTreeMap;

use super::address::BrokerAddress;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, PartitionIndex, TopicId};
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
    /// Its id; zero before Metadata 10.
    pub id: TopicId,
    /// One of the brokers' own.
    pub is_internal: bool,
    /// The leader of each partition, in the order of their numbers, which begin at 0 and leave none out; `None` for one that
    /// has none now.
    pub leaders: Vec<Option<BrokerId>>,
    /// Under which epoch each leads; [`LeaderEpoch::NONE`] before Metadata 7.
    pub epochs: Vec<LeaderEpoch>,
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
            let epochs = partitions.iter().map(|partition| LeaderEpoch(partition.leader_epoch));
            let (id, is_internal) = (topic.topic_id, topic.is_internal);
            let found = TopicMetadata { id, is_internal, leaders: leaders.collect(), epochs: epochs.collect() };
            Some((name, Ok(found)))
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

    /// Under which epoch the leader of a partition leads, as far as it is known.
    #[must_use]
    pub fn leader_epoch(&self, topic: &str, partition: PartitionIndex) -> LeaderEpoch {
        let topic = self.topics.get(topic).and_then(|topic| topic.as_ref().ok());
        let epoch = topic.and_then(|topic| topic.epochs.get(usize::try_from(partition.0).ok()?));
        epoch.copied().unwrap_or(LeaderEpoch::NONE)
    }

    /// This answer, come after an earlier one: a broker that hears late of changes does not bring back a leader that was replaced
    /// (KIP-320).
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        for (name, topic) in &mut self.topics {
            let (Ok(topic), Some(Ok(known))) = (topic, earlier.topics.get(name)) else { continue };
            if topic.id != known.id {
                continue;
            }
            let partitions = topic.leaders.iter_mut().zip(&mut topic.epochs);
            for ((leader, epoch), (known, known_epoch)) in partitions.zip(known.leaders.iter().zip(&known.epochs)) {
                if *epoch < *known_epoch && *epoch != LeaderEpoch::NONE {
                    *leader = known.filter(|broker| self.brokers.contains_key(broker));
                    *epoch = *known_epoch;
                }
            }
        }
        self
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
    #[test]
    fn a_leader_that_was_replaced_does_not_come_back() {
        let known = |id: u8, leaders: &[(Option<i32>, i32)]| {
            let topic = TopicMetadata {
                id: TopicId([id; 16]),
                is_internal: false,
                leaders: leaders.iter().map(|(leader, _)| leader.map(BrokerId)).collect(),
                epochs: leaders.iter().map(|(_, epoch)| LeaderEpoch(*epoch)).collect(),
            };
            let address = |port| BrokerAddress { host: "h".to_owned(), port };
            let brokers = [(BrokerId(1), address(1)), (BrokerId(2), address(2))];
            Metadata { brokers: brokers.into(), topics: [("t".into(), Ok(topic))].into() }
        };
        let earlier = known(7, &[(Some(2), 5), (Some(2), 5), (None, 5)]);
        let late = known(7, &[(Some(1), 4), (Some(1), 6), (Some(1), -1), (Some(1), 0)]);
        let expected = known(7, &[(Some(2), 5), (Some(1), 6), (Some(1), -1), (Some(1), 0)]);
        assert_eq!(late.after(&earlier), expected);
        assert_eq!(expected.leader_epoch("t", PartitionIndex(0)), LeaderEpoch(5));
        assert_eq!(expected.leader_epoch("t", PartitionIndex(9)), LeaderEpoch::NONE);
        // A namesake begins anew.
        let another = known(8, &[(Some(1), 0), (Some(1), 0)]);
        assert_eq!(another.clone().after(&earlier), another);
        // Nor does one whose address nobody knows any more.
        let mut gone = known(7, &[(Some(1), 4)]);
        gone.brokers.remove(&BrokerId(2));
        assert_eq!(gone.after(&earlier).leader("t", PartitionIndex(0)), None);
    }
}
