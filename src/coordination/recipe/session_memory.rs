//! Which sessions this broker had, in a file beside `meta.properties`, so that one that is started at once after a crash
//! knows its own left-over registration and need not wait for the old session to time out, or refuse to start as Kafka
//! does.
//!
//! The file holds ids alone, which are no secret: they are shown with every ephemeral znode. Losing it costs the wait.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::disk::{Disk, read_file, replace_file};

/// Name of the file within a log dir.
pub const FILE: &str = "coordinator-sessions";

/// Sessions remembered: a broker that crashes in a loop leaves one behind each time, and each is gone from the ensemble
/// within its time-out.
const SESSIONS_MAX: usize = 16;
/// First line of the file.
const HEADING: &str = "version=1";
/// More cannot be [`SESSIONS_MAX`] lines.
const FILE_BYTES_MAX: usize = 4_096;

/// The sessions of this broker and of its earlier runs.
#[derive(Debug)]
pub struct SessionMemory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    sessions: Vec<i64>,
}

impl SessionMemory {
    /// Reads what earlier runs left in `dir`. What cannot be read is as good as nothing: it only saves a wait.
    #[must_use]
    pub fn load(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let path = dir.join(FILE);
        let sessions =
            read_file(&*disk, &path, FILE_BYTES_MAX).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { disk, path, sessions }
    }

    /// Every session that is remembered, oldest first.
    #[must_use]
    pub fn sessions(&self) -> &[i64] {
        &self.sessions
    }

    /// Remembers a session that was opened, before anything is registered in it.
    ///
    /// # Errors
    /// The disk's. The session is remembered in memory all the same.
    pub fn opened(&mut self, session: i64) -> io::Result<()> {
        self.sessions.retain(|known| *known != session);
        self.sessions.push(session);
        let too_many = self.sessions.len().saturating_sub(SESSIONS_MAX);
        self.sessions.drain(..too_many);
        self.store()
    }

    /// Forgets all sessions but `session`: nothing of theirs is left.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget_all_but(&mut self, session: i64) -> io::Result<()> {
        self.sessions.retain(|known| *known == session);
        self.store()
    }

    fn store(&self) -> io::Result<()> {
        let lines = self.sessions.iter().map(|session| format!("\nsession={session:#x}"));
        let text: String = std::iter::once(HEADING.to_owned()).chain(lines).collect();
        replace_file(&*self.disk, &self.path, format!("{text}\n").as_bytes())
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<i64>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    if lines.next()? != HEADING {
        return None;
    }
    // As bits: the sign is part of the id.
    let session = |line: &str| {
        let bits = u64::from_str_radix(line.strip_prefix("session=0x")?, 16).ok()?;
        Some(i64::from_be_bytes(bits.to_be_bytes()))
    };
    lines.map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::sim::SimDisk;

    #[test]
    fn sessions_are_remembered_across_a_crash() {
        let disk = SimDisk::new(1);
        let port: Arc<dyn Disk> = Arc::new(disk.clone());
        port.create_dir_all(Path::new("/d")).expect("a disk");
        port.sync_dir(Path::new("/")).expect("a disk");
        let load = || SessionMemory::load(Arc::clone(&port), Path::new("/d"));
        let mut memory = load();
        assert_eq!(memory.sessions(), &[] as &[i64]);
        memory.opened(0x1000_0000_0000_0001).expect("room");
        memory.opened(-2).expect("room");
        disk.crash();
        disk.restart();
        assert_eq!(load().sessions(), [0x1000_0000_0000_0001, -2]);
        load().forget_all_but(-2).expect("room");
        assert_eq!(load().sessions(), [-2]);
        let mut memory = load();
        (0..100).for_each(|session| memory.opened(session).expect("room"));
        assert_eq!(load().sessions(), (84..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_cannot_be_read_remembers_nothing() {
        for bad in ["", "version=2\n", "version=1\nsession=7\n", "version=1\nsession=0xx\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"\xff"), None);
        assert_eq!(parse(b"version=1\n"), Some(vec![]));
    }
}
