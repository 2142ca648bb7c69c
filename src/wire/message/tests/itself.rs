//! What is written is read back the same, and what a version cannot carry is refused or left out as described.

use super::*;
use crate::model::TopicId;
use crate::wire::message::fetch::{FetchPartition, FetchTopic};
use crate::wire::message::visit_every_api;
use crate::wire::message::{FetchRequest, JoinGroupResponse, MetadataRequest};
use crate::wire::{ApiKey, Decoder, EncodeErrorKind};

struct RoundTrip;

impl MessageVisitor for RoundTrip {
    fn visit<M: Message>(&mut self, name: &str, version: i16) {
        for seed in 0..20 {
            let message = arbitrary::<M>(version, seed);
            let mut input = Decoder::new(encoded(&message, version));
            let read = M::decode(&mut input, version);
            assert_eq!(read, Ok(message), "{name}, seed {seed}");
            assert_eq!(input.remaining(), 0, "{name}, seed {seed}");
        }
    }
}

#[test]
fn every_message_survives_encode_and_decode() {
    visit_every_api(&mut RoundTrip);
}

#[derive(Default)]
struct Keys(Vec<ApiKey>);

impl Visitor for Keys {
    fn visit<R: Request>(&mut self) {
        self.0.push(R::KEY);
        assert_eq!(R::VERSIONS, R::KEY.versions());
        assert_eq!(R::Response::FLEXIBLE_FROM, R::KEY.flexible_from());
        assert_eq!(R::default().encode(&mut Encoder::new(), R::VERSIONS.end() + 1).map_err(|error| error.kind), {
            Err(EncodeErrorKind::Version(R::VERSIONS.end() + 1))
        });
    }
}

#[test]
fn every_key_has_its_messages() {
    let mut keys = Keys::default();
    visit_every_api(&mut keys);
    assert_eq!(keys.0, ApiKey::ALL);
}

fn refusal<M: Message>(message: &M, version: i16) -> Option<(&'static str, EncodeErrorKind)> {
    message.encode(&mut Encoder::new(), version).err().map(|error| (error.field, error.kind))
}

#[test]
fn what_a_version_cannot_carry_is_left_out_only_where_that_is_harmless() {
    let partition = FetchPartition { current_leader_epoch: 4, ..FetchPartition::default() };
    let fetch = |partition| FetchRequest {
        topics: vec![FetchTopic { partitions: vec![partition], ..FetchTopic::default() }],
        ..FetchRequest::default()
    };
    assert_eq!(refusal(&fetch(partition), 4), None, "a leader epoch is ignorable");
    let partition = FetchPartition { last_fetched_epoch: 4, ..FetchPartition::default() };
    let refused = Some(("FetchPartition.last_fetched_epoch", EncodeErrorKind::NotInVersion(11)));
    assert_eq!(refusal(&fetch(partition.clone()), 11), refused, "without it a follower would not see a divergence");
    assert_eq!(refusal(&fetch(partition), 12), None);
    let by_name = FetchTopic { topic: "t".into(), topic_id: TopicId([1; 16]), ..FetchTopic::default() };
    let either = FetchRequest { topics: vec![by_name], ..FetchRequest::default() };
    assert_eq!((refusal(&either, 12), refusal(&either, 13)), (None, None), "name or id, whichever there is");
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let all_topics = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(refusal(&all_topics, 0), Some(("MetadataRequest.topics", EncodeErrorKind::Null(0))));
    assert_eq!(refusal(&all_topics, 1), None);
    let joined = JoinGroupResponse { protocol_name: None, ..JoinGroupResponse::default() };
    assert_eq!(refusal(&joined, 6), Some(("JoinGroupResponse.protocol_name", EncodeErrorKind::Null(6))));
    assert_eq!(refusal(&joined, 7), None);
}
