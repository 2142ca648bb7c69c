//! What an acknowledgement promises.

use std::fmt;
use std::str::FromStr;

/// What `acks=all` waits for before a record counts as committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// The in-sync replicas have flushed it to disk: it survives a power failure of all of them at once.
    #[default]
    Flushed,
    /// The in-sync replicas have it in their page cache, as in Apache Kafka: it survives the death of every broker
    /// process, but not the power failure of all replicas at once.
    PageCache,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flushed => "flushed",
            Self::PageCache => "page-cache",
        })
    }
}

impl FromStr for Durability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "flushed" => Ok(Self::Flushed),
            "page-cache" => Ok(Self::PageCache),
            _ => Err(()),
        }
    }
}
