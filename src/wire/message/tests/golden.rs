//! What Kafka wrote, in every message and version: API key, kind, version, bytes in hexadecimal.
//!
//! The lines of `kafka-3.9.1.txt` were written by the message classes of `kafka-clients-3.9.1.jar`
//! (`ApiMessageType.newRequest`, `read`, `write`) from arbitrary values; those of `kafka-4.1.0.txt`, of versions that 3.9.1
//! does not have, by the classes of 4.1.0.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::wire::message::{rewrite_request, rewrite_response};
use crate::wire::{ApiKey, Decoder};

#[test]
fn what_kafka_wrote_is_read_whole_and_written_the_same() {
    let mut seen = BTreeSet::new();
    let written = [include_str!("kafka-3.9.1.txt"), include_str!("kafka-4.1.0.txt")];
    for line in written.into_iter().flat_map(str::lines) {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or("");
        let key = word().parse().ok().and_then(ApiKey::from_code).expect("an API key");
        let kind = word();
        let version = word().parse().expect("a version");
        let bytes = from_hex(word());
        let mut input = Decoder::new(bytes.clone());
        let rewritten = match kind {
            "request" => rewrite_request(key, version, &mut input),
            _ => rewrite_response(key, version, &mut input),
        };
        let rewritten = rewritten.map(|encoded| encoded.contiguous());
        assert_eq!(rewritten, Ok(Some(bytes)), "{key} {kind} v{version}");
        assert_eq!(input.remaining(), 0, "{key} {kind} v{version}");
        seen.insert((key, version, kind));
    }
    for &key in ApiKey::ALL {
        for version in key.versions() {
            for kind in ["request", "response"] {
                assert!(seen.contains(&(key, version, kind)), "{key} {kind} v{version} is missing");
            }
        }
    }
}

fn from_hex(text: &str) -> Bytes {
    let digit =
        |ascii: &u8| u8::try_from(char::from(*ascii).to_digit(16).expect("a hexadecimal digit")).expect("below 16");
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |value, ascii| value * 16 + digit(ascii))).collect()
}
