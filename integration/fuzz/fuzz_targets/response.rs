//! Any bytes as the response to any request: no panic, and what is read once can be written and read again. The first four
//! bytes say which request it answers.
#![no_main]

use bytes::Bytes;
use dohle::wire::message::{RewriteError, rewrite_response};
use dohle::wire::{ApiKey, Decoder, decode_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[k0, k1, v0, v1], frame)) = input.split_first_chunk() else { return };
    let Some(key) = ApiKey::from_code(i16::from_be_bytes([k0, k1])) else { return };
    let version = i16::from_be_bytes([v0, v1]);
    let Ok((_, mut body)) = decode_response(Bytes::copy_from_slice(frame), key, version) else { return };
    let once = match rewrite_response(key, version, &mut body) {
        Ok(encoded) => encoded.contiguous().expect("nothing is external"),
        Err(RewriteError::Decode(_) | RewriteError::Encode(_)) => return,
    };
    let twice = rewrite_response(key, version, &mut Decoder::new(once.clone()));
    assert_eq!(twice.map(|encoded| encoded.contiguous()), Ok(Some(once)));
});
