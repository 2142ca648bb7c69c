//! The embedded coordinator's tree on disk: a snapshot and a log of the transactions since.
//!
//! | file | what it holds |
//! |---|---|
//! | `znodes.snapshot` | heading, a frame with the last transaction's number and the count of znodes, frames of znodes |
//! | `znodes.log` | heading, number of the transaction it continues from, a frame per flush |
//!
//! A frame is a mark, the payload's length, CRC-32C of length and payload, the payload (bincode), an end byte. A change
//! costs one appended frame and one fsync, whatever the tree's size; when the log has outgrown the tree, the tree is
//! written anew beside the old file and renamed, so that its cost is paid once per that many bytes of changes.
//!
//! *Invariant*: each flush is one frame and is synced before the next is written, so only the last frame can be torn.
//! A torn one was never acknowledged and is cut; any other damage is an error (law 10), never an empty tree.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tree::{Effect, Node, Stamp, Tree};
use crate::model::Timestamp;
use crate::storage::disk::{Access, Disk, DiskFile, with_suffix};

/// Name of the file that holds the tree.
pub const SNAPSHOT_FILE: &str = "znodes.snapshot";
/// Name of the file that holds the changes since.
pub const LOG_FILE: &str = "znodes.log";

/// Version of both files. Another one is refused: it is another program's.
const FORMAT_VERSION: u32 = 1;
const SNAPSHOT_HEADING: &[u8; 16] = b"dohle znode tree";
const LOG_HEADING: &[u8; 16] = b"dohle znode log\n";
/// Heading, format version, number of the transaction the log continues from, CRC-32C of these.
const LOG_HEADING_LEN: usize = 16 + 4 + 8 + 4;
const SNAPSHOT_HEADING_LEN: usize = 16 + 4;

/// Begins a frame. No byte of it can be part of UTF-8 text, and what znodes hold is text.
const FRAME_MARK: [u8; 4] = [0xff, 0xfe, 0xfd, 0xf8];
/// Ends a frame: what ends so was written to its end, whatever else is wrong with it.
const FRAME_END: [u8; 4] = [0xf8, 0xfd, 0xfe, 0xff];
/// Mark, length, CRC-32C.
const FRAME_HEADING_LEN: usize = 4 + 4 + 4;
/// What a frame has beside its payload.
const FRAME_EXTRA_LEN: usize = FRAME_HEADING_LEN + FRAME_END.len();
/// Largest payload. One znode has at most 1 MiB; a flush of more is written and synced in parts.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// A part of a flush or of a snapshot is closed when it is this long, well before [`FRAME_BYTES_MAX`].
const FRAME_BYTES_AIM: usize = 1 << 20;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The log may always grow to this length before the tree is written anew: some thousand changes.
const LOG_BYTES_MIN: u64 = 1 << 20;
/// Then, to this many times the snapshot's length.
const LOG_TO_SNAPSHOT: u64 = 2;

/// Why a tree on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The disk failed.
    #[error("the coordinator's tree in {0} cannot be read or written: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The bytes are not what was written. Nothing is guessed: a tree read wrong or as empty would lose topics.
    #[error("the coordinator's tree in {0} is damaged: {1}. Put back a copy of the whole folder; nothing was changed")]
    Damaged(PathBuf, String),
    /// A later program wrote it.
    #[error("{0} has format {1}; this program knows format {FORMAT_VERSION}. Start the version that wrote it")]
    Version(PathBuf, u32),
}

impl LoadError {
    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged(path.to_owned(), why.into())
    }
}

/// One change of the tree as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Transaction {
    zxid: i64,
    time: Timestamp,
    effects: Vec<Effect>,
}

impl Transaction {
    pub(super) fn new(stamp: Stamp, effects: Vec<Effect>) -> Self {
        Self { zxid: stamp.zxid, time: stamp.time, effects }
    }

    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.effects.iter()
    }

    fn stamp(&self) -> Stamp {
        Stamp { zxid: self.zxid, time: self.time }
    }
}

/// First frame of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct SnapshotHead {
    zxid: i64,
    nodes: u64,
}

/// The open files of a tree.
#[derive(Debug)]
pub(super) struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    log: Arc<dyn DiskFile>,
    /// Bytes of the log that are durable; what lies behind was never acknowledged.
    log_len: u64,
    snapshot_len: u64,
    /// Length of the log at which the tree is written anew.
    log_len_due: u64,
    /// Nothing that is written to this log may be taken for durable any more: an fsync of it failed (law 9).
    log_suspect: bool,
}

impl Store {
    /// Reads the tree in `dir`, or makes an empty one where neither file is; with the number of its last transaction.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<(Self, Tree, i64), LoadError> {
        let failed = |error| LoadError::Io(dir.to_owned(), error);
        disk.create_dir_all(dir).map_err(failed)?;
        let (snapshot, log) = (dir.join(SNAPSHOT_FILE), dir.join(LOG_FILE));
        let there = (disk.exists(&snapshot).map_err(failed)?, disk.exists(&log).map_err(failed)?);
        let (mut tree, mut zxid, mut snapshot_len) = (Tree::new(), 0, 0);
        match there {
            (false, false) => {
                sync_ancestors(&*disk, dir).map_err(failed)?;
                create_log(&*disk, dir, 0).map_err(failed)?;
            }
            (true, false) => return Err(LoadError::damaged(dir, format!("{LOG_FILE} is missing"))),
            (true, true) => (tree, zxid, snapshot_len) = read_snapshot(&*disk, &snapshot)?,
            (false, true) => {}
        }
        let log_file = disk.open(&log, Access::Write).map_err(failed)?;
        let (last, log_len) = replay(&*log_file, &log, &mut tree, zxid)?;
        let mut store = Self {
            disk,
            dir: dir.to_owned(),
            log: log_file,
            log_len,
            snapshot_len,
            log_len_due: 0,
            log_suspect: false,
        };
        store.log_len_due = store.next_due();
        Ok((store, tree, last))
    }

    /// Makes `transactions`, which `tree` already shows, durable.
    ///
    /// # Errors
    /// Then none of them counts; the store can be used on as soon as the disk lets it.
    pub(super) fn append<'t>(
        &mut self,
        tree: &Tree,
        transactions: impl Iterator<Item = &'t Transaction>,
    ) -> io::Result<()> {
        let transactions: Vec<&Transaction> = transactions.collect();
        let Some(last) = transactions.last() else { return Ok(()) };
        if self.log_suspect {
            return self.write_anew(tree, last.zxid);
        }
        self.append_to_log(&transactions)?;
        if self.log_len_due < self.log_len && self.write_anew(tree, last.zxid).is_err() {
            // The log has it all, so nothing is lost. Try again when it has grown as much once more.
            self.log_len_due = self.log_len.saturating_mul(2);
        }
        Ok(())
    }

    fn append_to_log(&mut self, transactions: &[&Transaction]) -> io::Result<()> {
        let start = self.log_len;
        let mut rest = transactions;
        while !rest.is_empty() {
            let (frame, taken) = frame_of_first(rest)?;
            if let Err(error) = self.log.write_all_at(self.log_len, &[IoSlice::new(&frame)]) {
                // Take back what this call wrote; where that fails too, the log is not to be trusted.
                self.log_suspect = self.log.set_len(start).is_err() || start != self.log_len;
                self.log_len = start;
                return Err(error);
            }
            if let Err(error) = self.log.sync() {
                self.log_suspect = true;
                return Err(error);
            }
            self.log_len = self.log_len.saturating_add(len_u64(frame.len()));
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes the whole tree as a new snapshot with an empty log behind it.
    fn write_anew(&mut self, tree: &Tree, zxid: i64) -> io::Result<()> {
        self.snapshot_len = write_snapshot(&*self.disk, &self.dir, tree, zxid)?;
        create_log(&*self.disk, &self.dir, zxid)?;
        self.log = self.disk.open(&self.dir.join(LOG_FILE), Access::Write)?;
        self.log_len = len_u64(LOG_HEADING_LEN);
        self.log_len_due = self.next_due();
        self.log_suspect = false;
        Ok(())
    }

    fn next_due(&self) -> u64 {
        self.snapshot_len.saturating_mul(LOG_TO_SNAPSHOT).max(LOG_BYTES_MIN)
    }
}

fn bincode_config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<FRAME_BYTES_MAX>()
}

/// A frame of as many transactions as make a part, and how many these are.
fn frame_of_first(transactions: &[&Transaction]) -> io::Result<(Vec<u8>, usize)> {
    let mut bytes = 0_usize;
    let fits = |transaction: &&&Transaction| {
        let before = bytes;
        bytes = bytes.saturating_add(transaction.effects().map(Effect::size).sum());
        before < FRAME_BYTES_AIM
    };
    let taken = transactions.iter().take_while(fits).count();
    let part = transactions.get(..taken).unwrap_or(transactions);
    Ok((frame(&part)?, taken))
}

fn frame(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&FRAME_MARK);
    bytes.extend_from_slice(&[0; FRAME_HEADING_LEN - FRAME_MARK.len()]);
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode_config()).map_err(io::Error::other)?;
    let too_large = || io::Error::new(io::ErrorKind::InvalidInput, "a change is too large for the coordinator's log");
    let payload_len = bytes.len().saturating_sub(FRAME_HEADING_LEN);
    if FRAME_BYTES_MAX < payload_len {
        return Err(too_large());
    }
    let len = u32::try_from(payload_len).map_err(|_| too_large())?.to_be_bytes();
    let crc = {
        let payload = bytes.get(FRAME_HEADING_LEN..).unwrap_or_default();
        crc32c::crc32c_append(crc32c::crc32c(&len), payload).to_be_bytes()
    };
    let heading = FRAME_MARK.into_iter().chain(len).chain(crc);
    bytes.iter_mut().zip(heading).for_each(|(byte, value)| *byte = value);
    bytes.extend_from_slice(&FRAME_END);
    Ok(bytes)
}

/// Makes the folder's own name durable, and those of the folders above it that were made with it: a tree in a folder that
/// a power failure takes away would be read as empty. What we may not open we did not make.
fn sync_ancestors(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for above in dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            synced => synced?,
        }
    }
    Ok(())
}

fn create_log(disk: &dyn Disk, dir: &Path, base: i64) -> io::Result<()> {
    let mut heading = Vec::with_capacity(LOG_HEADING_LEN);
    heading.extend_from_slice(LOG_HEADING);
    heading.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    heading.extend_from_slice(&base.to_be_bytes());
    heading.extend_from_slice(&crc32c::crc32c(&heading).to_be_bytes());
    crate::storage::disk::replace_file(disk, &dir.join(LOG_FILE), &heading)
}

/// Writes the tree beside the old snapshot, then in its place; the new file's length.
fn write_snapshot(disk: &dyn Disk, dir: &Path, tree: &Tree, zxid: i64) -> io::Result<u64> {
    let path = dir.join(SNAPSHOT_FILE);
    let temporary = with_suffix(&path, ".tmp");
    let file = disk.open(&temporary, Access::Truncate)?;
    let mut position = 0_u64;
    let mut write = |bytes: &[u8]| -> io::Result<()> {
        file.write_all_at(position, &[IoSlice::new(bytes)])?;
        position = position.saturating_add(len_u64(bytes.len()));
        Ok(())
    };
    write(SNAPSHOT_HEADING)?;
    write(&FORMAT_VERSION.to_be_bytes())?;
    write(&frame(&SnapshotHead { zxid, nodes: len_u64(tree.len()) })?)?;
    let mut part = Vec::new();
    let mut part_bytes = 0_usize;
    for (path, node) in tree.nodes() {
        part_bytes = part_bytes.saturating_add(path.len()).saturating_add(node.size());
        part.push((path, node));
        if FRAME_BYTES_AIM <= part_bytes {
            write(&frame(&part)?)?;
            part.clear();
            part_bytes = 0;
        }
    }
    if !part.is_empty() {
        write(&frame(&part)?)?;
    }
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    Ok(position)
}

fn read_snapshot(disk: &dyn Disk, path: &Path) -> Result<(Tree, i64, u64), LoadError> {
    let failed = |error| LoadError::Io(path.to_owned(), error);
    let damaged = |why: String| LoadError::damaged(path, why);
    let file = disk.open(path, Access::Read).map_err(failed)?;
    let mut heading = [0; SNAPSHOT_HEADING_LEN];
    read_heading(&*file, path, &mut heading, SNAPSHOT_HEADING)?;
    let mut frames = Frames::new(&*file, path, SNAPSHOT_HEADING_LEN)?;
    let mut next = || match frames.next_payload()? {
        Found::Payload(payload) => Ok(payload),
        Found::End => Err(damaged("it ends early".to_owned())),
        Found::Bad(why) => Err(damaged(why)),
    };
    let head: SnapshotHead = decode(&next()?).map_err(damaged)?;
    let mut tree = Tree::new();
    let mut nodes = 0_u64;
    while nodes < head.nodes {
        let part: Vec<(String, Node)> = decode(&next()?).map_err(damaged)?;
        if part.is_empty() {
            return Err(damaged("a part of it is empty".to_owned()));
        }
        for (path, node) in part {
            nodes = nodes.saturating_add(1);
            tree.restore(path, node).map_err(damaged)?;
        }
    }
    match (frames.next_payload()?, head.nodes == nodes) {
        (Found::End, true) => Ok((tree, head.zxid, frames.position)),
        (Found::End | Found::Payload(_) | Found::Bad(_), _) => Err(damaged("it goes on behind its end".to_owned())),
    }
}

/// Applies the log's transactions after `zxid`; the last one's number and the length of the log that counts. Cuts a torn
/// last frame.
fn replay(file: &dyn DiskFile, path: &Path, tree: &mut Tree, zxid: i64) -> Result<(i64, u64), LoadError> {
    let damaged = |why: String| LoadError::damaged(path, why);
    let mut heading = [0; LOG_HEADING_LEN];
    read_heading(file, path, &mut heading, LOG_HEADING)?;
    let (counted, crc) = heading.split_at(LOG_HEADING_LEN - 4);
    if crc32c::crc32c(counted).to_be_bytes() != *crc {
        return Err(damaged("its heading's checksum is wrong".to_owned()));
    }
    let base = counted.last_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    if zxid < base {
        return Err(damaged(format!(
            "it continues transaction {base}, but {SNAPSHOT_FILE} ends at {zxid} or is missing"
        )));
    }
    let mut last = zxid;
    let mut frames = Frames::new(file, path, LOG_HEADING_LEN)?;
    loop {
        let start = frames.position;
        let payload = match frames.next_payload()? {
            Found::Payload(payload) => payload,
            Found::End => return Ok((last, start)),
            Found::Bad(why) => {
                frames.check_torn(start).map_err(|more| damaged(format!("at byte {start}, {why}; {more}")))?;
                cut(file, start).map_err(|error| LoadError::Io(path.to_owned(), error))?;
                return Ok((last, start));
            }
        };
        let transactions: Vec<Transaction> = decode(&payload).map_err(damaged)?;
        for transaction in transactions.iter().filter(|transaction| zxid < transaction.zxid) {
            if transaction.zxid <= last {
                return Err(damaged(format!("transaction {} follows {last}", transaction.zxid)));
            }
            for effect in &transaction.effects {
                tree.apply(effect, transaction.stamp()).map_err(damaged)?;
            }
            last = transaction.zxid;
        }
    }
}

fn cut(file: &dyn DiskFile, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    file.sync()
}

fn read_heading(file: &dyn DiskFile, path: &Path, into: &mut [u8], heading: &[u8; 16]) -> Result<(), LoadError> {
    let read = file.read_at(0, into).map_err(|error| LoadError::Io(path.to_owned(), error))?;
    if read < into.len() || !into.starts_with(heading) {
        return Err(LoadError::damaged(path, "it does not begin as such a file does"));
    }
    let version = into.get(heading.len()..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b));
    if version == FORMAT_VERSION { Ok(()) } else { Err(LoadError::Version(path.to_owned(), version)) }
}

fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    match bincode::serde::decode_from_slice(payload, bincode_config()) {
        Ok((value, read)) if read == payload.len() => Ok(value),
        Ok(_) => Err("a frame is longer than what it holds".to_owned()),
        Err(error) => Err(format!("a frame cannot be decoded: {error}")),
    }
}

/// What stands at a place where a frame may stand.
enum Found {
    Payload(Vec<u8>),
    /// The file's end.
    End,
    /// Something else, in words.
    Bad(String),
}

/// Reads frames one after the other.
struct Frames<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    position: u64,
    len: u64,
}

impl<'a> Frames<'a> {
    fn new(file: &'a dyn DiskFile, path: &'a Path, start: usize) -> Result<Self, LoadError> {
        let len = file.len().map_err(|error| LoadError::Io(path.to_owned(), error))?;
        Ok(Self { file, path, position: len_u64(start), len })
    }

    /// The payload at the position, which then is behind it.
    fn next_payload(&mut self) -> Result<Found, LoadError> {
        let found = self.payload_at(self.position)?;
        if let Found::Payload(payload) = &found {
            let frame_len = len_u64(FRAME_EXTRA_LEN).saturating_add(len_u64(payload.len()));
            self.position = self.position.saturating_add(frame_len);
        }
        Ok(found)
    }

    fn payload_at(&self, position: u64) -> Result<Found, LoadError> {
        let left = self.len.saturating_sub(position);
        if left == 0 {
            return Ok(Found::End);
        }
        let bad = |why: &str| Ok(Found::Bad(why.to_owned()));
        let mut heading = [0; FRAME_HEADING_LEN];
        if self.read(position, &mut heading)? < FRAME_HEADING_LEN {
            return bad("a frame's heading is cut off");
        }
        let [m0, m1, m2, m3, l0, l1, l2, l3, c0, c1, c2, c3] = heading;
        if [m0, m1, m2, m3] != FRAME_MARK {
            return bad("no frame begins");
        }
        let len_bytes = [l0, l1, l2, l3];
        let payload_len = usize::try_from(u32::from_be_bytes(len_bytes)).unwrap_or(usize::MAX);
        if FRAME_BYTES_MAX < payload_len {
            return bad("a frame is longer than any is written");
        }
        if left < len_u64(FRAME_EXTRA_LEN).saturating_add(len_u64(payload_len)) {
            return bad("a frame is cut off");
        }
        let mut payload = vec![0; payload_len.saturating_add(FRAME_END.len())];
        let read = self.read(position.saturating_add(len_u64(FRAME_HEADING_LEN)), &mut payload)?;
        if read < payload.len() || !payload.ends_with(&FRAME_END) {
            return bad("a frame has no end");
        }
        payload.truncate(payload_len);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&len_bytes), &payload);
        if crc.to_be_bytes() != [c0, c1, c2, c3] {
            return bad("a frame's checksum is wrong");
        }
        Ok(Found::Payload(payload))
    }

    fn read(&self, position: u64, into: &mut [u8]) -> Result<usize, LoadError> {
        self.file.read_at(position, into).map_err(|error| LoadError::Io(self.path.to_owned(), error))
    }

    /// Whether what stands from `start` on can be a write that power failure cut short: its last bytes are missing, or a
    /// whole sector of it was never written; and no frame follows, which would have been written only after its success.
    fn check_torn(&self, start: u64) -> Result<(), String> {
        let tail_len = self.len.saturating_sub(start);
        let frame_len_max = len_u64(FRAME_EXTRA_LEN + FRAME_BYTES_MAX);
        if frame_len_max < tail_len {
            return Err("more follows than one flush writes".to_owned());
        }
        let mut tail = vec![0; usize::try_from(tail_len).map_err(|error| error.to_string())?];
        let read = self.read(start, &mut tail).map_err(|error| error.to_string())?;
        tail.truncate(read);
        let marks = tail.windows(FRAME_MARK.len()).enumerate().skip(1).filter(|(_, window)| *window == FRAME_MARK);
        for (at, _) in marks {
            if let Ok(Found::Payload(_)) = self.payload_at(start.saturating_add(len_u64(at))) {
                return Err("yet changes that were acknowledged later stand behind it".to_owned());
            }
        }
        let ended = tail.ends_with(&FRAME_END);
        if !ended && (is_cut_off(&tail) || tail.last() == Some(&0)) || has_blank_sector(start, &tail) {
            return Ok(());
        }
        Err("yet nothing of it is missing, so it was not cut off but changed".to_owned())
    }
}

/// The frame's heading, or the length that it claims, goes past the end of the file.
fn is_cut_off(tail: &[u8]) -> bool {
    let Some(heading) = tail.first_chunk::<FRAME_HEADING_LEN>() else { return true };
    let [m0, m1, m2, m3, l0, l1, l2, l3, ..] = *heading;
    let claimed = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
    let whole = len_u64(FRAME_EXTRA_LEN).saturating_add(claimed);
    [m0, m1, m2, m3] == FRAME_MARK && len_u64(tail.len()) < whole
}

/// Whether a sector of the file that lies wholly in `tail`, which begins at `start`, is all zeros.
fn has_blank_sector(start: u64, tail: &[u8]) -> bool {
    let offset = usize::try_from(start % len_u64(SECTOR_BYTES)).unwrap_or(0);
    let to_boundary = (SECTOR_BYTES - offset) % SECTOR_BYTES;
    let (first, rest) = tail.split_at_checked(to_boundary).unwrap_or((tail, &[]));
    let blank = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0);
    blank(first) || rest.chunks(SECTOR_BYTES).any(blank)
}

fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
