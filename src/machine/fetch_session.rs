//! Incremental fetch sessions (KIP-227): the client names its partitions once, and then only what changed.
//!
//! *Owner*: the connection. A client that comes back on another connection is told that its session is gone and sends a
//! full fetch, as after an eviction.
//! *Invariant*: the order rotates: partitions that were answered with records go to the end, so that a busy one starves
//! nobody when the response is full.
//! *Does not know*: logs, offsets' meaning, bytes.
//!
//! Source: Kafka 3.9 `FetchSession.scala`.

use std::collections::BTreeMap;

use crate::model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicId};

/// Session id 0: no session.
pub const NO_SESSION: i32 = 0;
/// Epoch of a full fetch that asks for a session.
pub const INITIAL_EPOCH: i32 = 0;
/// Epoch of a full fetch that wants none, or that ends the one it names.
pub const FINAL_EPOCH: i32 = -1;

/// How a fetch names a topic: by id from version 13 on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicKey {
    /// Up to version 12.
    Name(String),
    /// From version 13 on.
    Id(TopicId),
}

/// What a client wants of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// First offset to read.
    pub offset: Offset,
    /// Leader epoch that the client knows; fences both sides (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch of the last record that a follower has (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    /// A follower's log start offset; [`Offset::NONE`] for consumers.
    pub log_start_offset: Offset,
    /// Most bytes to answer for this partition, but for one batch.
    pub max_bytes: i32,
}

/// One partition of one topic, as the client named it.
pub type Key = (TopicKey, PartitionIndex);

/// What was last answered for a partition: it is answered again only when something of it changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answered {
    /// High watermark.
    pub high_watermark: Offset,
    /// Log start offset.
    pub log_start_offset: Offset,
}

/// A request's session fields and partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Session id.
    pub session_id: i32,
    /// Session epoch.
    pub session_epoch: i32,
    /// Partitions named.
    pub wanted: Vec<(Key, Wanted)>,
    /// Partitions to forget.
    pub forgotten: Vec<Key>,
    /// Whether topics are named by id.
    pub by_id: bool,
}

/// Which partitions to answer, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// Answer every partition named.
    Full {
        /// Id for the response; [`NO_SESSION`] when there is none.
        session_id: i32,
    },
    /// Answer only what changed of all the session's partitions.
    Incremental {
        /// Id for the response.
        session_id: i32,
    },
}

/// The session of one connection, when it has one.
#[derive(Debug, Default)]
pub struct Sessions {
    current: Option<Session>,
}

#[derive(Debug)]
struct Session {
    id: i32,
    next_epoch: i32,
    by_id: bool,
    /// Partitions in the order in which they are read.
    turns: BTreeMap<u64, Key>,
    partitions: BTreeMap<Key, Cached>,
    next_turn: u64,
}

#[derive(Debug)]
struct Cached {
    turn: u64,
    wanted: Wanted,
    answered: Option<Answered>,
}

impl Sessions {
    /// Takes in the session part of a request. `new_id` is an id for a new session, or `None` when there is no room for one.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH`, `FETCH_SESSION_TOPIC_ID_ERROR`: for the whole request.
    pub fn begin(&mut self, request: &Request, new_id: impl FnOnce() -> Option<i32>) -> Result<Begun, ErrorCode> {
        if request.session_epoch == INITIAL_EPOCH || request.session_epoch == FINAL_EPOCH {
            let named = |session: &mut Session| request.session_id == NO_SESSION || session.id == request.session_id;
            let _closed = self.current.take_if(named);
            let wants_one = request.session_epoch == INITIAL_EPOCH && !request.wanted.is_empty();
            let session_id = if wants_one { new_id().unwrap_or(NO_SESSION) } else { NO_SESSION };
            if session_id != NO_SESSION {
                self.current = Some(Session::new(session_id, request));
            }
            return Ok(Begun::Full { session_id });
        }
        let session = self.current.as_mut().filter(|session| session.id == request.session_id);
        let session = session.ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.next_epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != request.by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.next_epoch = next_epoch(session.next_epoch);
        request.forgotten.iter().for_each(|key| session.forget(key));
        request.wanted.iter().for_each(|(key, wanted)| session.want(key, wanted));
        Ok(Begun::Incremental { session_id: session.id })
    }

    /// All partitions of the session in the order in which they are to be read. Empty when there is no session.
    pub fn partitions(&self) -> impl Iterator<Item = (&Key, &Wanted)> {
        let session = self.current.as_ref();
        session.into_iter().flat_map(|session| {
            session.turns.values().filter_map(|key| session.partitions.get_key_value(key)).map(|(k, c)| (k, &c.wanted))
        })
    }

    /// Whether an incremental response has to list a partition that has neither records nor an error.
    #[must_use]
    pub fn has_news(&self, key: &Key, answer: Answered) -> bool {
        let cached = self.current.as_ref().and_then(|session| session.partitions.get(key));
        cached.is_none_or(|cached| cached.answered != Some(answer))
    }

    /// Notes what a partition was answered with. `records` sends it to the end of the order.
    pub fn answered(&mut self, key: &Key, answer: Option<Answered>, records: bool) {
        let Some(session) = self.current.as_mut() else { return };
        let Some(cached) = session.partitions.get_mut(key) else { return };
        // After an error nothing is known to the client: the next answer is news whatever it is.
        cached.answered = answer;
        if records {
            session.turns.remove(&cached.turn);
            cached.turn = session.next_turn;
            session.turns.insert(cached.turn, key.clone());
            session.next_turn += 1;
        }
    }

    /// Whether there is a session.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current.is_some()
    }
}

impl Session {
    fn new(id: i32, request: &Request) -> Self {
        let mut session = Self {
            id,
            next_epoch: 1,
            by_id: request.by_id,
            turns: BTreeMap::new(),
            partitions: BTreeMap::new(),
            next_turn: 0,
        };
        request.wanted.iter().for_each(|(key, wanted)| session.want(key, wanted));
        session
    }

    fn want(&mut self, key: &Key, wanted: &Wanted) {
        if let Some(cached) = self.partitions.get_mut(key) {
            cached.wanted = wanted.clone();
            return;
        }
        self.turns.insert(self.next_turn, key.clone());
        let cached = Cached { turn: self.next_turn, wanted: wanted.clone(), answered: None };
        self.partitions.insert(key.clone(), cached);
        self.next_turn += 1;
    }

    fn forget(&mut self, key: &Key) {
        if let Some(cached) = self.partitions.remove(key) {
            self.turns.remove(&cached.turn);
        }
    }
}

/// Epochs count from 1 and wrap back to 1: 0 and −1 have meanings of their own.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partition: i32) -> Key {
        (TopicKey::Name("t".to_owned()), PartitionIndex(partition))
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted {
            offset: Offset(offset),
            current_leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
            log_start_offset: Offset::NONE,
            max_bytes: 1 << 20,
        }
    }

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> Request {
        let wanted = partitions.iter().map(|p| (key(*p), wanted(0))).collect();
        Request { session_id, session_epoch, wanted, forgotten: vec![], by_id: false }
    }

    fn open(partitions: &[i32]) -> Sessions {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.begin(&request(0, 0, partitions), || Some(5)), Ok(Begun::Full { session_id: 5 }));
        sessions
    }

    fn order(sessions: &Sessions) -> Vec<i32> {
        sessions.partitions().map(|((_, partition), _)| partition.0).collect()
    }

    #[test]
    fn an_incremental_fetch_reads_all_partitions_of_the_session() {
        let mut sessions = open(&[0, 1, 2]);
        let mut next = request(5, 1, &[7]);
        next.forgotten.push(key(1));
        assert_eq!(sessions.begin(&next, || None), Ok(Begun::Incremental { session_id: 5 }));
        assert_eq!(order(&sessions), [0, 2, 7]);
    }

    #[test]
    fn wrong_epochs_ids_and_ways_of_naming_topics_are_refused() {
        let mut sessions = open(&[0]);
        assert_eq!(sessions.begin(&request(5, 2, &[]), || None), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(sessions.begin(&request(6, 1, &[]), || None), Err(ErrorCode::FetchSessionIdNotFound));
        let by_id = Request { by_id: true, ..request(5, 1, &[]) };
        assert_eq!(sessions.begin(&by_id, || None), Err(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(sessions.begin(&request(5, 1, &[]), || None), Ok(Begun::Incremental { session_id: 5 }));
    }

    #[test]
    fn the_final_epoch_ends_a_session_and_no_room_means_none() {
        let mut sessions = open(&[0]);
        assert_eq!(sessions.begin(&request(5, FINAL_EPOCH, &[0]), || Some(6)), Ok(Begun::Full { session_id: 0 }));
        assert!(!sessions.is_open());
        assert_eq!(sessions.begin(&request(0, 0, &[0]), || None), Ok(Begun::Full { session_id: 0 }));
        assert_eq!(sessions.begin(&request(5, 1, &[]), || None), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn partitions_that_had_records_go_to_the_end() {
        let mut sessions = open(&[0, 1, 2]);
        let answer = Answered { high_watermark: Offset(3), log_start_offset: Offset(0) };
        sessions.answered(&key(0), Some(answer), true);
        assert_eq!(order(&sessions), [1, 2, 0]);
        assert!(!sessions.has_news(&key(0), answer));
        assert!(sessions.has_news(&key(0), Answered { high_watermark: Offset(4), ..answer }));
        assert!(sessions.has_news(&key(1), answer), "never answered");
        sessions.answered(&key(0), None, false);
        assert!(sessions.has_news(&key(0), answer), "after an error everything is news");
    }

    #[test]
    fn epochs_wrap_to_one() {
        assert_eq!(next_epoch(1), 2);
        assert_eq!(next_epoch(i32::MAX), 1);
    }
}
