//! What brokers tell the controller through sequential znodes: changed ISRs (brokers before 2.7) and failed log dirs.

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::Version;
use crate::model::{BrokerId, PartitionIndex, TopicName, TopicPartition};

/// Parent of the notices of changed ISRs.
pub const ISR_CHANGES: &str = "/isr_change_notification";
/// Their names before the sequence number.
pub const ISR_CHANGE_PREFIX: &str = "isr_change_";
/// Parent of the notices of failed log dirs.
pub const LOG_DIR_EVENTS: &str = "/log_dir_event_notification";
/// Their names before the sequence number.
pub const LOG_DIR_EVENT_PREFIX: &str = "log_dir_event_";

/// Path that a notice of a failed log dir is made with; ZooKeeper puts the sequence number behind it.
#[must_use]
pub fn log_dir_event_path() -> String {
    format!("{LOG_DIR_EVENTS}/{LOG_DIR_EVENT_PREFIX}")
}

#[derive(Serialize, Deserialize)]
pub(super) struct PartitionJson {
    pub(super) topic: String,
    pub(super) partition: PartitionIndex,
}

impl PartitionJson {
    pub(super) fn check(self, what: &'static str, data: &[u8]) -> Result<TopicPartition, DecodeError> {
        let topic = TopicName::new(&self.topic).map_err(|error| DecodeError::new(what, error, data))?;
        if self.partition.0 < 0 {
            return Err(DecodeError::new(what, format!("partition {} is negative", self.partition), data));
        }
        Ok(TopicPartition { topic, partition: self.partition })
    }
}

#[derive(Serialize, Deserialize)]
struct PartitionsJson {
    #[serde(skip_deserializing)]
    version: Version<1>,
    partitions: Vec<PartitionJson>,
}

pub(super) fn encode_partitions(partitions: &[TopicPartition]) -> Vec<u8> {
    let json = |p: &TopicPartition| PartitionJson { topic: p.topic.to_string(), partition: p.partition };
    super::encode(&PartitionsJson { version: Version, partitions: partitions.iter().map(json).collect() })
}

pub(super) fn decode_partitions(what: &'static str, data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    let json: PartitionsJson = super::decode(what, data)?;
    json.partitions.into_iter().map(|partition| partition.check(what, data)).collect()
}

/// JSON of the partitions whose ISR changed.
#[must_use]
pub fn encode_isr_change(partitions: &[TopicPartition]) -> Vec<u8> {
    encode_partitions(partitions)
}

/// Partitions whose ISR changed.
///
/// # Errors
/// When the data is not such JSON, or a topic's name is none.
pub fn decode_isr_change(data: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    decode_partitions(ISR_CHANGES, data)
}

#[derive(Serialize, Deserialize)]
struct LogDirEventJson {
    #[serde(skip_deserializing)]
    version: Version<1>,
    broker: BrokerId,
    #[serde(skip_deserializing)]
    event: Version<LOG_DIR_FAILED>,
}

/// The only event there is.
const LOG_DIR_FAILED: u32 = 1;

/// JSON that tells that a log dir of `broker` failed.
#[must_use]
pub fn encode_log_dir_event(broker: BrokerId) -> Vec<u8> {
    super::encode(&LogDirEventJson { version: Version, broker, event: Version })
}

/// The broker whose log dir failed.
///
/// # Errors
/// When the data is not such JSON.
pub fn decode_log_dir_event(data: &[u8]) -> Result<BrokerId, DecodeError> {
    super::decode::<LogDirEventJson>(LOG_DIR_EVENTS, data).map(|json| json.broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafka_writes_them() {
        let text = r#"{"version":1,"broker":1,"event":1}"#;
        assert_eq!(decode_log_dir_event(text.as_bytes()), Ok(BrokerId(1)));
        assert_eq!(String::from_utf8(encode_log_dir_event(BrokerId(1))).as_deref(), Ok(text));
        let text = r#"{"version":1,"partitions":[{"topic":"t","partition":0}]}"#;
        let partitions = decode_isr_change(text.as_bytes()).expect("Kafka's own");
        assert_eq!(String::from_utf8(encode_isr_change(&partitions)).as_deref(), Ok(text));
    }

    #[test]
    fn what_is_none_is_an_error() {
        for bad in [
            "",
            "{}",
            r#"{"partitions":[{"topic":"..","partition":0}]}"#,
            r#"{"partitions":[{"topic":"t","partition":-1}]}"#,
        ] {
            assert!(decode_isr_change(bad.as_bytes()).is_err(), "{bad}");
            assert!(decode_log_dir_event(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
