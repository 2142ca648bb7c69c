//! `/admin`: what operators' tools ask of the controller.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Version;
use super::notification::PartitionJson;
use crate::model::{BrokerId, PartitionIndex, TopicName, TopicPartition};

/// A child without data for each topic to delete.
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
/// Reassignments that old tools ask for. Not there when none is.
pub const REASSIGN_PARTITIONS: &str = "/admin/reassign_partitions";
/// Partitions for which old tools ask the preferred leader. Not there when none is.
pub const PREFERRED_ELECTION: &str = "/admin/preferred_replica_election";

/// The mark that a topic is to be deleted.
#[must_use]
pub fn delete_topic_path(topic: &TopicName) -> String {
    format!("{DELETE_TOPICS}/{topic}")
}

#[derive(Serialize, Deserialize)]
struct ReassignmentsJson {
    #[serde(skip_deserializing)]
    version: Version<1>,
    partitions: Vec<ReassignmentJson>,
}

#[derive(Serialize, Deserialize)]
struct ReassignmentJson {
    topic: String,
    partition: PartitionIndex,
    replicas: Vec<BrokerId>,
}

/// JSON of reassignments: each partition's replicas to be.
#[must_use]
pub fn encode_reassignments(targets: &BTreeMap<TopicPartition, Vec<BrokerId>>) -> Vec<u8> {
    let partition = |(partition, replicas): (&TopicPartition, &Vec<BrokerId>)| ReassignmentJson {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        replicas: replicas.clone(),
    };
    super::encode(&ReassignmentsJson { version: Version, partitions: targets.iter().map(partition).collect() })
}

/// Each partition's replicas to be. Of a partition that is named twice the last counts, as in Kafka.
///
/// # Errors
/// When the data is not such JSON, or a topic's name is none.
pub fn decode_reassignments(data: &[u8]) -> Result<BTreeMap<TopicPartition, Vec<BrokerId>>, DecodeError> {
    let json: ReassignmentsJson = super::decode(REASSIGN_PARTITIONS, data)?;
    let target = |json: ReassignmentJson| {
        let partition = PartitionJson { topic: json.topic, partition: json.partition };
        partition.check(REASSIGN_PARTITIONS, data).map(|partition| (partition, json.replicas))
    };
    json.partitions.into_iter().map(target).collect()
}

/// Partitions for which the preferred leader is asked.
///
/// # Errors
/// When the data is not such JSON, or a topic's name is none.
pub fn decode_preferred_election(data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    super::notification::decode_partitions(PREFERRED_ELECTION, data)
}

/// JSON of partitions for which the preferred leader is asked.
#[must_use]
pub fn encode_preferred_election(partitions: &[TopicPartition]) -> Vec<u8> {
    super::notification::encode_partitions(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reassignments_come_back() {
        let text = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[4,5]}]}"#;
        let targets = decode_reassignments(text.as_bytes()).expect("a tool's request");
        assert_eq!(targets.values().next(), Some(&vec![BrokerId(4), BrokerId(5)]));
        assert_eq!(String::from_utf8(encode_reassignments(&targets)).as_deref(), Ok(text));
        for bad in [
            "",
            "{}",
            r#"{"partitions":[{"topic":"a/b","partition":0,"replicas":[]}]}"#,
            r#"{"partitions":[{"topic":"a"}]}"#,
        ] {
            assert!(decode_reassignments(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn elections_come_back() {
        let text = r#"{"version":1,"partitions":[{"topic":"t","partition":0}]}"#;
        let partitions = decode_preferred_election(text.as_bytes()).expect("a tool's request");
        assert_eq!(String::from_utf8(encode_preferred_election(&partitions)).as_deref(), Ok(text));
    }

    #[test]
    fn a_topic_to_delete_has_a_mark() {
        let topic = TopicName::new("t").expect("a name");
        assert_eq!(delete_topic_path(&topic), "/admin/delete_topics/t");
    }
}
