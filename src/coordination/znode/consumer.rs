//! `/consumers`: groups of the ZooKeeper era. Their members register, share out partitions and keep offsets there by themselves;
//! a broker touches only the offsets, for clients that ask it to (OffsetCommit 0 and OffsetFetch 0).

use super::DecodeError;

/// Where all of them are.
pub const CONSUMERS: &str = "/consumers";

/// Where a group keeps the offset of a partition.
#[must_use]
pub fn offset_path(group: &str, topic: &str, partition: i32) -> String {
    format!("{CONSUMERS}/{group}/offsets/{topic}/{partition}")
}

/// Whether a group's name is one name in a path: with a slash it would lie inside another group.
#[must_use]
pub fn is_group_name(group: &str) -> bool {
    !group.is_empty() && !group.contains('/')
}

/// An offset as it is written: decimal text.
#[must_use]
pub fn encode_offset(offset: i64) -> Vec<u8> {
    offset.to_string().into_bytes()
}

/// Reads an offset.
///
/// # Errors
/// [`DecodeError`] when it is no number.
pub fn decode_offset(data: &[u8]) -> Result<i64, DecodeError> {
    let text = std::str::from_utf8(data).map_err(|error| DecodeError::new("a group's offset", error, data))?;
    text.parse().map_err(|error| DecodeError::new("a group's offset", error, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_decimal_text_where_old_consumers_look_for_them() {
        assert_eq!(offset_path("g", "t", 3), "/consumers/g/offsets/t/3");
        for offset in [0, -1, i64::MAX, i64::MIN] {
            assert_eq!(decode_offset(&encode_offset(offset)), Ok(offset));
        }
        assert_eq!(encode_offset(12), b"12");
        for bad in [&b""[..], b"x", b"1 ", b"\xff", b"9223372036854775808"] {
            assert!(decode_offset(bad).is_err(), "{bad:?}");
        }
        assert!(is_group_name("a group") && !is_group_name("a/b") && !is_group_name(""));
    }
}
