//! Bytes that are almost, or not at all, a message: an error or a value, but never a panic, and never more memory than the
//! frame pays for.

use super::*;
use crate::wire::message::{DescribeGroupsRequest, visit_every_api};
use crate::wire::{DecodeErrorKind, Decoder};

/// Decodes, and if that gives a value, checks that its encoding is a fixed point.
fn probe<M: Message>(bytes: Bytes, name: &str, version: i16) -> bool {
    let Ok(message) = M::decode(&mut Decoder::new(bytes), version) else { return false };
    let once = encoded(&message, version);
    let again = M::decode(&mut Decoder::new(once.clone()), version)
        .unwrap_or_else(|error| panic!("{name}: its own encoding is not read: {error}\n{message:?}"));
    assert_eq!(encoded(&again, version), once, "{name}: {message:?}");
    true
}

struct Truncated;

impl MessageVisitor for Truncated {
    fn visit<M: Message>(&mut self, name: &str, version: i16) {
        let whole = encoded(&arbitrary::<M>(version, 1), version);
        for len in 0..whole.len().min(400) {
            assert!(!probe::<M>(whole.slice(..len), name, version), "{name}: complete after {len} of {}", whole.len());
        }
    }
}

#[test]
fn no_message_is_complete_before_its_end() {
    visit_every_api(&mut Truncated);
}

/// Lengths and counts that claim the most: 2³¹−1 in four bytes and in the compact form, 2³²−1, a number that never ends.
const CLAIMS: [&[u8]; 5] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x80, 0x80, 0x80, 0x08],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff],
];

struct Claims;

impl MessageVisitor for Claims {
    fn visit<M: Message>(&mut self, name: &str, version: i16) {
        let whole = encoded(&arbitrary::<M>(version, 2), version);
        for at in 0..whole.len().min(120) {
            for claim in CLAIMS {
                probe::<M>([&whole[..at], claim, &whole[at..]].concat().into(), name, version);
                let behind = whole.len().min(at + claim.len());
                probe::<M>([&whole[..at], claim, &whole[behind..]].concat().into(), name, version);
            }
        }
    }
}

#[test]
fn a_length_may_claim_anything_anywhere() {
    visit_every_api(&mut Claims);
}

struct Mutated(Random);

impl MessageVisitor for Mutated {
    fn visit<M: Message>(&mut self, name: &str, version: i16) {
        for seed in 0..4 {
            let whole = encoded(&arbitrary::<M>(version, seed), version);
            for _ in 0..60 {
                probe::<M>(mutated(&mut self.0, &whole), name, version);
            }
        }
        for _ in 0..60 {
            probe::<M>(self.0.blob().into(), name, version);
        }
    }
}

/// A few bytes changed, dropped, doubled or put in.
fn mutated(random: &mut Random, whole: &[u8]) -> Bytes {
    let mut bytes = whole.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 => drop(bytes.drain(at..(at + random.below(8)).min(whole.len().min(bytes.len())).max(at))),
            3 => bytes.extend_from_within(at..),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
        }
    }
    bytes.into()
}

#[test]
fn no_mutation_brings_a_decoder_down() {
    visit_every_api(&mut Mutated(Random::new(39)));
}

#[test]
fn an_array_of_nothings_is_refused_before_it_fills_the_memory() {
    // Four million empty names take one byte each in the frame, and 32 each in memory.
    let names = 4 << 20;
    let mut frame = vec![0x81, 0x80, 0x80, 0x02];
    frame.resize(frame.len() + names, 1);
    frame.extend([0, 0]);
    let refused = DescribeGroupsRequest::decode(&mut Decoder::new(frame.into()), 5).map_err(|error| error.kind);
    assert_eq!(refused, Err(DecodeErrorKind::Memory { count: names }));
}

#[test]
fn an_error_says_where() {
    let frame = Bytes::from_static(&[0, 0, 0, 1, 0, 9, b'x']);
    let refused = DescribeGroupsRequest::decode(&mut Decoder::new(frame), 0).expect_err("nine bytes are not there");
    assert_eq!(refused.to_string(), "DescribeGroupsRequest.groups: 9 bytes needed, 1 left");
}
