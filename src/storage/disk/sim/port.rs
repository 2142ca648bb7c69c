//! The simulated disk behind the port's traits: handles, locks, and which call meets which fault.
//!
//! *Invariant*: every call passes [`SimDisk::look`] or [`SimDisk::act`], or their like of a handle, so that none escapes a
//! crash.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::NodeId;
use super::{Crashed, Operation, SimDisk, State, byte_count, in_memory};
use crate::storage::disk::{Access, Disk, DiskFile, Entry, Space};

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let open = |state: &mut State| {
            let node = state.open(path, access)?;
            Ok((node, state.life))
        };
        let (node, life) = match access {
            Access::Read | Access::Write => self.look(Operation::Open, path, open)?,
            Access::Create | Access::Truncate => self.act(Operation::Open, path, open)?,
        };
        let writable = access != Access::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), path: path.to_owned(), node, life, writable }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::CreateDir, path, |state| {
            let mut ancestors = path.ancestors().filter(|dir| dir.file_name().is_some()).collect::<Vec<_>>();
            ancestors.reverse();
            ancestors.into_iter().try_for_each(|dir| state.tree.create_dir(dir).map(|_| ()))
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.look(Operation::List, dir, |state| state.list(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        state.alive()?;
        match state.tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.act(Operation::Rename, from, |state| {
            let replaced = state.named_bytes(to);
            let moves = state.tree.find(from).ok() != state.tree.find(to).ok();
            state.tree.rename(from, to)?;
            state.used = state.used.saturating_sub(if moves { replaced } else { 0 });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::Remove, path, |state| {
            state.tree.find_file(path)?;
            let len = state.named_bytes(path);
            state.tree.remove(path)?;
            state.used = state.used.saturating_sub(len);
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.act(Operation::Remove, path, |state| {
            let removed = state.remove_all(path);
            state.used = state.tree.used();
            removed
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.act(Operation::SyncDir, dir, |state| {
            let node = state.tree.find(dir)?;
            state.tree.sync_dir(node)
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let (node, life) = self.act(Operation::Lock, path, |state| {
            let node = match state.tree.find_file(path) {
                Ok(node) => node,
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => state.tree.create_file(path, state.now)?,
                Err(error) => return Err(error),
            };
            if !state.locked.insert(node) {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "the lock is taken"));
            }
            Ok((node, state.life))
        })?;
        // Made out here: dropping it takes the disk's state.
        Ok(Box::new(SimLock { disk: self.clone(), node, life }))
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.state();
        state.alive()?;
        Ok(Space { total: state.capacity.unwrap_or(u64::MAX), usable: state.usable() })
    }
}

/// An open file of the simulated disk.
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    node: NodeId,
    life: u64,
    writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SimFile {
    /// A handle of an earlier life is dead, whatever the disk does now.
    fn same_life(&self, state: &State) -> io::Result<()> {
        if self.life == state.life { Ok(()) } else { Err(io::Error::other(Crashed)) }
    }

    fn look<T>(&self, operation: Operation, call: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.disk.look(operation, &self.path, |state| {
            self.same_life(state)?;
            call(state)
        })
    }

    /// A call that changes the file or makes it durable. It is counted, may be the last, and is told of its fault.
    fn act(
        &self,
        operation: Operation,
        call: impl FnOnce(&mut State, Option<io::ErrorKind>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive()?;
        self.same_life(&state)?;
        state.counted(operation, |state| {
            let fault = state.fault(operation, &self.path);
            call(state, fault)
        })
    }

    fn change(
        &self,
        operation: Operation,
        call: impl FnOnce(&mut State, Option<io::ErrorKind>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading only"));
        }
        self.act(operation, call)
    }

    fn read(state: &State, node: NodeId, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let live = state.tree.file(node)?.content.live();
        let rest = live.get(in_memory(position)?..).unwrap_or(&[]);
        let read = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(read)
    }
}

impl DiskFile for SimFile {
    fn write_all_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
        let position = in_memory(position)?;
        self.change(Operation::Write, |state, fault| match fault {
            None => state.write(self.node, position, &bytes),
            Some(kind) => {
                let part = state.part_of(&bytes);
                state.write(self.node, position, part)?;
                Err(kind.into())
            }
        })
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.look(Operation::Read, |state| Self::read(state, self.node, position, buffer))
    }

    fn read_cached_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.look(Operation::Read, |state| {
            if state.cached { Self::read(state, self.node, position, buffer).map(Some) } else { Ok(None) }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.act(Operation::Sync, |state, fault| {
            let content = &mut state.tree.file_mut(self.node)?.content;
            match fault {
                None => content.settle(),
                Some(_) => content.give_up(),
            }
            fault.map_or(Ok(()), |kind| Err(kind.into()))
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = in_memory(len)?;
        self.change(Operation::SetLen, |state, fault| match fault {
            None => state.set_len(self.node, len),
            Some(kind) => Err(kind.into()),
        })
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive()?;
        self.same_life(&state)?;
        Ok(byte_count(state.tree.file(self.node)?.content.live().len()))
    }

    fn reserve(&self, _position: u64, _len: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.alive()?;
        self.same_life(&state)
    }

    fn os_file(&self) -> Option<&std::fs::File> {
        None
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life
            && let Ok(file) = state.tree.file_mut(self.node)
        {
            file.handles = file.handles.saturating_sub(1);
        }
    }
}

/// Holds the lock of one file.
struct SimLock {
    disk: SimDisk,
    node: NodeId,
    life: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locked.remove(&self.node);
        }
    }
}
