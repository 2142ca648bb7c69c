//! `/brokers/topics`: which replicas every partition has, and who leads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Version;
use crate::model::{BrokerId, ControllerEpoch, LeaderEpoch, PartitionIndex, TopicId, TopicName};

/// Parent of all topics.
pub const TOPICS: &str = "/brokers/topics";

/// What errors call the two znodes.
const TOPIC: &str = "/brokers/topics/T";
const STATE: &str = "/brokers/topics/T/partitions/P/state";

/// Where a topic's assignment is.
#[must_use]
pub fn path(topic: &TopicName) -> String {
    format!("{TOPICS}/{topic}")
}

/// Parent of a topic's partitions. Made by the controller, without data.
#[must_use]
pub fn partitions_path(topic: &TopicName) -> String {
    format!("{TOPICS}/{topic}/partitions")
}

/// Parent of a partition's state. Made by the controller, without data.
#[must_use]
pub fn partition_path(topic: &TopicName, partition: PartitionIndex) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}")
}

/// Where a partition's state is.
#[must_use]
pub fn state_path(topic: &TopicName, partition: PartitionIndex) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}/state")
}

/// Replicas of one partition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplicaAssignment {
    /// All of them, the preferred leader first. During a reassignment the target, then the rest.
    pub replicas: Vec<BrokerId>,
    /// Those that a reassignment under way adds.
    pub adding: Vec<BrokerId>,
    /// Those that it will remove.
    pub removing: Vec<BrokerId>,
}

/// What `/brokers/topics/T` holds. Whoever writes it again carries everything over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicAssignment {
    /// The topic's id; `None` for one that a broker before 2.8 made: the controller gives it one.
    pub topic_id: Option<TopicId>,
    /// Every partition.
    pub partitions: BTreeMap<PartitionIndex, ReplicaAssignment>,
}

/// Replicas by decimal partition number, in the order of the numbers.
type Replicas = BTreeMap<PartitionKey, Vec<BrokerId>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PartitionKey(i32);

impl Serialize for PartitionKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PartitionKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let refuse = || serde::de::Error::custom(format!("'{}' is no partition", text.escape_debug()));
        text.parse().ok().filter(|number| 0 <= *number).map(Self).ok_or_else(refuse)
    }
}

#[derive(Serialize, Deserialize)]
struct TopicJson {
    #[serde(default)]
    partitions: Option<Replicas>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    #[serde(default)]
    adding_replicas: Option<Replicas>,
    #[serde(default)]
    removing_replicas: Option<Replicas>,
    #[serde(skip_deserializing)]
    version: Version<3>,
}

impl TopicAssignment {
    /// JSON, version 3.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let listed = |pick: fn(&ReplicaAssignment) -> &Vec<BrokerId>, always: bool| {
            let lists = self.partitions.iter().map(|(partition, replicas)| (PartitionKey(partition.0), pick(replicas)));
            Some(lists.filter(|(_, list)| always || !list.is_empty()).map(|(key, list)| (key, list.clone())).collect())
        };
        super::encode(&TopicJson {
            partitions: listed(|partition| &partition.replicas, true),
            topic_id: self.topic_id.map(|id| id.to_string()),
            adding_replicas: listed(|partition| &partition.adding, false),
            removing_replicas: listed(|partition| &partition.removing, false),
            version: Version,
        })
    }

    /// Reads every version: what an older one does not have is empty.
    ///
    /// # Errors
    /// When the data is not such JSON, a partition's name is no number, or the id is none. Kafka takes such a topic for
    /// one without partitions; nothing is guessed here.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let json: TopicJson = super::decode(TOPIC, data)?;
        let bad_id = || DecodeError::new(TOPIC, "topic_id is no id", data);
        let topic_id = json.topic_id.map(|text| TopicId::parse(&text).ok_or_else(bad_id)).transpose()?;
        let (mut adding, mut removing) =
            (json.adding_replicas.unwrap_or_default(), json.removing_replicas.unwrap_or_default());
        let partition = |(key, replicas): (PartitionKey, Vec<BrokerId>)| {
            let adding = adding.remove(&key).unwrap_or_default();
            let removing = removing.remove(&key).unwrap_or_default();
            (PartitionIndex(key.0), ReplicaAssignment { replicas, adding, removing })
        };
        let partitions = json.partitions.unwrap_or_default().into_iter().map(partition).collect();
        Ok(Self { topic_id, partitions })
    }
}

/// What a partition's `state` holds. The znode's data version is the partition epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    /// The leader; [`BrokerId::NONE`] when there is none.
    pub leader: BrokerId,
    /// Counts the leaderships.
    pub leader_epoch: LeaderEpoch,
    /// Replicas in sync.
    pub isr: Vec<BrokerId>,
    /// Epoch of the controller that wrote this.
    pub controller_epoch: ControllerEpoch,
    /// Whether the leader was elected out of sync and has not recovered yet (KIP-704).
    pub recovering: bool,
}

#[derive(Serialize, Deserialize)]
struct StateJson {
    controller_epoch: ControllerEpoch,
    leader: BrokerId,
    #[serde(skip_deserializing)]
    version: Version<1>,
    leader_epoch: LeaderEpoch,
    isr: Vec<BrokerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader_recovery_state: Option<i8>,
}

const RECOVERED: i8 = 0;
const RECOVERING: i8 = 1;

impl PartitionState {
    /// JSON, version 1.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(&StateJson {
            controller_epoch: self.controller_epoch,
            leader: self.leader,
            version: Version,
            leader_epoch: self.leader_epoch,
            isr: self.isr.clone(),
            leader_recovery_state: self.recovering.then_some(RECOVERING),
        })
    }

    /// Reads the state.
    ///
    /// # Errors
    /// When the data is not such JSON, or the recovery state is neither of the two.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let json: StateJson = super::decode(STATE, data)?;
        let recovering = match json.leader_recovery_state.unwrap_or(RECOVERED) {
            RECOVERED => false,
            RECOVERING => true,
            other => return Err(DecodeError::new(STATE, format!("leader_recovery_state {other} is unknown"), data)),
        };
        let StateJson { controller_epoch, leader, leader_epoch, isr, .. } = json;
        Ok(Self { leader, leader_epoch, isr, controller_epoch, recovering })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(ids: [i32; N]) -> Vec<BrokerId> {
        ids.map(BrokerId).to_vec()
    }

    #[test]
    fn topics_as_kafka_writes_them() {
        let captured = r#"{"partitions":{"0":[0,1],"1":[1,0],"2":[0,1]},"topic_id":"jEtmG7eKQeK3XEzVB0IpIw","adding_replicas":{},"removing_replicas":{},"version":3}"#;
        let topic = TopicAssignment::decode(captured.as_bytes()).expect("Kafka's own");
        assert_eq!(topic.topic_id.map(|id| id.to_string()).as_deref(), Some("jEtmG7eKQeK3XEzVB0IpIw"));
        assert_eq!(topic.partitions.len(), 3);
        assert_eq!(topic.partitions[&PartitionIndex(1)].replicas, ids([1, 0]));
        assert_eq!(String::from_utf8(topic.encode()).as_deref(), Ok(captured));
    }

    #[test]
    fn a_reassignment_under_way_is_carried_over() {
        let text = r#"{"version":3,"topic_id":"sEqLFfGxSq2bB2PwjNH0Vg","partitions":{"10":[2,3],"2":[4,1,2,3]},
            "adding_replicas":{"2":[4]},"removing_replicas":{"2":[1]},"later":{}}"#;
        let topic = TopicAssignment::decode(text.as_bytes()).expect("a reassignment");
        let moving = &topic.partitions[&PartitionIndex(2)];
        assert_eq!((&moving.adding, &moving.removing), (&ids([4]), &ids([1])));
        assert_eq!(topic.partitions.keys().map(|partition| partition.0).collect::<Vec<_>>(), [2, 10]);
        assert_eq!(TopicAssignment::decode(&topic.encode()), Ok(topic));
    }

    #[test]
    fn older_topics_are_read() {
        for old in [
            r#"{"version":1,"partitions":{"0":[1]}}"#,
            r#"{"version":2,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{}}"#,
        ] {
            let topic = TopicAssignment::decode(old.as_bytes()).expect("an older version");
            assert_eq!((topic.topic_id, topic.partitions.len()), (None, 1));
        }
        assert_eq!(TopicAssignment::decode(b"{}"), Ok(TopicAssignment::default()));
    }

    #[test]
    fn what_is_no_topic_is_an_error() {
        for bad in [
            "",
            "[]",
            r#"{"partitions":{"x":[1]}}"#,
            r#"{"partitions":{"-1":[1]}}"#,
            r#"{"partitions":{"0":[1,"2"]}}"#,
            r#"{"partitions":{"0":[4294967296]}}"#,
            r#"{"partitions":{},"topic_id":"short"}"#,
        ] {
            assert!(TopicAssignment::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_as_kafka_writes_them() {
        let captured = r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0,1]}"#;
        let state = PartitionState::decode(captured.as_bytes()).expect("Kafka's own");
        assert_eq!((state.leader, &state.isr, state.recovering), (BrokerId(0), &ids([0, 1]), false));
        assert_eq!(String::from_utf8(state.encode()).as_deref(), Ok(captured));
        let recovering = PartitionState { recovering: true, ..state };
        let text = String::from_utf8(recovering.encode()).expect("JSON");
        assert!(text.ends_with(r#""isr":[0,1],"leader_recovery_state":1}"#), "{text}");
        assert_eq!(PartitionState::decode(text.as_bytes()), Ok(recovering));
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        let with = |more: &str| format!(r#"{{"controller_epoch":1,"leader":0,"leader_epoch":0,"isr":[0]{more}}}"#);
        assert!(PartitionState::decode(with("").as_bytes()).is_ok());
        assert!(PartitionState::decode(with(r#","leader_recovery_state":2"#).as_bytes()).is_err());
        assert!(PartitionState::decode(br#"{"leader":0}"#).is_err());
    }

    #[test]
    fn paths_are_kafkas() {
        let topic = TopicName::new("pageviews").expect("a name");
        assert_eq!(path(&topic), "/brokers/topics/pageviews");
        assert_eq!(partition_path(&topic, PartitionIndex(0)), "/brokers/topics/pageviews/partitions/0");
        assert_eq!(state_path(&topic, PartitionIndex(0)), "/brokers/topics/pageviews/partitions/0/state");
    }
}
