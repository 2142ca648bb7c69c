//! Slices of segments as the network sends them.

use std::io;
use std::sync::Arc;

use crate::net::{Chunk, FileSource};
use crate::storage::disk::DiskFile;
use crate::storage::log::Slice;

/// A storage file, sent by the network: neither module knows the other.
#[derive(Debug)]
struct Source(Arc<dyn DiskFile>);

impl FileSource for Source {
    fn os_file(&self) -> Option<&std::fs::File> {
        self.0.os_file()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(position, buffer)
    }
}

/// A slice, to be sent.
#[must_use]
pub fn chunk(slice: &Slice) -> Chunk {
    Chunk::File {
        file: Arc::new(Source(Arc::clone(&slice.file))),
        position: slice.position,
        len: u64::try_from(slice.len).unwrap_or(u64::MAX),
    }
}
