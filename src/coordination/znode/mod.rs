//! Every znode that a Kafka 3.9 cluster has: where it is, what it holds, who may read it. A file per family.
//!
//! Kafka writes JSON in whatever order its maps have, and reads fields by name; so do these codecs: unknown fields are
//! ignored, fields are written in the order that Kafka 3.9.1 was seen to write. What the ensemble holds was written by
//! others, so a decoder answers with [`DecodeError`] and never panics.
//!
//! *Invariant*: nobody else spells a path. *Does not know*: how a znode is read or written, or why.
//! Source: Kafka 3.9, `ZkData.scala`.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod access;
pub mod admin;
pub mod broker;
pub mod cluster;
pub mod config;
pub mod consumer;
pub mod controller;
pub mod feature;
pub mod notification;
pub mod producer_ids;
pub mod topic;

/// A znode that does not hold what it should. Says which, why, and the beginning of what it holds.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} cannot be read: {why} (it holds: {held})")]
pub struct DecodeError {
    what: &'static str,
    why: String,
    held: String,
}

impl DecodeError {
    /// Characters of a znode's data that a message shows.
    const HELD_CHARS_MAX: usize = 160;

    pub(super) fn new(what: &'static str, why: impl fmt::Display, data: &[u8]) -> Self {
        let held = String::from_utf8_lossy(data).escape_debug().take(Self::HELD_CHARS_MAX).collect();
        Self { what, why: why.to_string(), held }
    }
}

/// Persistent znodes that every broker makes at its start, parents first, with what they hold at first.
///
/// Kafka gives all of them null data, which the ZooKeeper client in use cannot write: it writes no bytes instead. Nobody
/// reads the data of any of them but of `/latest_producer_id_block`, where a Kafka broker takes null for "none yet" and
/// fails on no bytes. So that one begins with an empty block before the first id, which Kafka and we read as such.
#[must_use]
pub fn persistent_at_start() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let empty = [
        consumer::CONSUMERS,
        broker::IDS,
        topic::TOPICS,
        config::CHANGES,
        admin::DELETE_TOPICS,
        broker::SEQUENCE_ID,
        notification::ISR_CHANGES,
        notification::LOG_DIR_EVENTS,
        "/config/topics",
        "/config/clients",
        "/config/users",
        "/config/brokers",
        "/config/ips",
    ];
    let mut all: Vec<_> = empty.into_iter().map(|path| (path, None)).collect();
    all.push((producer_ids::LATEST, Some(producer_ids::Block::NONE_YET.encode())));
    all
}

/// The number that ZooKeeper put behind `prefix`; `None` when the name is not made so.
#[must_use]
pub fn sequence_number(name: &str, prefix: &str) -> Option<i64> {
    name.strip_prefix(prefix).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| panic!("our own value has no JSON form: {error}"))
}

/// Reads a JSON object. An array is refused here: serde would take its elements for the fields in their order.
fn decode<T: DeserializeOwned>(what: &'static str, data: &[u8]) -> Result<T, DecodeError> {
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err(DecodeError::new(what, "it is no JSON object", data));
    }
    serde_json::from_slice(data).map_err(|error| DecodeError::new(what, error, data))
}

/// JSON types that several znodes share.
mod json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// A version field whose value is `N`. Read leniently: Kafka looks at it only where it says so.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub(super) struct Version<const N: u32>;

    impl<const N: u32> Serialize for Version<N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_u32(N)
        }
    }

    /// A number that Kafka writes as a string. Taken as a number too, as Kafka's own oldest versions wrote it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(super) struct Text(pub(super) i64);

    impl Serialize for Text {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            #[derive(Deserialize)]
            #[serde(untagged)]
            enum Either {
                Number(i64),
                Text(String),
            }
            match Either::deserialize(deserializer)? {
                Either::Number(number) => Ok(Self(number)),
                Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_read_back() {
        assert_eq!(sequence_number("config_change_0000000012", "config_change_"), Some(12));
        for other in ["config_change_", "config_change_1x", "config_change_-1", "isr_change_0000000001", ""] {
            assert_eq!(sequence_number(other, "config_change_"), None, "{other}");
        }
    }

    #[test]
    fn a_message_shows_only_the_beginning_of_what_a_znode_holds() {
        let error = decode::<u32>("/x", "é\u{1b}[2J".repeat(1_000).as_bytes()).expect_err("no number");
        let message = error.to_string();
        assert!(message.len() < 600 && !message.contains('\u{1b}'), "{message}");
    }

    #[test]
    fn the_znodes_at_start_are_those_that_kafka_makes() {
        let mut paths: Vec<_> = persistent_at_start().into_iter().map(|(path, _)| path).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "/admin/delete_topics",
                "/brokers/ids",
                "/brokers/seqid",
                "/brokers/topics",
                "/config/brokers",
                "/config/changes",
                "/config/clients",
                "/config/ips",
                "/config/topics",
                "/config/users",
                "/consumers",
                "/isr_change_notification",
                "/latest_producer_id_block",
                "/log_dir_event_notification",
            ]
        );
    }
}
