//! A disk in memory that fails under a seed, for tests and for the simulator.
//!
//! # The model
//! **Reading** always sees the last write, as through a page cache.
//!
//! **A power failure** ([`SimDisk::crash`]) leaves of each file:
//! * all that a successful [`DiskFile::sync`] covered;
//! * of every 512-byte sector written since then: one of the states it had since the last sync, the durable one included,
//!   each sector for itself. So writes are lost, torn at sector borders, and survive out of order;
//! * one of the lengths it had since the last sync; of growth, any length between the old and the new one. Bytes within
//!   the length whose sector did not make it are old or zero. A shortening is whole or did not happen: either way nothing of
//!   what it cut shows up behind a longer length later;
//! * for a file that was never synced, any of this from the empty file on.
//!
//! and of the names:
//! * all that a successful [`Disk::sync_dir`] of their folder covered. The name of a new file, of a new folder and both ends
//!   of a rename need it; a file's own sync does not help;
//! * of the other creations, renames and removals a subset: each is whole or did not happen, and does not happen without
//!   the earlier ones of the same names. (A rename within a folder never leaves both names or neither.)
//!
//! How much survives is itself thrown: from nothing to everything.
//!
//! **A failed sync** leaves the dirty sectors as they are for readers, and clean for the system: a later successful sync
//! does *not* make them durable (law 9), only writing them again and syncing does. Of a power failure they keep any state.
//!
//! **The death of the process** ([`SimDisk::kill`]) loses nothing that was written, but locks and handles.
//!
//! After either, every call on the disk and on old handles fails with an error that [`is_crash`] knows, until
//! [`SimDisk::restart`]; handles and locks from before stay dead for ever.
//!
//! **Faults** are put in with [`SimDisk::inject`]. A failing write has written a random part of its range; other
//! failing calls have done nothing. The disk is full at
//! [`SimDisk::set_capacity`] bytes, the sum of the lengths of all files that have a name (open files without one are free);
//! a write that meets it has written what fits.
//!
//! *Invariant*: the same seed and the same calls give the same disk, to the bit.
//! *Does not know*: time (see [`SimDisk::set_time`]), slowness, several brokers: each has a disk of its own.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::dice::Dice;
use self::tree::{NodeId, Tree};
use super::{Access, Entry};
#[cfg(doc)]
use super::{Disk, DiskFile};
use crate::model::Timestamp;

mod content;
mod dice;
mod port;
mod tree;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

/// What a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// [`Disk::open`], whether it makes the file or not.
    Open,
    /// [`DiskFile::read_at`] and [`DiskFile::read_cached_at`].
    Read,
    /// [`DiskFile::write_all_at`].
    Write,
    /// [`DiskFile::sync`].
    Sync,
    /// [`DiskFile::set_len`].
    SetLen,
    /// [`Disk::rename`]; the path is the old one.
    Rename,
    /// [`Disk::remove_file`] and [`Disk::remove_dir_all`].
    Remove,
    /// [`Disk::create_dir_all`].
    CreateDir,
    /// [`Disk::sync_dir`].
    SyncDir,
    /// [`Disk::list`].
    List,
    /// [`Disk::lock`].
    Lock,
}

/// A fault to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which calls fail.
    pub operation: Operation,
    /// Only below this folder, or this very file; an open file has the path that it was opened with. `/` is everywhere.
    pub below: PathBuf,
    /// Calls that still succeed before the first failure.
    pub skip: u64,
    /// Calls that fail then; `u64::MAX` for ever.
    pub times: u64,
    /// How they fail.
    pub error: io::ErrorKind,
}

impl Fault {
    /// The next such call fails, once, wherever it is.
    #[must_use]
    pub fn once(operation: Operation, error: io::ErrorKind) -> Self {
        Self { operation, below: PathBuf::from("/"), skip: 0, times: 1, error }
    }

    /// Every such call fails from now on.
    #[must_use]
    pub fn forever(operation: Operation, error: io::ErrorKind) -> Self {
        Self { times: u64::MAX, ..Self::once(operation, error) }
    }

    /// The same only below a folder, or for one file.
    #[must_use]
    pub fn below(self, path: &Path) -> Self {
        Self { below: path.to_owned(), ..self }
    }

    /// The same after `calls` that succeed.
    #[must_use]
    pub fn after(self, calls: u64) -> Self {
        Self { skip: calls, ..self }
    }
}

/// How a life of the disk ends at a planned operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// As [`SimDisk::crash`].
    Power,
    /// As [`SimDisk::kill`].
    Process,
}

/// Marks the errors of a disk that crashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the simulated disk has crashed")]
struct Crashed;

/// Whether `error` only says that the disk crashed before: what failed then says nothing about the program.
#[must_use]
pub fn is_crash(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Crashed>())
}

struct State {
    dice: Dice,
    tree: Tree,
    faults: Vec<Fault>,
    capacity: Option<u64>,
    used: u64,
    cached: bool,
    now: Timestamp,
    locked: BTreeSet<NodeId>,
    /// Counts lives: handles and locks of an earlier one are dead.
    life: u64,
    down: bool,
    operations: u64,
    death: Option<(u64, Death)>,
    /// The operation under way is the last of this life: it may stop anywhere.
    dying: bool,
}

impl SimDisk {
    /// An empty disk with no bound, which draws its accidents from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice: Dice::new(seed),
            tree: Tree::new(),
            faults: Vec::new(),
            capacity: None,
            used: 0,
            cached: true,
            now: Timestamp(0),
            locked: BTreeSet::new(),
            life: 0,
            down: false,
            operations: 0,
            death: None,
            dying: false,
        })))
    }

    /// The power fails: see the model above.
    pub fn crash(&self) {
        self.state().die(Death::Power);
    }

    /// The process dies, the system lives on.
    pub fn kill(&self) {
        self.state().die(Death::Process);
    }

    /// The disk may be used again after [`Self::crash`] or [`Self::kill`]. Faults stay.
    pub fn restart(&self) {
        self.state().down = false;
    }

    /// Whether the disk is down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.state().down
    }

    /// Calls so far that could change the disk or make it durable: those that make, write, shorten, sync, rename and remove.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the disk die at the operation that [`Self::operations`] counts as `number`: its effect is volatile, and the
    /// caller gets the error of a crashed disk.
    pub fn die_at(&self, number: u64, death: Death) {
        self.state().death = Some((number, death));
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Sets the room for the bytes of all files; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Whether [`DiskFile::read_cached_at`] finds what it looks for in memory. It does at first.
    pub fn set_cached(&self, cached: bool) {
        self.state().cached = cached;
    }

    /// Sets the time that files written from now on carry.
    pub fn set_time(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// Turns over one bit of a file, durable or not, as a failing medium does.
    ///
    /// # Errors
    /// When there is no such file, or it is shorter.
    pub fn flip_bit(&self, path: &Path, position: u64, bit: u32) -> io::Result<()> {
        let mut state = self.state();
        let node = state.tree.find_file(path)?;
        let flipped = state.tree.file_mut(node)?.content.flip(in_memory(position)?, bit);
        if flipped { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Turns over a bit anywhere in a file; where, or `None` when the file is empty.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn flip_any_bit(&self, path: &Path) -> io::Result<Option<(u64, u32)>> {
        let (position, bit) = {
            let mut state = self.state();
            let node = state.tree.find_file(path)?;
            let len = byte_count(state.tree.file(node)?.content.live().len());
            if len == 0 {
                return Ok(None);
            }
            (state.dice.below(len), u32::try_from(state.dice.below(8)).unwrap_or(0))
        };
        self.flip_bit(path, position, bit)?;
        Ok(Some((position, bit)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that changes nothing.
    fn look<T>(
        &self,
        operation: Operation,
        path: &Path,
        call: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.alive()?;
        state.fault(operation, path).map_or_else(|| call(&mut state), |kind| Err(kind.into()))
    }

    /// A call that changes something: it is counted, and may be the last.
    fn act<T>(
        &self,
        operation: Operation,
        path: &Path,
        call: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.alive()?;
        state.counted(operation, |state| {
            state.fault(operation, path).map_or_else(|| call(state), |kind| Err(kind.into()))
        })
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimDisk")
            .field("operations", &state.operations)
            .field("used", &state.used)
            .finish_non_exhaustive()
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.down { Err(io::Error::other(Crashed)) } else { Ok(()) }
    }

    fn die(&mut self, death: Death) {
        match death {
            Death::Power => {
                let survival = self.dice.below(5).saturating_mul(25);
                self.tree.crash(&mut self.dice, survival);
            }
            Death::Process => self.tree.forget_handles(),
        }
        self.used = self.tree.used();
        self.locked.clear();
        self.life = self.life.saturating_add(1);
        self.down = true;
        self.death = None;
    }

    /// Counts an operation and performs it; when it is planned as the last, only in part.
    fn counted<T>(&mut self, operation: Operation, call: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        self.operations = self.operations.saturating_add(1);
        let Some((_, death)) = self.death.filter(|(number, _)| *number <= self.operations) else { return call(self) };
        // A sync that dies has promised nothing: whatever it would have done, the crash may do by itself.
        if !matches!(operation, Operation::Sync | Operation::SyncDir) {
            self.dying = true;
            let _unheard = call(self);
            self.dying = false;
        }
        self.die(death);
        Err(io::Error::other(Crashed))
    }

    /// Whether the call is about to fail, and how.
    fn fault(&mut self, operation: Operation, path: &Path) -> Option<io::ErrorKind> {
        let mut struck = None;
        for fault in self.faults.iter_mut().filter(|fault| fault.operation == operation && below(path, &fault.below)) {
            if 0 < fault.skip {
                fault.skip = fault.skip.saturating_sub(1);
            } else if struck.is_none() {
                fault.times = if fault.times == u64::MAX { u64::MAX } else { fault.times.saturating_sub(1) };
                struck = Some(fault.error);
            }
        }
        self.faults.retain(|fault| 0 < fault.times);
        struck
    }

    /// Bytes of the file at `path`; 0 when there is none.
    fn named_bytes(&self, path: &Path) -> u64 {
        let node = self.tree.find_file(path);
        let file = node.and_then(|node| self.tree.file(node));
        file.map_or(0, |file| byte_count(file.content.live().len()))
    }

    fn usable(&self) -> u64 {
        self.capacity.unwrap_or(u64::MAX).saturating_sub(self.used)
    }

    /// Changes the length of a file by `change` and keeps the count of used bytes.
    fn resized<T>(&mut self, node: NodeId, change: impl FnOnce(&mut content::Content) -> T) -> io::Result<T> {
        let now = self.now;
        let file = self.tree.file_mut(node)?;
        let before = byte_count(file.content.live().len());
        let answer = change(&mut file.content);
        file.modified = now;
        if file.named {
            let after = byte_count(file.content.live().len());
            self.used = self.used.saturating_sub(before).saturating_add(after);
        }
        Ok(answer)
    }

    fn open(&mut self, path: &Path, access: Access) -> io::Result<NodeId> {
        let node = match (self.tree.find_file(path), access) {
            (Ok(node), Access::Truncate) => {
                self.resized(node, |content| content.set_len(0))?;
                node
            }
            (Ok(node), Access::Read | Access::Write | Access::Create) => node,
            (Err(missing), Access::Create | Access::Truncate) if missing.kind() == io::ErrorKind::NotFound => {
                self.tree.create_file(path, self.now)?
            }
            (Err(error), _) => return Err(error),
        };
        let file = self.tree.file_mut(node)?;
        file.handles = file.handles.saturating_add(1);
        Ok(node)
    }

    fn write(&mut self, node: NodeId, position: usize, bytes: &[u8]) -> io::Result<()> {
        let bytes = if self.dying { self.part_of(bytes) } else { bytes };
        let file = self.tree.file(node)?;
        let len = file.content.live().len();
        let room = if file.named { usize::try_from(self.usable()).unwrap_or(usize::MAX) } else { usize::MAX };
        let end = len.saturating_add(room).min(position.saturating_add(bytes.len()));
        let fits = end.saturating_sub(position);
        let (now, refused) = bytes.split_at_checked(fits).unwrap_or((bytes, &[]));
        self.resized(node, |content| content.write(position, now))?;
        if refused.is_empty() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// The beginning of `bytes`, of any length.
    fn part_of<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let len = self.dice.below_usize(bytes.len().saturating_add(1));
        bytes.get(..len).unwrap_or(bytes)
    }

    fn set_len(&mut self, node: NodeId, len: usize) -> io::Result<()> {
        let file = self.tree.file(node)?;
        let growth = len.saturating_sub(file.content.live().len());
        if file.named && self.usable() < byte_count(growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.resized(node, |content| content.set_len(len))
    }

    fn remove_all(&mut self, path: &Path) -> io::Result<()> {
        let node = self.tree.find(path)?;
        for name in self.tree.entries(node)?.keys().cloned().collect::<Vec<_>>() {
            if self.dying && self.dice.percent(25) {
                return Err(io::Error::other(Crashed));
            }
            let inner = path.join(name);
            if self.tree.find(&inner).is_ok_and(|node| self.tree.is_dir(node)) {
                self.remove_all(&inner)?;
            } else {
                self.tree.remove(&inner)?;
            }
        }
        self.tree.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let entries = self.tree.entries(self.tree.find(dir)?)?;
        let describe = |(name, node): (&String, &NodeId)| match self.tree.file(*node) {
            Ok(file) => Entry {
                name: name.clone(),
                is_dir: false,
                len: byte_count(file.content.live().len()),
                modified: file.modified,
            },
            Err(_) => Entry { name: name.clone(), is_dir: true, len: 0, modified: Timestamp(0) },
        };
        Ok(entries.iter().map(describe).collect())
    }
}

fn below(path: &Path, folder: &Path) -> bool {
    folder.parent().is_none() || path.starts_with(folder)
}

fn byte_count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn in_memory(position: u64) -> io::Result<usize> {
    // A simulated file is a `Vec`: what no test means to write must not take the machine's memory.
    const FILE_BYTES_MAX: u64 = 1 << 32;
    let fits = usize::try_from(position).ok().filter(|_| position <= FILE_BYTES_MAX);
    fits.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "the simulated disk keeps files of at most 4 GiB"))
}

#[cfg(test)]
mod tests;
