//! Numbers with a meaning. Kafka uses −1 for "none" on the wire and on disk; each type that has such a value names it.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

number! {
    /// `broker.id`: names one broker of the cluster. Never negative for a real broker.
    BrokerId(i32)
}
number! {
    /// Number of a partition within its topic, from 0.
    PartitionIndex(i32)
}
number! {
    /// Position of a record in a partition's log, from 0. Whether a bound is inclusive is said where it is used:
    /// *log start offset* is the first readable record; *high watermark*, *last stable offset*, *recovery point* and
    /// *log end offset* are one past the last record they speak of.
    Offset(i64)
}
number! {
    /// Counts the leaderships of one partition: every election adds one. Fences leaders and followers (KIP-101, KIP-320).
    LeaderEpoch(i32)
}
number! {
    /// Counts the controllers of the cluster: the value of `/controller_epoch`. The first elected controller has 1.
    ControllerEpoch(i32)
}
number! {
    /// Tells incarnations of one broker apart: the `czxid` of its `/brokers/ids/N` (KIP-380).
    BrokerEpoch(i64)
}
number! {
    /// Version of a partition's state: the ZooKeeper data version of its `state` znode (KIP-497).
    PartitionEpoch(i32)
}
number! {
    /// Id handed out to an idempotent or transactional producer (KIP-98).
    ProducerId(i64)
}
number! {
    /// Tells incarnations of one producer id apart (KIP-98).
    ProducerEpoch(i16)
}

impl BrokerId {
    /// No broker: an absent leader, or a fetch by a consumer instead of a replica.
    pub const NONE: Self = Self(-1);
}

impl Offset {
    /// No offset known.
    pub const NONE: Self = Self(-1);

    /// The offset after this one. Saturates: an offset past `i64::MAX` cannot be appended (the log refuses it).
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl LeaderEpoch {
    /// No epoch given: the caller does not fence.
    pub const NONE: Self = Self(-1);
}

impl BrokerEpoch {
    /// No epoch given.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// A batch of a producer that is not idempotent.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// Goes with [`ProducerId::NONE`].
    pub const NONE: Self = Self(-1);
}
