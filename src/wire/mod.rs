//! The Kafka protocol: bytes to values and back.
//!
//! A frame's life: [`decode_request`] reads the header and gives a [`Decoder`] for the body, [`Message::decode`] reads the
//! body in the header's version, [`encode_response`] writes the answer as an [`Encoded`] frame, whose large blobs stay
//! where they are until they are sent. Messages are described in [`message`], one file per API, in the language of
//! [`schema`].
//!
//! *Invariant*: a decoder never panics and never allocates more than its input can fill.
//! *Does not know*: sockets, files, what a request is for.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::expect_used)]

// First, so that its macros are known in the modules below.
#[macro_use]
pub mod schema;

mod api_key;
#[cfg(test)]
pub mod arbitrary;
pub mod consumer_protocol;
mod decoder;
mod encoder;
mod field;
mod frame;
pub mod group_record;
pub mod message;
pub mod record;
mod text;

pub use api_key::ApiKey;
pub use decoder::{DecodeError, DecodeErrorKind, Decoder};
pub use encoder::{EncodeError, EncodeErrorKind, Encoded, Encoder, Gap, Part, Payload};
pub use field::{Dialect, Field, Nullable};
pub use frame::{
    HeaderError, RequestHeader, append_response, decode_request, decode_response, encode_request, encode_response,
};
pub use schema::{Message, Request};
pub use text::Str;
