//! `/latest_producer_id_block`: the last block of producer ids that was handed to a broker. Never fenced by the controller
//! epoch; its data version alone keeps two brokers from one block.

use serde::{Deserialize, Serialize};

use super::DecodeError;
use super::json::{Text, Version};
use crate::model::{BrokerId, ProducerId};

/// Where it is.
pub const LATEST: &str = "/latest_producer_id_block";
/// Ids in a block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const BLOCK_IDS: i64 = 1_000;

/// A block of producer ids for one broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The broker that gives them out.
    pub broker: BrokerId,
    /// The first.
    pub first: ProducerId,
    /// The last, inclusive.
    pub last: ProducerId,
}

impl Block {
    /// The empty block before the first id, as Kafka's `ProducerIdsBlock.EMPTY`.
    pub const NONE_YET: Self = Self { broker: BrokerId::NONE, first: ProducerId(0), last: ProducerId(-1) };

    /// The block after this one; `None` when the ids are used up.
    #[must_use]
    pub fn next(&self, broker: BrokerId) -> Option<Self> {
        let first = self.last.0.checked_add(1)?;
        let last = first.checked_add(BLOCK_IDS - 1)?;
        Some(Self { broker, first: ProducerId(first), last: ProducerId(last) })
    }

    /// How many ids it has.
    #[must_use]
    pub fn len(&self) -> i64 {
        (self.last.0 - self.first.0).saturating_add(1)
    }

    /// Whether it is [`Self::NONE_YET`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// JSON, version 1.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(&Json {
            version: Version,
            broker: self.broker,
            block_start: Text(self.first.0),
            block_end: Text(self.last.0),
        })
    }

    /// The block; no data is [`Self::NONE_YET`].
    ///
    /// # Errors
    /// When the data is not such JSON, or the block ends before it begins or below zero.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        if data.is_empty() {
            return Ok(Self::NONE_YET);
        }
        let json: Json = super::decode(LATEST, data)?;
        let (Text(first), Text(last)) = (json.block_start, json.block_end);
        if first < 0 || last < first.saturating_sub(1) {
            return Err(DecodeError::new(LATEST, format!("{first} to {last} is no block"), data));
        }
        Ok(Self { broker: json.broker, first: ProducerId(first), last: ProducerId(last) })
    }
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(skip_deserializing)]
    version: Version<1>,
    broker: BrokerId,
    block_start: Text,
    block_end: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafka_writes_it() {
        let captured = r#"{"version":1,"broker":0,"block_start":"0","block_end":"999"}"#;
        let block = Block::decode(captured.as_bytes()).expect("Kafka's own");
        assert_eq!(Some(block), Block::NONE_YET.next(BrokerId(0)));
        assert_eq!(String::from_utf8(block.encode()).as_deref(), Ok(captured));
        let next = block.next(BrokerId(3)).expect("many are left");
        assert_eq!((next.first, next.last, next.broker), (ProducerId(1_000), ProducerId(1_999), BrokerId(3)));
    }

    #[test]
    fn the_block_before_the_first_is_read_back() {
        assert_eq!(Block::decode(b""), Ok(Block::NONE_YET));
        assert_eq!(Block::decode(&Block::NONE_YET.encode()), Ok(Block::NONE_YET));
    }

    #[test]
    fn ids_end() {
        let last = Block { broker: BrokerId(1), first: ProducerId(0), last: ProducerId(i64::MAX - BLOCK_IDS) };
        assert!(last.next(BrokerId(1)).is_some());
        assert_eq!(Block { last: ProducerId(i64::MAX - BLOCK_IDS + 1), ..last }.next(BrokerId(1)), None);
        assert_eq!(Block { last: ProducerId(i64::MAX), ..last }.next(BrokerId(1)), None);
    }

    #[test]
    fn what_is_no_block_is_an_error() {
        for bad in [
            "{}",
            r#"{"broker":0,"block_start":"10","block_end":"8"}"#,
            r#"{"broker":0,"block_start":"-1000","block_end":"-1"}"#,
            r#"{"broker":0,"block_start":"x","block_end":"8"}"#,
        ] {
            assert!(Block::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
