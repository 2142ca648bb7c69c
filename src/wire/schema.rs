//! The language in which messages are described, and what a message is.
//!
//! One description stands for all versions:
//!
//! ```text
//! structs! {
//!     /// What the partition's follower or consumer wants.
//!     struct FetchPartition {
//!         /// In every version.
//!         fetch_offset: i64 [0..],
//!         /// From version 9 on; elsewhere it reads as −1, and is left out when written whatever its value.
//!         current_leader_epoch: i32 = -1 [9..; ignorable],
//!         /// From version 12 on; a value other than −1 is an error in versions that cannot say it.
//!         last_fetched_epoch: i32 = -1 [12..],
//!         /// A tagged field; default values are not written.
//!         replica_directory_id: TopicId [17.., tag 0; ignorable],
//!     }
//! }
//! ```
//!
//! A field is null where its type is an `Option`: in all its versions, or in those that `nullable 1..` names. Null is the
//! default of such a field. Fields stand in the order in which they travel, tagged fields in the order of their tags.

use std::fmt;
use std::ops::RangeInclusive;

use super::api_key::ApiKey;
use super::decoder::{DecodeError, DecodeErrorKind, Decoder};
use super::encoder::{EncodeError, EncodeErrorKind, Encoder};
use super::field::{Dialect, Field};

/// A struct that travels on its own, in versions.
pub trait Message: Field + Default + Clone + fmt::Debug + PartialEq {
    /// The versions described.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields, if there is one.
    const FLEXIBLE_FROM: Option<i16>;

    /// Writes the message behind what `out` has already.
    ///
    /// # Errors
    /// [`EncodeErrorKind::NotInVersion`] when a field says something that `version` cannot and that a reader must not miss;
    /// others when the message is no message of `version` at all.
    fn encode(&self, out: &mut Encoder, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(out.error(EncodeErrorKind::Version(version)));
        }
        self.put(out, dialect::<Self>(version))
    }

    /// Reads a message. What is behind it is left in `input`.
    ///
    /// # Errors
    /// Says where the bytes stop being a message of `version`, and why.
    fn decode(input: &mut Decoder, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(&version) {
            return Err(input.error(DecodeErrorKind::Version(version)));
        }
        Self::take(input, dialect::<Self>(version))
    }
}

/// A message that asks.
pub trait Request: Message {
    /// What it asks for.
    const KEY: ApiKey;
    /// What answers it, in the same version.
    type Response: Message;
}

/// How `version` of a message is written.
pub(super) fn dialect<M: Message>(version: i16) -> Dialect {
    Dialect { version, flexible: M::FLEXIBLE_FROM.is_some_and(|first| first <= version) }
}

/// Describes structs; see the module's documentation.
macro_rules! structs {
    ($(
        $(#[$about:meta])*
        struct $name:ident {$(
            $(#[$field_about:meta])*
            $field:ident: $type:ty $(= $default:literal)? [
                $versions:expr
                $(, nullable $nullable:expr)?
                $(, tag $tag:literal)?
                $(; $ignorable:ident)?
            ],
        )*}
    )*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {$(
            $(#[$field_about])*
            pub $field: $type,
        )*}

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: default_of!($($default)?),)* }
            }
        }

        impl $crate::wire::Field for $name {
            fn put(
                &self,
                out: &mut $crate::wire::Encoder,
                dialect: $crate::wire::Dialect,
            ) -> Result<(), $crate::wire::EncodeError> {
                let version = dialect.version;
                $(
                    out.at(concat!(stringify!($name), ".", stringify!($field)));
                    if $versions.contains(&version) {
                        $(out.refuse_null(self.$field.is_none() && !$nullable.contains(&version), version)?;)?
                        untagged!([$($tag)?] self.$field.put(out, dialect)?);
                    } else {
                        required!([$($ignorable)?] {
                            let default: $type = default_of!($($default)?);
                            out.refuse_value(self.$field != default, version)?;
                        });
                    }
                )*
                if dialect.flexible {
                    out.put_uvarint(0 $(+ tagged!([$($tag)?] {
                        let default: $type = default_of!($($default)?);
                        u32::from($versions.contains(&version) && self.$field != default)
                    } else { 0 }))*);
                    $(tagged!([$($tag)?] {
                        let default: $type = default_of!($($default)?);
                        if $versions.contains(&version) && self.$field != default {
                            out.at(concat!(stringify!($name), ".", stringify!($field)));
                            out.put_tagged_field(tag_of!($($tag)?), &|out| self.$field.put(out, dialect))?;
                        }
                    } else {});)*
                }
                Ok(())
            }

            #[allow(unused_mut, unused_variables, reason = "for structs without tagged fields")]
            fn take(
                input: &mut $crate::wire::Decoder,
                dialect: $crate::wire::Dialect,
            ) -> Result<Self, $crate::wire::DecodeError> {
                let version = dialect.version;
                let mut value = Self {$(
                    $field: tagged!([$($tag)?] { default_of!($($default)?) } else {
                        if $versions.contains(&version) {
                            input.at(concat!(stringify!($name), ".", stringify!($field)));
                            let value: $type = $crate::wire::Field::take(input, dialect)?;
                            $(input.refuse_null(value.is_none() && !$nullable.contains(&version))?;)?
                            value
                        } else {
                            default_of!($($default)?)
                        }
                    }),
                )*};
                if dialect.flexible {
                    input.at(concat!(stringify!($name), ", tagged fields"));
                    input.take_tagged_fields(&mut |tag, input| match tag {
                        $($($tag if $versions.contains(&version) => {
                            input.at(concat!(stringify!($name), ".", stringify!($field)));
                            value.$field = $crate::wire::Field::take(input, dialect)?;
                            Ok(true)
                        })?)*
                        _ => Ok(false),
                    })?;
                }
                Ok(value)
            }

            #[cfg(test)]
            fn arbitrary(random: &mut $crate::wire::arbitrary::Random, dialect: $crate::wire::Dialect) -> Self {
                let version = dialect.version;
                Self {$(
                    $field: if $versions.contains(&version) {
                        let value: $type = $crate::wire::Field::arbitrary(random, dialect);
                        $(
                            let null_allowed = $nullable.contains(&version);
                            let value = if null_allowed { value } else { value.or(Some(Default::default())) };
                        )?
                        value
                    } else {
                        default_of!($($default)?)
                    },
                )*}
            }
        }
    )*};
}

/// Structs that can be null.
macro_rules! nullable_structs {
    ($($name:ident)*) => {$(
        impl $crate::wire::Nullable for $name {
            fn put_nullable(
                value: Option<&Self>,
                out: &mut $crate::wire::Encoder,
                dialect: $crate::wire::Dialect,
            ) -> Result<(), $crate::wire::EncodeError> {
                $crate::wire::field::put_nullable_struct(value, out, dialect)
            }

            fn take_nullable(
                input: &mut $crate::wire::Decoder,
                dialect: $crate::wire::Dialect,
            ) -> Result<Option<Self>, $crate::wire::DecodeError> {
                $crate::wire::field::take_nullable_struct(input, dialect)
            }
        }
    )*};
}

/// The default that a field declares, or that of its type.
macro_rules! default_of {
    () => {
        Default::default()
    };
    ($default:literal) => {
        $default
    };
}

/// Keeps the code of a field that is not tagged.
macro_rules! untagged {
    ([] $code:expr) => {
        $code
    };
    ([$tag:literal] $code:expr) => {};
}

/// Chooses between the code of a tagged field and that of another.
macro_rules! tagged {
    ([] $tagged:block else $untagged:block) => {
        $untagged
    };
    ([$tag:literal] $tagged:block else $untagged:block) => {
        $tagged
    };
}

macro_rules! tag_of {
    () => {
        0
    };
    ($tag:literal) => {
        $tag
    };
}

/// Keeps the code of a field that must not get lost.
macro_rules! required {
    ([ignorable] $code:block) => {};
    ([] $code:block) => {
        $code
    };
}
