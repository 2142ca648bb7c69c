//! The names of the simulated disk: folders, what is in them, and which of their changes a power failure may undo.
//!
//! *Invariant*: a change of names (creation, rename, removal) survives whole or not at all, and only together with the
//! earlier changes of the same names. Changes of different names are independent of each other.
//! *Does not know*: bytes, faults.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};

use super::content::Content;
use super::dice::Dice;
use crate::model::Timestamp;

/// Names one file or folder for as long as the disk lives; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct NodeId(u64);

const ROOT: NodeId = NodeId(0);

/// A name within a folder.
type Slot = (NodeId, String);

/// Nodes that may lie about unreachable before they are looked for.
const GARBAGE_NODES_MIN: usize = 256;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Dir { live: BTreeMap<String, NodeId>, durable: BTreeMap<String, NodeId> },
    File(FileNode),
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) content: Content,
    pub(super) modified: Timestamp,
    /// Handles that are open on it.
    pub(super) handles: usize,
    /// Whether it has a name: only then it counts as used space.
    pub(super) named: bool,
}

/// A change of names that no folder sync has made durable.
#[derive(Clone, Debug)]
struct Change {
    assignments: Vec<(Slot, Option<NodeId>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next_node: u64,
    /// In the order in which they were made.
    pending: Vec<Change>,
    collect_at: usize,
}

fn error(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

fn empty_dir() -> Node {
    Node::Dir { live: BTreeMap::new(), durable: BTreeMap::new() }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, empty_dir())]),
            next_node: 1,
            pending: Vec::new(),
            collect_at: GARBAGE_NODES_MIN,
        }
    }

    /// The node at `path`.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names(path)? {
            node = *self.entries(node)?.get(name).ok_or_else(|| error(io::ErrorKind::NotFound))?;
        }
        Ok(node)
    }

    /// The file at `path`.
    pub(super) fn find_file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.find(path)?;
        match self.nodes.get(&node) {
            Some(Node::File(_)) => Ok(node),
            Some(Node::Dir { .. }) => Err(error(io::ErrorKind::IsADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    pub(super) fn file(&self, node: NodeId) -> io::Result<&FileNode> {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir { .. }) => Err(error(io::ErrorKind::IsADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir { .. }) => Err(error(io::ErrorKind::IsADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    /// What is in a folder now.
    pub(super) fn entries(&self, node: NodeId) -> io::Result<&BTreeMap<String, NodeId>> {
        match self.nodes.get(&node) {
            Some(Node::Dir { live, .. }) => Ok(live),
            Some(Node::File(_)) => Err(error(io::ErrorKind::NotADirectory)),
            None => Err(error(io::ErrorKind::NotFound)),
        }
    }

    pub(super) fn is_dir(&self, node: NodeId) -> bool {
        matches!(self.nodes.get(&node), Some(Node::Dir { .. }))
    }

    pub(super) fn create_file(&mut self, path: &Path, modified: Timestamp) -> io::Result<NodeId> {
        let slot = self.slot(path)?;
        let node = self.add(Node::File(FileNode { modified, named: true, ..FileNode::default() }));
        self.change(vec![(slot, Some(node))]);
        Ok(node)
    }

    /// Makes one folder; fine when it is there. `true` when it was made.
    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<bool> {
        match self.find(path) {
            Ok(node) if self.is_dir(node) => Ok(false),
            Ok(_) => Err(error(io::ErrorKind::AlreadyExists)),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                let slot = self.slot(path)?;
                let node = self.add(empty_dir());
                self.change(vec![(slot, Some(node))]);
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (from_slot, to_slot) = (self.slot(from)?, self.slot(to)?);
        if from_slot == to_slot {
            return Ok(());
        }
        if self.is_dir(node) && to.starts_with(from) {
            return Err(error(io::ErrorKind::InvalidInput));
        }
        match self.find(to) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
            Err(other) => return Err(other),
            Ok(replaced) => match (self.is_dir(node), self.is_dir(replaced)) {
                (true, false) => return Err(error(io::ErrorKind::NotADirectory)),
                (false, true) => return Err(error(io::ErrorKind::IsADirectory)),
                (true, true) if !self.entries(replaced)?.is_empty() => {
                    return Err(error(io::ErrorKind::DirectoryNotEmpty));
                }
                (true, true) => {}
                (false, false) => self.file_mut(replaced)?.named = false,
            },
        }
        self.change(vec![(from_slot, None), (to_slot, Some(node))]);
        Ok(())
    }

    /// Takes away the name of a file, or of a folder that is empty.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        let slot = self.slot(path)?;
        if let Ok(file) = self.file_mut(node) {
            file.named = false;
        } else if !self.entries(node)?.is_empty() {
            return Err(error(io::ErrorKind::DirectoryNotEmpty));
        }
        self.change(vec![(slot, None)]);
        Ok(())
    }

    /// Makes the changes of the names in one folder durable, and the changes that they rest on.
    pub(super) fn sync_dir(&mut self, dir: NodeId) -> io::Result<()> {
        self.entries(dir)?;
        let mut wanted = BTreeSet::new();
        let mut keep = vec![false; self.pending.len()];
        for (keep, change) in keep.iter_mut().zip(&self.pending).rev() {
            let slots = || change.assignments.iter().map(|(slot, _)| slot);
            if slots().any(|slot| slot.0 == dir || wanted.contains(slot)) {
                wanted.extend(slots().cloned());
                *keep = true;
            }
        }
        let mut keep = keep.into_iter();
        let (durable, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|_| keep.next().unwrap_or(false));
        self.pending = pending;
        self.make_durable(durable);
        if self.collect_at < self.nodes.len() {
            self.collect_garbage();
        }
        Ok(())
    }

    /// The power fails: each change that is not durable survives with `survival` percent chance, if those it rests on do.
    /// Then what was durable is all there is.
    pub(super) fn crash(&mut self, dice: &mut Dice, survival: u64) {
        let mut lost = BTreeSet::new();
        let mut surviving = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            let rests_on_lost = change.assignments.iter().any(|(slot, _)| lost.contains(slot));
            if !rests_on_lost && dice.percent(survival) {
                surviving.push(change);
            } else {
                lost.extend(change.assignments.into_iter().map(|(slot, _)| slot));
            }
        }
        self.make_durable(surviving);
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir { live, durable } => live.clone_from(durable),
                Node::File(file) => {
                    file.handles = 0;
                    file.named = false;
                    file.content.crash(dice, survival);
                }
            }
        }
        self.collect_garbage();
        self.nodes.values_mut().for_each(|node| {
            if let Node::File(file) = node {
                file.named = true;
            }
        });
    }

    /// The process ends, the system lives: only the handles go.
    pub(super) fn forget_handles(&mut self) {
        self.nodes.values_mut().for_each(|node| {
            if let Node::File(file) = node {
                file.handles = 0;
            }
        });
    }

    /// Bytes in all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let len = |node: &Node| match node {
            Node::File(file) if file.named => u64::try_from(file.content.live().len()).unwrap_or(u64::MAX),
            Node::File(_) | Node::Dir { .. } => 0,
        };
        self.nodes.values().map(len).fold(0, u64::saturating_add)
    }

    /// The folder that `path` lies in, and its name there.
    fn slot(&self, path: &Path) -> io::Result<Slot> {
        let names = names(path)?;
        let Some((name, parents)) = names.split_last() else { return Err(error(io::ErrorKind::InvalidInput)) };
        let mut dir = ROOT;
        for parent in parents {
            dir = *self.entries(dir)?.get(*parent).ok_or_else(|| error(io::ErrorKind::NotFound))?;
        }
        self.entries(dir)?;
        Ok((dir, (*name).to_owned()))
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node = self.next_node.saturating_add(1);
        self.nodes.insert(id, node);
        id
    }

    fn change(&mut self, assignments: Vec<(Slot, Option<NodeId>)>) {
        for ((dir, name), value) in &assignments {
            if let Some(Node::Dir { live, .. }) = self.nodes.get_mut(dir) {
                assign(live, name, *value);
            }
        }
        self.pending.push(Change { assignments });
    }

    fn make_durable(&mut self, changes: Vec<Change>) {
        for ((dir, name), value) in changes.into_iter().flat_map(|change| change.assignments) {
            if let Some(Node::Dir { durable, .. }) = self.nodes.get_mut(&dir) {
                assign(durable, &name, value);
            }
        }
    }

    /// Drops what no name, no pending change and no handle leads to.
    fn collect_garbage(&mut self) {
        let mut reachable = BTreeSet::new();
        let open = |(id, node): (&NodeId, &Node)| matches!(node, Node::File(file) if 0 < file.handles).then_some(*id);
        let mut frontier = self.nodes.iter().filter_map(open).chain([ROOT]).collect::<Vec<_>>();
        while let Some(id) = frontier.pop() {
            if !reachable.insert(id) {
                continue;
            }
            if let Some(Node::Dir { live, durable }) = self.nodes.get(&id) {
                frontier.extend(live.values().chain(durable.values()));
                let into = |((dir, _), value): &(Slot, Option<NodeId>)| value.filter(|_| *dir == id);
                frontier.extend(self.pending.iter().flat_map(|change| &change.assignments).filter_map(into));
            }
        }
        self.nodes.retain(|id, _| reachable.contains(id));
        self.pending.retain(|change| change.assignments.iter().any(|((dir, _), _)| reachable.contains(dir)));
        self.collect_at = self.nodes.len().saturating_mul(2).max(GARBAGE_NODES_MIN);
    }
}

fn assign(entries: &mut BTreeMap<String, NodeId>, name: &str, value: Option<NodeId>) {
    match value {
        Some(node) => entries.insert(name.to_owned(), node),
        None => entries.remove(name),
    };
}

/// The names that lead from the root to `path`. A relative path starts at the root too.
fn names(path: &Path) -> io::Result<Vec<&str>> {
    let name = |part| match part {
        Component::Normal(name) => Some(OsStr::to_str(name).ok_or_else(|| error(io::ErrorKind::InvalidInput))),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        Component::ParentDir => Some(Err(error(io::ErrorKind::InvalidInput))),
    };
    path.components().filter_map(name).collect()
}
