//! How each type that a field can have is written and read: the classic form, and the compact form of flexible versions
//! (KIP-482).

use bytes::Bytes;

use crate::model::{ErrorCode, TopicId};

use super::decoder::{DecodeError, DecodeErrorKind, Decoder};
use super::encoder::{EncodeError, Encoder, Payload};
use super::text::Str;

/// The version being written or read, and whether it has compact lengths and tagged fields.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// The message's version.
    pub version: i16,
    /// Whether lengths are compact and structs end with tagged fields.
    pub flexible: bool,
}

/// A type that a field of a message can have.
pub trait Field: Sized {
    /// Writes the value.
    ///
    /// # Errors
    /// [`EncodeError`] when the version cannot carry it.
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError>;

    /// Reads a value.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are none.
    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError>;

    /// Some value that this version can carry.
    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, dialect: Dialect) -> Self;
}

/// A type whose encoding has a null, so that a field can be an `Option` of it.
pub trait Nullable: Field {
    /// Writes the value or null.
    ///
    /// # Errors
    /// [`EncodeError`] when the version cannot carry the value.
    fn put_nullable(value: Option<&Self>, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError>;

    /// Reads a value or null.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are neither.
    fn take_nullable(input: &mut Decoder, dialect: Dialect) -> Result<Option<Self>, DecodeError>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            #[inline]
            fn put(&self, out: &mut Encoder, _: Dialect) -> Result<(), EncodeError> {
                out.put(&self.to_be_bytes());
                Ok(())
            }

            #[inline]
            fn take(input: &mut Decoder, _: Dialect) -> Result<Self, DecodeError> {
                input.take_array().map(Self::from_be_bytes)
            }

            #[cfg(test)]
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what wraps is as arbitrary")]
            fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
                random.number() as Self
            }
        }
    )*};
}

numbers! { i8 i16 u16 i32 u32 i64 f64 }

impl Field for bool {
    fn put(&self, out: &mut Encoder, _: Dialect) -> Result<(), EncodeError> {
        out.put(&[u8::from(*self)]);
        Ok(())
    }

    fn take(input: &mut Decoder, _: Dialect) -> Result<Self, DecodeError> {
        input.take_array().map(|[byte]| byte != 0)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
        random.below(2) == 0
    }
}

impl Field for TopicId {
    fn put(&self, out: &mut Encoder, _: Dialect) -> Result<(), EncodeError> {
        out.put(&self.0);
        Ok(())
    }

    fn take(input: &mut Decoder, _: Dialect) -> Result<Self, DecodeError> {
        input.take_array().map(Self)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
        Self(std::array::from_fn(|_| random.byte()))
    }
}

/// A number that nobody knows is read as [`ErrorCode::UnknownServerError`], as Kafka's clients do.
impl Field for ErrorCode {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        self.code().put(out, dialect)
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        i16::take(input, dialect).map(Self::from_code)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
        Self::ALL[random.below(Self::ALL.len())]
    }
}

impl Field for Str {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        Self::put_nullable(Some(self), out, dialect)
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        not_null(Self::take_nullable(input, dialect)?, input)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
        random.text().into()
    }
}

impl Nullable for Str {
    fn put_nullable(value: Option<&Self>, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        let length = value.map(|text| text.len());
        out.refuse_long_str(length.unwrap_or(0))?;
        if dialect.flexible {
            out.put_compact_length(length)?
        } else {
            out.put_length_i16(length)?
        }
        out.put(value.map_or(&[], |text| text.as_bytes()));
        Ok(())
    }

    fn take_nullable(input: &mut Decoder, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        let length = if dialect.flexible { input.take_compact_length()? } else { input.take_length_i16()? };
        length.map(|length| input.take_str(length)).transpose()
    }
}

impl Field for Bytes {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        Self::put_nullable(Some(self), out, dialect)
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        not_null(Self::take_nullable(input, dialect)?, input)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, _: Dialect) -> Self {
        random.blob().into()
    }
}

impl Nullable for Bytes {
    fn put_nullable(value: Option<&Self>, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        put_length(value.map(Self::len), out, dialect)?;
        if let Some(bytes) = value {
            out.put_blob(bytes);
        }
        Ok(())
    }

    fn take_nullable(input: &mut Decoder, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        take_length(input, dialect)?.map(|length| input.take_bytes(length)).transpose()
    }
}

/// Read back, it is never [`Payload::External`].
impl Field for Payload {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        match self {
            Self::None => put_length(None, out, dialect),
            Self::Bytes(bytes) => bytes.put(out, dialect),
            &Self::External { .. } => {
                put_length(Some(self.len()), out, dialect)?;
                out.put_gap(self.clone());
                Ok(())
            }
        }
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        Ok(Bytes::take_nullable(input, dialect)?.map_or(Self::None, Self::Bytes))
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, dialect: Dialect) -> Self {
        Option::<Bytes>::arbitrary(random, dialect).map_or(Self::None, Self::Bytes)
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        Self::put_nullable(Some(self), out, dialect)
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        not_null(Self::take_nullable(input, dialect)?, input)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, dialect: Dialect) -> Self {
        (0..random.elements()).map(|_| T::arbitrary(random, dialect)).collect()
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn put_nullable(value: Option<&Self>, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        put_length(value.map(Self::len), out, dialect)?;
        value.into_iter().flatten().try_for_each(|element| element.put(out, dialect))
    }

    fn take_nullable(input: &mut Decoder, dialect: Dialect) -> Result<Option<Self>, DecodeError> {
        let Some(count) = take_length(input, dialect)? else { return Ok(None) };
        let mut elements = input.reserve(count)?;
        for _ in 0..count {
            elements.push(T::take(input, dialect)?);
        }
        Ok(Some(elements))
    }
}

impl<T: Nullable> Field for Option<T> {
    fn put(&self, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
        T::put_nullable(self.as_ref(), out, dialect)
    }

    fn take(input: &mut Decoder, dialect: Dialect) -> Result<Self, DecodeError> {
        T::take_nullable(input, dialect)
    }

    #[cfg(test)]
    fn arbitrary(random: &mut super::arbitrary::Random, dialect: Dialect) -> Self {
        (random.below(4) != 0).then(|| T::arbitrary(random, dialect))
    }
}

/// A struct or null: a byte in front says whether one follows.
pub(super) fn put_nullable_struct<T: Field>(
    value: Option<&T>,
    out: &mut Encoder,
    dialect: Dialect,
) -> Result<(), EncodeError> {
    let there: i8 = if value.is_some() { 1 } else { -1 };
    there.put(out, dialect)?;
    value.map_or(Ok(()), |value| value.put(out, dialect))
}

/// A struct or null: any negative byte in front is null, as in Kafka.
pub(super) fn take_nullable_struct<T: Field>(input: &mut Decoder, dialect: Dialect) -> Result<Option<T>, DecodeError> {
    let there = i8::take(input, dialect)?;
    if there < 0 { Ok(None) } else { T::take(input, dialect).map(Some) }
}

fn not_null<T>(value: Option<T>, input: &Decoder) -> Result<T, DecodeError> {
    value.ok_or_else(|| input.error(DecodeErrorKind::Null))
}

/// Length of an array or a blob.
#[inline]
fn put_length(length: Option<usize>, out: &mut Encoder, dialect: Dialect) -> Result<(), EncodeError> {
    if dialect.flexible { out.put_compact_length(length) } else { out.put_length_i32(length) }
}

#[inline]
fn take_length(input: &mut Decoder, dialect: Dialect) -> Result<Option<usize>, DecodeError> {
    if dialect.flexible { input.take_compact_length() } else { input.take_length_i32() }
}
