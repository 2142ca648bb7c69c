//! Known bugs of Kafka's replication and groups, and of brokers like it, to be put back one at a time, so that it can be shown that the
//! simulator finds each (`dohle sim --cluster --bug B3`).
//!
//! What others call the last replica standing (B8) has no hook of its own: with `durability=flushed` it is B14, and a page-cache topic
//! promises nothing when the only replica in sync loses its power.
//!
//! *Invariant*: without the feature `bugs` every hook is a constant `false`, and nothing of a bug is in the program.

use std::fmt;

macro_rules! bugs {
    ($($(#[$meaning:meta])* $name:ident,)*) => {
        /// A known bug. Its hook is where [`Bug::is_back`] is asked.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug {
            $($(#[$meaning])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

bugs! {
    /// A follower cuts its log to its own high watermark when it begins to follow (KIP-101, scenario 1).
    B1,
    /// The same, and the leader does not compare the logs by their epochs (KIP-101, scenario 2).
    B2,
    /// Where the leader never had the follower's epoch, one round of truncation passes for enough (KIP-279).
    B3,
    /// A follower whose leader is the same under a newer epoch does not compare its log (KAFKA-7164).
    B4,
    /// Fetches under another leader epoch are served (KIP-320).
    B5,
    /// The leader counts the old ISR while it asks for a larger one (KIP-497).
    B6,
    /// A follower joins the ISR before it has all that its leader began with (KIP-207, KAFKA-7128), nor had all that there was a moment ago:
    /// either look alone hides that the other is missing. Seen where the new leader is not alone in the ISR, or its high watermark would
    /// be its log's end at once, which asks as much of the follower.
    B7,
    /// A follower joins the ISR for what it had before it was started again, with an empty disk (KIP-903).
    B9,
    /// What a controller told an earlier incarnation of a broker takes effect on this one (KIP-380). Seen where a deleted topic's name is
    /// given anew: all else that comes late has a leader epoch that is compared by itself.
    B10,
    /// A controller writes without looking whether it still is one, nor whether the state is the one that it knows: either look alone
    /// hides that the other is missing.
    B11,
    /// A leader goes on leading when its session has ended.
    B12,
    /// What was begun under an ended session passes for done under the next one (KAFKA-9307). Seen where there is one replica: others get a
    /// new leader epoch when a broker in sync registers anew.
    B13,
    /// `acks=all` is answered before the flush, with `durability=flushed`.
    B14,
    /// A follower that has more than its leader halts (KAFKA-3924).
    B15,
    /// A failed fsync passes for a good one.
    B16,
    /// A commit of an earlier generation, or of who is no member any more, is taken (KAFKA-7026).
    B23,
    /// Who was replaced as a static member is still heard (KIP-345).
    B23Kip345,
    /// A member of the consumer protocol is given a partition that another one has not let go of (KIP-848).
    B23Kip848,
    /// Who comes to coordinate a group reads its records only up to what it knows to be committed.
    B24,
    /// Who comes to coordinate a group answers by records that are not committed yet.
    B24Early,
    /// What lies beyond the high watermark that a new leader knows is out of range, although an earlier one has served it (KIP-207).
    B25,
    /// Compaction counts what is not committed, or not flushed: a record goes whose successor a change of leaders or a crash takes back.
    B26,
    /// Topics that the tree does not have are deleted.
    B28,
}

#[cfg(feature = "bugs")]
thread_local! {
    static BACK: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

impl Bug {
    /// Whether this bug was put back on this thread: the simulator has only one.
    #[cfg(feature = "bugs")]
    #[must_use]
    pub fn is_back(self) -> bool {
        BACK.get() == Some(self)
    }

    /// No bug is ever put back.
    #[cfg(not(feature = "bugs"))]
    #[must_use]
    pub const fn is_back(self) -> bool {
        false
    }

    /// Puts this bug back on this thread, or none.
    #[cfg(feature = "bugs")]
    pub fn put_back(bug: Option<Self>) {
        BACK.set(bug);
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
