//! Receive buffers that no connection needs right now.
//!
//! A page that the process has not touched yet costs two microseconds, half of what a small request costs in all, so
//! buffers are handed from connection to connection, the warmest first. A connection that waits for bytes owns none.
//!
//! *Invariant*: at most [`POOL_BYTES_MAX`] and [`POOL_BUFFERS_MAX`] are kept.
//! *Does not know*: frames.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::BytesMut;

/// Bytes that one thread's pool keeps: enough for a few connections in flight with batches of 1 MiB.
const POOL_BYTES_MAX: usize = 16 << 20;

/// Buffers that one thread's pool keeps, so that looking for one stays cheap.
const POOL_BUFFERS_MAX: usize = 64;

/// Buffers larger than this are freed rather than kept: they were needed for a rare frame.
const POOL_BUFFER_BYTES_MAX: usize = 4 << 20;

/// Buffers smaller than this are freed rather than kept: the allocator has such at hand.
const POOL_BUFFER_BYTES_MIN: usize = 4 << 10;

/// How many buffers are tried, the most recently used first; those whose frames are still in use are passed over.
const TRIES_MAX: usize = 8;

/// The receive buffers of one thread. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BufferPool(Rc<RefCell<Spares>>);

#[derive(Debug, Default)]
struct Spares {
    /// The most recently used last.
    buffers: VecDeque<Spare>,
    bytes: usize,
}

/// A buffer without content. Frames that were cut from it may still be in use; it is whole again once they are dropped.
#[derive(Debug)]
struct Spare {
    handle: BytesMut,
    /// Bytes of the whole allocation.
    bytes: usize,
}

impl BufferPool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes kept, those included whose frames are still in use.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// A whole buffer: of at least `bytes_wanted` where there is one, otherwise one of at least `bytes_min`.
    pub(super) fn take(&self, bytes_min: usize, bytes_wanted: usize) -> Option<BytesMut> {
        let mut spares = self.0.borrow_mut();
        spares.take(bytes_wanted).or_else(|| spares.take(bytes_min))
    }

    /// Takes back a buffer of `bytes` in all, whose content nobody needs.
    pub(super) fn put(&self, mut handle: BytesMut, bytes: usize) {
        if !(POOL_BUFFER_BYTES_MIN..=POOL_BUFFER_BYTES_MAX).contains(&bytes) {
            return;
        }
        handle.clear();
        let mut spares = self.0.borrow_mut();
        spares.bytes += bytes;
        spares.buffers.push_back(Spare { handle, bytes });
        while POOL_BYTES_MAX < spares.bytes || POOL_BUFFERS_MAX < spares.buffers.len() {
            let Some(oldest) = spares.buffers.pop_front() else { break };
            spares.bytes -= oldest.bytes;
        }
    }
}

impl Spares {
    fn take(&mut self, bytes_min: usize) -> Option<BytesMut> {
        let tried = self.buffers.iter_mut().enumerate().rev().filter(|(_, spare)| bytes_min <= spare.bytes);
        let whole = |(at, spare): (usize, &mut Spare)| spare.handle.try_reclaim(spare.bytes).then_some(at);
        let at = tried.take(TRIES_MAX).find_map(whole)?;
        let spare = self.buffers.remove(at)?;
        self.bytes -= spare.bytes;
        Some(spare.handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: usize) -> BytesMut {
        BytesMut::with_capacity(bytes)
    }

    #[test]
    fn a_buffer_comes_back_when_its_frames_are_dropped() {
        let pool = BufferPool::new();
        let mut used = buffer(9_000);
        used.extend_from_slice(&[7; 600]);
        let frame = used.split_to(600).freeze();
        let address = frame.as_ptr();
        pool.put(used, 9_000);
        assert_eq!(pool.take(1, 1).map(|buffer| buffer.capacity()), None, "a frame is still in use");
        drop(frame);
        let again = pool.take(1, 1).expect("whole again");
        assert_eq!((again.as_ptr(), again.capacity()), (address, 9_000));
        assert_eq!(pool.bytes(), 0);
    }

    #[test]
    fn the_wanted_size_is_preferred_and_the_warmest_of_it() {
        let pool = BufferPool::new();
        for bytes in [50_000, 10_000, 50_001, 20_000] {
            pool.put(buffer(bytes), bytes);
        }
        let sizes = [(1, 40_000), (1, 40_000), (1, 40_000), (15_000, 40_000)];
        let taken = sizes.map(|(min, wanted)| pool.take(min, wanted).map(|buffer| buffer.capacity()));
        assert_eq!(taken, [Some(50_001), Some(50_000), Some(20_000), None]);
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let pool = BufferPool::new();
        pool.put(buffer(POOL_BUFFER_BYTES_MAX + 1), POOL_BUFFER_BYTES_MAX + 1);
        pool.put(buffer(POOL_BUFFER_BYTES_MIN - 1), POOL_BUFFER_BYTES_MIN - 1);
        assert_eq!(pool.bytes(), 0, "too large or too small to keep");
        for _ in 0..10 {
            pool.put(buffer(POOL_BUFFER_BYTES_MAX), POOL_BUFFER_BYTES_MAX);
        }
        assert_eq!(pool.bytes(), POOL_BYTES_MAX);
        let pool = BufferPool::new();
        (0..POOL_BUFFERS_MAX * 2).for_each(|_| pool.put(buffer(5_000), 5_000));
        assert_eq!(pool.bytes(), POOL_BUFFERS_MAX * 5_000);
    }
}
