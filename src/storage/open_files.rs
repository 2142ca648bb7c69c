//! Bounds the files and indexes of closed segments that are open at once, over all logs of the process.
//!
//! Active segments stay open and are not counted here. A closed segment is opened when somebody reads from it and forgotten
//! when others were read since; whoever holds the file at that moment keeps it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::storage::segment::Segment;

/// Closed segments open at once. With 10,000 active segments it stays well below the 20,000 descriptors that a process
/// commonly may have.
pub const OPEN_SEGMENTS_MAX: usize = 2_048;

/// Bytes of their indexes in memory: 32 segments of 1 GiB, at one entry of 8 bytes per 4 KiB.
pub const INDEX_BYTES_MAX: usize = 64 << 20;

/// The closed segments that are open.
#[derive(Debug)]
pub struct OpenFiles {
    segments_max: usize,
    index_bytes_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order of their opening, with the bytes of their indexes.
    segments: VecDeque<(Weak<Segment>, usize)>,
    index_bytes: usize,
}

impl Default for OpenFiles {
    fn default() -> Self {
        Self::new(OPEN_SEGMENTS_MAX, INDEX_BYTES_MAX)
    }
}

impl OpenFiles {
    /// At least one segment may be open whatever the bounds.
    #[must_use]
    pub fn new(segments_max: usize, index_bytes_max: usize) -> Self {
        Self { segments_max, index_bytes_max, queue: Mutex::default() }
    }

    /// Notes that `segment` was opened; others may be closed for it. One that was read since it was opened gets a second
    /// chance.
    pub(crate) fn opened(&self, segment: &Arc<Segment>, index_bytes: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.segments.push_back((Arc::downgrade(segment), index_bytes));
        queue.index_bytes += index_bytes;
        let mut chances = queue.segments.len();
        while 1 < queue.segments.len()
            && (self.segments_max < queue.segments.len() || self.index_bytes_max < queue.index_bytes)
        {
            let Some((oldest, bytes)) = queue.segments.pop_front() else { break };
            let oldest = oldest.upgrade();
            if 0 < chances && oldest.as_ref().is_some_and(|segment| segment.take_used()) {
                chances -= 1;
                queue.segments.extend(oldest.map(|segment| (Arc::downgrade(&segment), bytes)));
                continue;
            }
            queue.index_bytes -= bytes;
            if let Some(segment) = oldest {
                segment.forget_open();
            }
        }
    }
}
