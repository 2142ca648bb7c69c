//! Frames out of a growing receive buffer: four bytes of length, then that many bytes.
//!
//! *Invariant*: the buffer grows by at most what has arrived (doubling), whatever a length claims; without unread bytes it
//! can be given back whole.
//! *Does not know*: where the bytes come from, what a frame means.

use bytes::{Buf, Bytes, BytesMut};

use super::BufferPool;

/// Bytes of the length before a frame.
const LENGTH_BYTES: usize = 4;

/// Room for the first read: some pipelined small requests, and no more than an idle peer may cost.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// Room for one read of a peer that keeps filling what it gets: several frames of usual batches in one system call.
const ROOM_BYTES_MAX: usize = 256 * 1024;

/// A frame that misses more than this is read for itself, so that the next one starts at the front of a buffer and need
/// not be moved there.
const READ_TOGETHER_BYTES_MAX: usize = 64 * 1024;

/// Why the bytes are no frame. The connection cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A length of 0 or less.
    #[error("a frame says it is {0} bytes long")]
    Length(i32),
    /// A length above the limit.
    #[error("a frame of {bytes} bytes is larger than {bytes_max}")]
    TooLarge {
        /// What the frame says.
        bytes: usize,
        /// The limit, inclusive.
        bytes_max: usize,
    },
}

/// A receive buffer that yields frames.
#[derive(Debug)]
pub struct FrameBuffer {
    /// Unread bytes, and room behind them.
    bytes: BytesMut,
    /// Bytes of the whole allocation; 0 without one.
    allocated: usize,
    /// About what the frames of this connection take, length included. Only chooses among buffers that exist already.
    typical: usize,
    /// Room to make for a read when nothing is known of the next frame: follows what the last reads brought.
    expected: usize,
    /// Bytes that the frame at the front still misses, when its length is known.
    missing: usize,
    pool: BufferPool,
}

impl FrameBuffer {
    /// An empty buffer without memory, which takes its memory from `pool`.
    #[must_use]
    pub fn new(pool: BufferPool) -> Self {
        Self { bytes: BytesMut::new(), allocated: 0, typical: 0, expected: ROOM_BYTES_MIN, missing: 0, pool }
    }

    /// Puts bytes in front of all that will be received: those that [`Self::into_unread`] gave elsewhere.
    pub fn restore(&mut self, unread: &[u8]) {
        if !unread.is_empty() {
            self.replace(unread.len());
            self.bytes.extend_from_slice(unread);
        }
    }

    /// The next frame, without its length; `None` until all of it has arrived. All frames that have arrived should be taken
    /// before more is read.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the length has arrived.
    pub fn next_frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.bytes.first_chunk().map(|length| i32::from_be_bytes(*length)) else {
            self.missing = 0;
            return Ok(None);
        };
        let bytes = match usize::try_from(length) {
            Ok(0) | Err(_) => return Err(FrameError::Length(length)),
            Ok(bytes) if bytes_max < bytes => return Err(FrameError::TooLarge { bytes, bytes_max }),
            Ok(bytes) => bytes,
        };
        let needed = LENGTH_BYTES + bytes;
        self.missing = needed.saturating_sub(self.bytes.len());
        if 0 < self.missing {
            return Ok(None);
        }
        self.typical = needed.max(self.typical - self.typical / 8);
        self.bytes.advance(LENGTH_BYTES);
        Ok(Some(self.bytes.split_to(bytes).freeze()))
    }

    /// Bytes that have arrived and were not yielded.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory that this buffer holds itself; frames in use may hold more.
    #[must_use]
    pub const fn allocated_bytes(&self) -> usize {
        self.allocated
    }

    /// Where the next bytes go, and how many of them to read.
    pub(super) fn room(&mut self) -> bytes::buf::Limit<&mut BytesMut> {
        use bytes::BufMut;
        let (len, spare) = (self.bytes.len(), self.bytes.capacity() - self.bytes.len());
        let wanted = if self.missing == 0 { self.expected } else { self.missing };
        if spare < wanted {
            // What has arrived, now or with the last reads, may be doubled; the rest is a claim.
            let additional = wanted.min(len.max(self.expected));
            if spare < additional && !self.bytes.try_reclaim(additional) {
                self.replace(len + additional);
            }
        }
        let spare = self.bytes.capacity() - len;
        let limit = if READ_TOGETHER_BYTES_MAX < self.missing { self.missing } else { usize::MAX };
        (&mut self.bytes).limit(limit.min(spare))
    }

    /// Notes that a read brought `bytes` where there was room for `room`.
    pub(super) fn received(&mut self, bytes: usize, room: usize) {
        if bytes == room {
            self.expected = room.saturating_mul(2).clamp(self.expected, ROOM_BYTES_MAX.max(self.expected));
        } else if bytes < self.expected / 4 {
            self.expected = (self.expected / 2).max(ROOM_BYTES_MIN);
        }
    }

    /// Gives the memory back, but for what a few unread bytes need: what to do before waiting for more. A peer that stops
    /// early in a frame then costs what it has sent of it. Many unread bytes stay where they are: their frame goes on.
    pub fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.pool.put(std::mem::take(&mut self.bytes), std::mem::take(&mut self.allocated));
        } else if self.bytes.len() < ROOM_BYTES_MIN && ROOM_BYTES_MIN < self.allocated {
            let unread = BytesMut::from(&self.bytes[..]);
            let allocated = std::mem::replace(&mut self.allocated, unread.capacity());
            self.pool.put(std::mem::replace(&mut self.bytes, unread), allocated);
        }
    }

    /// The bytes that were not yielded, for a buffer on another thread.
    #[must_use]
    pub fn into_unread(mut self) -> Bytes {
        let unread = Bytes::copy_from_slice(&self.bytes);
        self.bytes.clear();
        self.rest();
        unread
    }

    /// Goes on in a buffer of at least `bytes`, which holds the unread bytes; the old one goes to the pool.
    fn replace(&mut self, bytes: usize) {
        let fresh = self.pool.take(bytes, self.typical.max(bytes));
        let mut fresh = fresh.unwrap_or_else(|| BytesMut::with_capacity(bytes.max(ROOM_BYTES_MIN)));
        let allocated = fresh.capacity();
        fresh.extend_from_slice(&self.bytes);
        let old = std::mem::replace(&mut self.bytes, fresh);
        self.pool.put(old, std::mem::replace(&mut self.allocated, allocated));
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn frames(bodies: &[&[u8]]) -> Vec<u8> {
        bodies.iter().flat_map(|body| [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()).collect()
    }

    /// What a socket does: hands over as much as the buffer asks for, at most `step` at a time.
    fn receive(buffer: &mut FrameBuffer, from: &mut &[u8], step: usize) -> usize {
        let mut room = buffer.room();
        let asked = room.remaining_mut();
        let len = asked.min(step).min(from.len());
        room.put_slice(&from[..len]);
        buffer.received(len, asked);
        *from = &from[len..];
        len
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_come_in() {
        let large = vec![9; 66_000];
        let bodies: [&[u8]; 5] = [b"first", b"x", &large, b"last but one", b"last"];
        let sent = frames(&bodies);
        for step in [1, 2, 3, 4, 5, 7, 1_000, 70_000, usize::MAX] {
            let mut buffer = FrameBuffer::new(BufferPool::new());
            let (mut rest, mut got) = (&sent[..], Vec::new());
            while !rest.is_empty() {
                assert!(0 < receive(&mut buffer, &mut rest, step), "no room was made");
                while let Some(frame) = buffer.next_frame(1 << 20).expect("good frames") {
                    got.push(frame);
                }
            }
            assert!(got.iter().map(|frame| &frame[..]).eq(bodies), "in steps of {step}");
            assert_eq!(buffer.unread_bytes(), 0);
        }
    }

    #[test]
    fn bad_lengths_are_told_with_the_fourth_byte() {
        let next = |length: i32, bytes_max| {
            let mut buffer = FrameBuffer::new(BufferPool::new());
            let bytes = length.to_be_bytes();
            receive(&mut buffer, &mut &bytes[..3], 3);
            assert_eq!(buffer.next_frame(bytes_max), Ok(None));
            receive(&mut buffer, &mut &bytes[3..], 1);
            buffer.next_frame(bytes_max)
        };
        for length in [0, -1, i32::MIN] {
            assert_eq!(next(length, 100), Err(FrameError::Length(length)));
        }
        assert_eq!(next(101, 100), Err(FrameError::TooLarge { bytes: 101, bytes_max: 100 }));
        assert_eq!(next(i32::MAX, 100 << 20), Err(FrameError::TooLarge { bytes: 0x7fff_ffff, bytes_max: 100 << 20 }));
        assert_eq!(next(100, 100), Ok(None));
    }

    #[test]
    fn a_claim_takes_no_memory_that_its_bytes_have_not_filled() {
        let mut buffer = FrameBuffer::new(BufferPool::new());
        let claim = (100_u32 << 20).to_be_bytes();
        receive(&mut buffer, &mut &claim[..], 4);
        assert_eq!(buffer.next_frame(100 << 20), Ok(None));
        let body = vec![1; 3 << 20];
        let mut rest = &body[..];
        while !rest.is_empty() {
            receive(&mut buffer, &mut rest, 10_000);
            assert_eq!(buffer.next_frame(100 << 20), Ok(None));
            let arrived = 4 + body.len() - rest.len();
            assert!(buffer.allocated_bytes() <= 2 * arrived + 2 * ROOM_BYTES_MIN, "{arrived}: {buffer:?}");
        }
    }

    #[test]
    fn the_same_memory_is_used_again_and_none_is_held_while_waiting() {
        for len in [100, 30_000, 1 << 20] {
            let pool = BufferPool::new();
            let mut buffer = FrameBuffer::new(pool.clone());
            let sent = frames(&[&vec![3; len]]);
            let mut addresses = std::collections::BTreeSet::new();
            for round in 0..20 {
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    receive(&mut buffer, &mut rest, usize::MAX);
                }
                let frame = buffer.next_frame(2 << 20).expect("a good frame").expect("a whole one");
                assert_eq!(frame.len(), len);
                if 4 < round {
                    addresses.insert(frame.as_ptr());
                }
                drop(frame);
                buffer.rest();
                assert_eq!(buffer.allocated_bytes(), 0, "an idle connection holds nothing");
            }
            assert_eq!(addresses.len(), 1, "frames of {len}");
            assert!(pool.bytes() <= 4 * len + 4 * ROOM_BYTES_MIN, "{len}: {pool:?}");
        }
    }

    #[test]
    fn a_peer_that_stops_within_a_frame_costs_what_it_sent() {
        let mut buffer = FrameBuffer::new(BufferPool::new());
        let sent = [frames(&[&vec![3; 1 << 20]]), vec![0, 0, 9]].concat();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            receive(&mut buffer, &mut rest, usize::MAX);
        }
        assert!(buffer.next_frame(2 << 20).expect("a good frame").is_some());
        buffer.rest();
        assert!(buffer.unread_bytes() == 3 && buffer.allocated_bytes() < 100, "{} bytes", buffer.allocated_bytes());
        receive(&mut buffer, &mut &[9][..], 1);
        assert_eq!(buffer.next_frame(2_000), Err(FrameError::TooLarge { bytes: 0x0909, bytes_max: 2_000 }));
    }

    #[test]
    fn frames_that_stay_in_use_keep_their_bytes() {
        let mut buffer = FrameBuffer::new(BufferPool::new());
        let bodies = (0_u8..200).map(|n| vec![n; 1_000]).collect::<Vec<_>>();
        let sent = frames(&bodies.iter().map(|body| &body[..]).collect::<Vec<_>>());
        let (mut rest, mut kept) = (&sent[..], Vec::new());
        while !rest.is_empty() {
            receive(&mut buffer, &mut rest, 1_500);
            while let Some(frame) = buffer.next_frame(1 << 20).expect("good frames") {
                kept.push(frame);
            }
            buffer.rest();
        }
        assert!(kept.iter().map(|frame| &frame[..]).eq(bodies.iter().map(|body| &body[..])));
    }

    #[test]
    fn unread_bytes_move_to_another_buffer() {
        let sent = frames(&[b"one", b"two"]);
        let mut buffer = FrameBuffer::new(BufferPool::new());
        receive(&mut buffer, &mut &sent[..9], 9);
        assert_eq!(buffer.next_frame(10).expect("good").as_deref(), Some(&b"one"[..]));
        let unread = buffer.into_unread();
        let mut other = FrameBuffer::new(BufferPool::new());
        other.restore(&unread);
        receive(&mut other, &mut &sent[9..], usize::MAX);
        assert_eq!(other.next_frame(10).expect("good").as_deref(), Some(&b"two"[..]));
    }
}
