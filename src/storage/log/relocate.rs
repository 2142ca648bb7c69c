//! A log that goes to another folder while it is read and appended to: a copy of it catches up there, and then it goes on as the copy.
//!
//! *Invariant*: the copy is made of the log's own batches; where the two part (the log was cut meanwhile) the leader epochs say, as between
//! a follower and its leader (KIP-595). The log becomes the copy only when that has every record and all of it is flushed.

use bytes::Bytes;

use super::{
    AppendError, Corruption, DiskError, Log, LogView, NewBatch, Origin, Read, ReadError, ReadRequest, Slice, Wait,
};
use crate::model::{Offset, Timestamp};
use crate::wire::record::{BATCH_HEADER_BYTES, Batches, verify_crc};

/// Why nothing could be copied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CopyError {
    /// The log could not be read. It may have been cut while it was.
    #[error("read: {0}")]
    Read(#[from] ReadError),
    /// The copy could not be written.
    #[error("write: {0}")]
    Write(#[from] AppendError),
    /// Nor flushed.
    #[error("flush: {0}")]
    Flush(DiskError),
}

impl LogView {
    /// Where the first segment begins: at the log start offset, or below.
    #[must_use]
    pub fn first_segment_offset(&self) -> Offset {
        self.segments().first().map_or(self.log_start_offset(), |first| first.base_offset())
    }
}

impl Log {
    /// Copies batches of another log that come behind what this one has, about so many bytes; how many. Waits for the disk.
    ///
    /// # Errors
    /// See [`CopyError`]. What was copied stays.
    pub fn copy_from(&mut self, source: &LogView, bytes_max: usize, now: Timestamp) -> Result<usize, CopyError> {
        let request = ReadRequest {
            offset: self.log_end_offset(),
            upper_bound: source.log_end_offset(),
            bytes_max,
            at_least_one_batch: true,
        };
        let slice = match source.find(&request, Wait::Allowed)? {
            Read::Batches(slice) => slice,
            Read::Empty | Read::WouldWait => return Ok(0),
        };
        let bytes = Bytes::from(source.bytes_of(&slice)?);
        let damaged = |reason: String| CopyError::Read(source.damaged(&slice, reason).into());
        let mut batches = Vec::new();
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch.map_err(|error| damaged(error.to_string()))?;
            verify_crc(&header, batch).map_err(|error| damaged(error.to_string()))?;
            let body = batch.get(BATCH_HEADER_BYTES..).unwrap_or_default();
            batches.push(NewBatch { header, body: bytes.slice_ref(body), origin: Origin::Replication });
        }
        self.append_as_follower(&batches, now)?;
        Ok(slice.len)
    }

    /// Flushes all that was appended. Waits for the disk.
    ///
    /// # Errors
    /// The disk's: then the log has failed.
    pub fn flush(&mut self) -> Result<(), CopyError> {
        if let Some(task) = self.flush_task() {
            self.flush_finished(task.run()).map_err(CopyError::Flush)?;
        }
        Ok(())
    }

    /// Opens every segment and keeps it open for those who have found it: the folder is about to get another name. Waits for the
    /// disk.
    ///
    /// # Errors
    /// The disk's, or damage.
    pub fn hold_open(&self) -> Result<(), ReadError> {
        let segments = self.view.segments();
        let opened = segments
            .iter()
            .map(|segment| self.view.open(segment, Wait::Allowed).map_err(|error| self.view.describe(segment, error)));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        segments.iter().zip(opened).for_each(|(segment, open)| segment.retire(open));
        Ok(())
    }

    /// Nothing is appended any more: what it was to go on as could not be opened.
    pub fn give_up(&mut self, error: &super::OpenError) {
        let doing = format!("go on in another folder than {}", self.dir().display());
        self.fail(DiskError { doing, kind: std::io::ErrorKind::Other, message: error.to_string() });
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &super::LogConfig {
        &self.config
    }

    /// Goes on as `copy`, which was opened in another folder and has all that this one has, durably. Its readers see no change.
    pub fn go_on_as(&mut self, copy: Self) {
        self.next_offset = copy.next_offset;
        self.log_start = copy.log_start;
        self.active = copy.active;
        (self.producers, self.snapshot, self.epochs) = (copy.producers, copy.snapshot, copy.epochs);
        self.unflushed.relocated(copy.unflushed.recovery_point);
        self.view.set_dir(copy.view.dir());
        self.view.set_recovery_point(copy.unflushed.recovery_point);
        self.view.set_log_start(copy.log_start);
        self.view.set_first_dirty(copy.view.first_dirty_offset());
        self.view.set_segments(copy.view.segments());
    }
}

impl LogView {
    fn bytes_of(&self, slice: &Slice) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; slice.len];
        let read = slice.file.read_at(slice.position, &mut bytes);
        match read.map_err(|error| ReadError::Disk(DiskError::new("read", &self.dir(), &error)))? {
            read if read == slice.len => Ok(bytes),
            read => Err(self.damaged(slice, format!("it ends {} bytes early", slice.len - read)).into()),
        }
    }

    fn damaged(&self, slice: &Slice, reason: String) -> Corruption {
        Corruption { path: self.dir().to_path_buf(), position: slice.position, reason }
    }
}
