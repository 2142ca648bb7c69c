//! What became of a record.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::client::error::ClientError;
use crate::model::{Offset, PartitionIndex};
use crate::wire::Str;

/// Why a record was not written, or perhaps not. Which kind it is says what may be done: see [`Self::is_retriable`] and
/// [`Self::is_fatal`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProduceError {
    /// It did not pass in time or in `retries`. To send it again may succeed, and may write it twice.
    #[error("{0}")]
    Retriable(Rc<ClientError>),
    /// It was not acknowledged within `delivery.timeout.ms`.
    #[error("partition {topic}-{partition} did not acknowledge within {} ms", waited.as_millis())]
    Expired {
        /// The topic.
        topic: Str,
        /// The partition's number.
        partition: i32,
        /// `delivery.timeout.ms`.
        waited: Duration,
    },
    /// It was sent and not acknowledged when records before it were given up: under other numbers the broker would not know it again.
    #[error("nobody knows whether partition {topic}-{partition} has it: a batch before it was given up")]
    Doubtful {
        /// The topic.
        topic: Str,
        /// The partition's number.
        partition: i32,
    },
    /// `buffer.memory` was full for `max.block.ms`. Nothing was sent.
    #[error("no room in buffer.memory within {} ms", waited.as_millis())]
    Full {
        /// `max.block.ms`.
        waited: Duration,
    },
    /// The topic was not there for `max.block.ms`. Nothing was sent.
    #[error("topic '{topic}' is not there: {source}")]
    NoTopic {
        /// Its name.
        topic: Str,
        /// What was said of it last.
        source: Rc<ClientError>,
    },
    /// The topic has no such partition. Nothing was sent.
    #[error("topic '{topic}' has no partition {partition}: it has {partitions}, numbered from 0")]
    NoPartition {
        /// The topic.
        topic: Str,
        /// What was asked for.
        partition: i32,
        /// How many there are.
        partitions: usize,
    },
    /// The record is larger than `max.request.size` or `buffer.memory`. Nothing was sent.
    #[error("a record of {bytes} bytes is larger than {key} allows: {most}")]
    TooLarge {
        /// At most so large with all that comes with it.
        bytes: usize,
        /// Which key bounds it.
        key: &'static str,
        /// Its value.
        most: usize,
    },
    /// The broker refuses this record or its batch for good.
    #[error("{0}")]
    Refused(Rc<ClientError>),
    /// The producer was dropped before the record was acknowledged: it may be written or not.
    #[error("the producer was dropped before the record was acknowledged")]
    Dropped,
    /// The producer is of no more use: nothing it is given will be written.
    #[error("{0}")]
    Fatal(Rc<ClientError>),
}

impl ProduceError {
    /// Whether the same record may be written when it is given again.
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Retriable(_)
            | Self::Expired { .. }
            | Self::Doubtful { .. }
            | Self::Full { .. }
            | Self::NoTopic { .. } => true,
            Self::NoPartition { .. } | Self::TooLarge { .. } | Self::Refused(_) | Self::Dropped | Self::Fatal(_) => {
                false
            }
        }
    }

    /// Whether the producer is of no more use.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal(_))
    }

    /// What a broker or a connection said, where it did.
    #[must_use]
    pub fn source_error(&self) -> Option<&ClientError> {
        match self {
            Self::Retriable(error) | Self::Refused(error) | Self::Fatal(error) => Some(error),
            Self::NoTopic { source, .. } => Some(source),
            Self::Expired { .. }
            | Self::Doubtful { .. }
            | Self::Full { .. }
            | Self::NoPartition { .. }
            | Self::TooLarge { .. }
            | Self::Dropped => None,
        }
    }
}

/// Where a record was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivered {
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Its offset; [`Offset::NONE`] when the broker does not say: with `acks=0`, or when an earlier try arrived.
    pub offset: Offset,
}

/// The report on one record: a future that need not be waited for. Records of one batch share what it is made of.
#[derive(Debug)]
pub struct Delivery {
    outcome: Rc<Outcome>,
    /// The record's place in its batch.
    index: u32,
    partition: PartitionIndex,
}

/// What becomes of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome(RefCell<State>);

#[derive(Debug)]
enum State {
    /// Who waits, by the record's place.
    Waiting(Vec<(u32, Waker)>),
    /// The base offset, or why there is none.
    Done(Result<Offset, ProduceError>),
    /// The records before this place are one batch now, the others another one.
    Split(u32, [Rc<Outcome>; 2]),
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl Outcome {
    fn settle(&self, result: Result<Offset, ProduceError>) {
        if let State::Waiting(waiting) = std::mem::replace(&mut *self.0.borrow_mut(), State::Done(result)) {
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
    }

    fn split(&self, at: u32) -> [Rc<Self>; 2] {
        let halves = [Rc::<Self>::default(), Rc::<Self>::default()];
        let state = State::Split(at, halves.clone());
        if let State::Waiting(waiting) = std::mem::replace(&mut *self.0.borrow_mut(), state) {
            // Who waits finds its half.
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
        halves
    }
}

/// Whoever holds it has to say what becomes of the batch; to drop it says that the producer is gone.
#[derive(Debug, Default)]
pub(super) struct Promise(Rc<Outcome>);

impl Promise {
    pub(super) fn outcome(&self) -> Rc<Outcome> {
        Rc::clone(&self.0)
    }

    pub(super) fn settle(self, result: Result<Offset, ProduceError>) {
        self.0.settle(result);
    }

    /// One for the records before this place, and one for the others.
    pub(super) fn split(self, at: u32) -> (Self, Self) {
        let [left, right] = self.0.split(at);
        (Self(left), Self(right))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let waits = matches!(&*self.0.0.borrow(), State::Waiting(_));
        if waits {
            self.0.settle(Err(ProduceError::Dropped));
        }
    }
}

impl Delivery {
    pub(super) const fn new(outcome: Rc<Outcome>, index: u32, partition: PartitionIndex) -> Self {
        Self { outcome, index, partition }
    }

    /// What the record's batch has become, if it was split, and the record's place there.
    fn half(&self) -> Option<(Rc<Outcome>, u32)> {
        match &*self.outcome.0.borrow() {
            State::Split(at, [left, right]) => Some(match self.index.checked_sub(*at) {
                None => (Rc::clone(left), self.index),
                Some(index) => (Rc::clone(right), index),
            }),
            State::Waiting(_) | State::Done(_) => None,
        }
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some((half, index)) = self.half() {
            (self.outcome, self.index) = (half, index);
        }
        match &mut *self.outcome.0.borrow_mut() {
            State::Split(..) => unreachable!("it was followed"),
            State::Done(Ok(base)) => {
                let offset = if *base < Offset(0) { Offset::NONE } else { Offset(base.0 + i64::from(self.index)) };
                Poll::Ready(Ok(Delivered { partition: self.partition, offset }))
            }
            State::Done(Err(error)) => Poll::Ready(Err(error.clone())),
            State::Waiting(waiting) => {
                let waker = context.waker();
                match waiting.iter_mut().find(|(index, _)| *index == self.index) {
                    Some((_, known)) => known.clone_from(waker),
                    None => waiting.push((self.index, waker.clone())),
                }
                Poll::Pending
            }
        }
    }
}
