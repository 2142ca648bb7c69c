//! Produce before version 3: message sets of old formats become batches, on the disk pool, before the request goes on like any other.

use crate::broker::env::Env;
use crate::model::PartitionIndex;
use crate::model::limits::CONVERTED_REQUEST_BYTES_MAX;
use crate::telemetry::{Event as _, event};
use crate::wire::message::produce::ProduceRequest;
use crate::wire::record::legacy::{Upgraded, up_convert};
use crate::wire::record::{CompressionError, Rejection};

/// The first version whose records are always of the new format (KIP-98).
const NEW_FORMAT_FROM: i16 = 3;

/// What became of the records of each partition, in the order of the request; `None` where the partition is not here.
pub(in crate::broker) type Upgrades = Vec<Option<Result<Upgraded, Rejection>>>;

/// Whether a version's records must go through [`upgrade`].
pub(in crate::broker) const fn is_old(version: i16) -> bool {
    version < NEW_FORMAT_FROM
}

/// Converts the records of a request.
pub(in crate::broker) async fn upgrade(env: &Env, version: i16, request: &ProduceRequest) -> Upgrades {
    let now = env.ports.clock.timestamp();
    let mut upgrades = Vec::new();
    let mut room = CONVERTED_REQUEST_BYTES_MAX;
    for topic in &request.topic_data {
        for data in &topic.partition_data {
            let Some(partition) = env.directory.find(&topic.name, PartitionIndex(data.index)) else {
                upgrades.push(None);
                continue;
            };
            let mut rules = partition.published.settings().batch;
            rules.produce_version = version;
            rules.now = now;
            if room < rules.batch_bytes_max {
                let too_large = CompressionError::TooLarge { bytes_max: CONVERTED_REQUEST_BYTES_MAX };
                upgrades.push(Some(Err(Rejection::Compression(too_large))));
                continue;
            }
            let records = data.records.clone().unwrap_or_default();
            let done = env.conversions.run(move || up_convert(&records, &rules, &mut Vec::new())).await;
            if let Some(Ok(Upgraded::Batch { batch, .. })) = &done {
                room = room.saturating_sub(batch.header.len);
            }
            upgrades.push(done);
        }
    }
    upgrades
}

/// Counts records that were converted and are appended.
pub(super) fn count(topic: &str, records: u64) {
    if records != 0 {
        event::ProduceMessageConversions { topic: topic.to_owned(), records }.emit_times(records);
    }
}
