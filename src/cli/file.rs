//! Files that a command reads from one end to the other, through the disk port.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::failure::Failure;
use crate::storage::disk::os::OsDisk;
use crate::storage::disk::{Access, Disk as _, DiskFile};

/// A file's bytes, in order.
pub(super) struct FileReader {
    file: Arc<dyn DiskFile>,
    position: u64,
}

impl FileReader {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = OsDisk.open(path, Access::Read).map_err(|error| cannot_read(path, &error))?;
        Ok(Self { file, position: 0 })
    }
}

/// The failure of a file that cannot be read.
pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("cannot read {}: {error}", path.display()))
}

impl AsyncRead for FileReader {
    /// Reads on this thread: a command has nothing better to do while the disk works.
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.file.read_at(self.position, buffer.initialize_unfilled())?;
        buffer.advance(read);
        self.position += u64::try_from(read).unwrap_or_default();
        Poll::Ready(Ok(()))
    }
}
