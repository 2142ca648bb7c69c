//! What a member of a `consumer` group says about itself: of all that, the coordinator needs the topics only.
//!
//! Source: Kafka 3.9 `ConsumerProtocol.java`, `ConsumerProtocolSubscription.json`, `GroupMetadata.computeSubscribedTopics`.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::wire::{DecodeError, Decoder, Dialect, Field, Str};

/// The topics that a member of a `consumer` group subscribes to, from the metadata that it sent. `None` when the bytes are
/// no such subscription: then nobody knows, and it may be any topic.
#[must_use]
pub fn subscribed_topics(metadata: &Bytes) -> Option<BTreeSet<Str>> {
    let topics = read(metadata).ok().flatten()?;
    // Copies, because a slice would keep the whole metadata.
    Some(topics.iter().map(|topic| Str::from(topic.as_str())).collect())
}

/// Reads what every version begins with: the topics, and then bytes that only the assignor understands.
fn read(metadata: &Bytes) -> Result<Option<Vec<Str>>, DecodeError> {
    let dialect = Dialect { version: 0, flexible: false };
    let mut input = Decoder::new(metadata.clone());
    if i16::take(&mut input, dialect)? < 0 {
        return Ok(None);
    }
    let topics = Vec::<Str>::take(&mut input, dialect)?;
    <Option<Bytes> as Field>::take(&mut input, dialect)?;
    Ok(Some(topics))
}
