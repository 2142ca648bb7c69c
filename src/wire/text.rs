//! Text as it travels: a slice of the frame that is known to be UTF-8.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

/// A string of the protocol. It shares the memory of the frame it came in, so cloning copies nothing; whoever keeps one
/// for long keeps the whole frame alive and should make a `String` of it.
///
/// Compares, orders and hashes as `str`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    /// A string that is part of the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// What a peer sent. What is not UTF-8 becomes U+FFFD, as in Kafka, where no client is turned away for it; at most
    /// three bytes come out for each that went in.
    #[must_use]
    pub fn from_wire(bytes: Bytes) -> Self {
        match ByteString::try_from(bytes.clone()) {
            Ok(text) => Self(text),
            Err(_) => Self(String::from_utf8_lossy(&bytes).into_owned().into()),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same bytes, without the promise that they are UTF-8.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_replaced_not_refused() {
        assert_eq!(Str::from_wire(Bytes::from_static(b"a\xffb")), "a\u{fffd}b");
        assert_eq!(Str::from_wire(Bytes::from_static("Dohle ☃".as_bytes())), "Dohle ☃");
    }

    #[test]
    fn it_is_found_by_str_in_an_ordered_and_in_a_hashed_map() {
        let ordered = std::collections::BTreeMap::from([(Str::from("a"), 1)]);
        let hashed = std::collections::HashMap::from([(Str::from("a".to_owned()), 1)]);
        assert_eq!((ordered.get("a"), hashed.get("a")), (Some(&1), Some(&1)));
    }

    #[test]
    fn text_from_a_frame_shares_its_memory() {
        let frame = Bytes::from(vec![b'x'; 64]);
        let text = Str::from_wire(frame.slice(8..16));
        assert_eq!(text.as_ptr(), frame.get(8..).expect("64 bytes").as_ptr());
    }
}
