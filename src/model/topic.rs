//! What a topic and its partitions are called.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::PartitionIndex;
use super::limits::TOPIC_NAME_BYTES_MAX;

/// A legal topic name: 1 to 249 of `[a-zA-Z0-9._-]`, neither `.` nor `..`. It is safe as part of a folder's name.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a text is no topic name, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Topic name is invalid: {0}")]
pub struct InvalidTopicName(String);

impl TopicName {
    /// Checks `name` by Kafka's rules (`Topic.validate`).
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        let refuse = |why: String| Err(InvalidTopicName(why));
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name {
            "" => refuse("the empty string is not allowed".to_owned()),
            "." | ".." => refuse(format!("'{name}' is not allowed")),
            _ if TOPIC_NAME_BYTES_MAX < name.len() => refuse(format!(
                "the length of '{}…' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}",
                name.chars().take(40).collect::<String>()
            )),
            _ if !name.chars().all(legal) => refuse(format!(
                "'{}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                name.escape_debug()
            )),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two names collide when they differ only in '.' and '_': their metrics would have one name (`Topic.hasCollision`).
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        self.0.replace('.', "_") == other.0.replace('.', "_")
    }

    /// The topic in which groups are kept.
    pub const CONSUMER_OFFSETS: &'static str = "__consumer_offsets";

    /// Topics of the broker's own: clients may read but not write or freely delete them.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self.as_str(), Self::CONSUMER_OFFSETS | "__transaction_state")
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// 128-bit id of a topic (KIP-516): tells a topic from its namesake that was deleted. Text form: URL-safe base64 without
/// padding, 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// No id known.
    pub const ZERO: Self = Self([0; 16]);

    /// An id from 16 random bytes, or `None` when these bytes must not be used (`Uuid.randomUuid`): the text form would
    /// start with '-', or the id is one of the small reserved ones. Draw again.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = bytes[6] & 0x0f | 0x40; // version 4
        bytes[8] = bytes[8] & 0x3f | 0x80; // variant 10
        let id = Self(bytes);
        (!id.to_string().starts_with('-')).then_some(id)
    }

    /// Whether this is [`Self::ZERO`].
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Reads the text form. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// One partition of one topic, by name. Displays as Kafka's folder name: `topic-0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_data_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "../x", "a b", "a\0b", "ä", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "A.b_c-9", "...", &"x".repeat(249)] {
            assert_eq!(TopicName::new(good).map(|name| name.as_str().to_owned()).as_deref(), Ok(good));
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        let name = |text| TopicName::new(text).expect("a legal name");
        assert!(name("a.b").collides_with(&name("a_b")));
        assert!(!name("a.b").collides_with(&name("a-b")));
    }

    #[test]
    fn topic_ids_have_a_text_form_both_ways() {
        let id = TopicId::parse("sEqLFfGxSq2bB2PwjNH0Vg").expect("an id as Kafka writes it");
        assert_eq!(id.to_string(), "sEqLFfGxSq2bB2PwjNH0Vg");
        assert_eq!(TopicId::parse("short"), None);
        assert_eq!(TopicId::from_random([0xf8; 16]), None, "its text form would start with '-'");
    }
}
