//! A table: a compacted topic of tiny segments, and a client that writes values of one key after the other to it.
//!
//! A value that it waits for is followed by many of the same key that it does not wait for. So when leaders change there often is a value
//! that is acknowledged, one after it that is not committed, and a cleaner that sees both. Then the client goes on to the next key and never
//! comes back: what is lost stays lost, and the last judgement sees it ([`super::judge::lost`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::client::{Client, Trouble};
use super::super::life::Life;
use super::super::oracle::Place;
use crate::model::ErrorCode;
use crate::wire::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::wire::record::{BatchBuilder, Codec, NewRecord};

const PRODUCE: i16 = 9;

/// How long the broker may wait for a commit.
const TIMEOUT_MS: i32 = 10_000;

/// Values of one key that it waits for.
const WAITED_FOR_MAX: u64 = 3;

/// Values that it does not wait for behind each of those.
const HURRIED_MAX: u64 = 60;

/// Longest pause between two of them, in ms.
const PAUSE_MS: u64 = 60;

/// Longest value, in bytes: a batch of one must fit into the smallest segment.
const VALUE_BYTES_MAX: u64 = 150;

/// The offset of the last value of each key that was acknowledged with `acks=all`.
pub type Acknowledged = BTreeMap<Vec<u8>, i64>;

/// Writes until the life drains.
pub async fn write(life: Rc<Life>, place: Place, acknowledged: Rc<RefCell<Acknowledged>>) {
    let mut number = 0_u64;
    while !life.draining.get() {
        let mut client = life.connect("table", Some(&place)).await;
        loop {
            number += 1;
            let key = format!("key-{number}").into_bytes();
            if let Err(trouble) = write_key(&life, &mut client, &place, &key, &acknowledged).await {
                life.trouble(&trouble);
                break;
            }
            if life.draining.get() {
                return;
            }
        }
        life.pause(300).await;
    }
}

/// Writes all values of a key. With the first trouble it gives the key up.
async fn write_key(
    life: &Life,
    client: &mut Client,
    place: &Place,
    key: &[u8],
    acknowledged: &RefCell<Acknowledged>,
) -> Result<(), Trouble> {
    for _ in 0..=life.below(WAITED_FOR_MAX) {
        let answer = client.call(PRODUCE, &request(life, place, key, -1)).await?;
        let answer = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let answer = answer.ok_or_else(|| Trouble::Unreadable(format!("no answer for {place}")))?;
        if answer.error_code != ErrorCode::None {
            return Err(Trouble::Disconnected);
        }
        acknowledged.borrow_mut().insert(key.to_vec(), answer.base_offset);
        for _ in 0..life.below(HURRIED_MAX) {
            if life.draining.get() {
                return Ok(());
            }
            client.send(PRODUCE, &request(life, place, key, 0)).await?;
            life.pause(PAUSE_MS).await;
        }
    }
    Ok(())
}

fn request(life: &Life, place: &Place, key: &[u8], acks: i16) -> ProduceRequest {
    let value = vec![b'v'; usize::try_from(life.below(VALUE_BYTES_MAX)).unwrap_or(0)];
    let record =
        NewRecord { timestamp: life.clock.timestamp(), key: Some(key), value: Some(&value), ..NewRecord::default() };
    let mut batch = BatchBuilder::new(Codec::None);
    batch.append(&record).unwrap_or_else(|error| panic!("our own record: {error}"));
    let batch = batch.build().unwrap_or_else(|error| panic!("our own batch: {error}"));
    let data = PartitionProduceData { index: place.partition, records: Some(batch.into()) };
    let topic = TopicProduceData { name: place.topic.as_str().into(), partition_data: vec![data] };
    ProduceRequest { acks, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() }
}
