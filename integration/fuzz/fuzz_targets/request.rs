//! Any bytes as a request frame: no panic, and what is read once can be written and read again.
#![no_main]

use bytes::Bytes;
use dohle::wire::message::{RewriteError, rewrite_request};
use dohle::wire::{Decoder, decode_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    let Ok((header, mut body)) = decode_request(Bytes::copy_from_slice(frame)) else { return };
    let once = match rewrite_request(header.key, header.version, &mut body) {
        Ok(encoded) => encoded.contiguous().expect("nothing is external"),
        Err(RewriteError::Decode(_) | RewriteError::Encode(_)) => return,
    };
    let twice = rewrite_request(header.key, header.version, &mut Decoder::new(once.clone()));
    assert_eq!(twice.map(|encoded| encoded.contiguous()), Ok(Some(once)));
});
