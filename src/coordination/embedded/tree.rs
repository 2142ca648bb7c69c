//! The tree of znodes itself: what ZooKeeper's `DataTree` and `PrepRequestProcessor` do, as plain data.
//!
//! *Invariant*: a step either happens whole or leaves the tree as it was; every change says how it is undone, and is a
//! value ([`Effect`]) that gives the same tree when it is applied again.
//! *Does not know*: sessions' states, disks, watchers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::coordination::path::{self, parent_and_name};
use crate::coordination::{CoordinationError, CreateMode, Op, OpResult, Stat, WatchEvent};
use crate::model::Timestamp;

/// One znode.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Node {
    #[serde(with = "maybe_bytes")]
    data: Option<Vec<u8>>,
    czxid: i64,
    mzxid: i64,
    ctime: Timestamp,
    mtime: Timestamp,
    version: i32,
    /// Session that owns it when it is ephemeral; 0 otherwise.
    owner: i64,
    /// Children ever made below it, ephemeral ones too: the number that the next sequential child gets.
    sequence: i32,
}

/// What a transaction does to the tree, decided and without conditions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Effect {
    Create {
        path: String,
        #[serde(with = "maybe_bytes")]
        data: Option<Vec<u8>>,
        owner: i64,
    },
    Set {
        path: String,
        #[serde(with = "bytes")]
        data: Vec<u8>,
    },
    Delete {
        path: String,
    },
}

/// How an effect is taken back.
#[derive(Debug)]
pub(super) enum Undo {
    Created { path: String },
    Set { path: String, data: Option<Vec<u8>>, mzxid: i64, mtime: Timestamp, version: i32 },
    Deleted { path: String, node: Node },
}

/// Number and time of the transaction that changes the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) zxid: i64,
    pub(super) time: Timestamp,
}

/// Effects of one transaction in the order in which they were applied, with their undoings.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) effects: Vec<Effect>,
    pub(super) undo: Vec<Undo>,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    children: BTreeSet<String>,
}

/// Every znode by its path. Always holds the root.
#[derive(Debug)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// A tree that holds the root alone.
    pub(super) fn new() -> Self {
        let root = Node {
            data: None,
            czxid: 0,
            mzxid: 0,
            ctime: Timestamp(0),
            mtime: Timestamp(0),
            version: 0,
            owner: 0,
            sequence: 0,
        };
        Self { entries: BTreeMap::from([("/".to_owned(), Entry { node: root, children: BTreeSet::new() })]) }
    }

    pub(super) fn stat(&self, path: &str) -> Option<Stat> {
        self.entries.get(path).map(Entry::stat)
    }

    pub(super) fn data(&self, path: &str) -> Option<(Vec<u8>, Stat)> {
        self.entries.get(path).map(|entry| (entry.node.data.clone().unwrap_or_default(), entry.stat()))
    }

    pub(super) fn children(&self, path: &str) -> Option<Vec<String>> {
        self.entries.get(path).map(|entry| entry.children.iter().cloned().collect())
    }

    /// Every znode, parents before their children.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), &entry.node))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Paths of the ephemerals that `owned` holds for, given their session.
    pub(super) fn ephemerals(&self, owned: impl Fn(i64) -> bool) -> Vec<String> {
        let ephemeral = |entry: &Entry| entry.node.owner != 0 && owned(entry.node.owner);
        self.entries.iter().filter(|(_, entry)| ephemeral(entry)).map(|(path, _)| path.clone()).collect()
    }

    /// Puts a znode back as it was saved. Its parent must have come before it.
    pub(super) fn restore(&mut self, path: String, node: Node) -> Result<(), String> {
        if path == "/" {
            return match self.entries.get_mut("/") {
                Some(root) => {
                    root.node = node;
                    Ok(())
                }
                None => Err("the tree has no root".to_owned()),
            };
        }
        path::check(&path, false).map_err(|error| error.to_string())?;
        let (parent, name) = parent_and_name(&path);
        let Some(above) = self.entries.get_mut(parent) else {
            return Err(format!("{path} has no parent"));
        };
        if !above.children.insert(name.to_owned()) {
            return Err(format!("{path} is there twice"));
        }
        self.entries.insert(path, Entry { node, children: BTreeSet::new() });
        Ok(())
    }

    /// Decides and applies all steps for `session`, or none; the error is that of the first step that failed.
    pub(super) fn transact(
        &mut self,
        ops: &[Op],
        session: i64,
        stamp: Stamp,
    ) -> Result<(Vec<OpResult>, Change), CoordinationError> {
        let mut change = Change::default();
        let mut results = Vec::with_capacity(ops.len());
        for op in ops {
            match self.step(op, session, stamp, &mut change) {
                Ok(result) => results.push(result),
                Err(error) => {
                    self.undo(change.undo);
                    return Err(error);
                }
            }
        }
        Ok((results, change))
    }

    fn step(
        &mut self,
        op: &Op,
        session: i64,
        stamp: Stamp,
        change: &mut Change,
    ) -> Result<OpResult, CoordinationError> {
        match op {
            Op::Check { path, version } => {
                self.expect_version(path, Some(*version))?;
                Ok(OpResult::Checked)
            }
            Op::Create { path, data, mode } => {
                let path = self.path_to_create(path, *mode)?;
                let owner = if *mode == CreateMode::Ephemeral { session } else { 0 };
                self.change(Effect::Create { path: path.clone(), data: data.clone(), owner }, stamp, change);
                Ok(OpResult::Created { path })
            }
            Op::Set { path, data, version } => {
                self.expect_version(path, *version)?;
                self.change(Effect::Set { path: path.clone(), data: data.clone() }, stamp, change);
                let stat = self.stat(path).unwrap_or_default();
                Ok(OpResult::Set { stat })
            }
            Op::Delete { path, version } => {
                if path == "/" {
                    return Err(CoordinationError::Refused("the root cannot be deleted".to_owned()));
                }
                let entry = self.expect_version(path, *version)?;
                if !entry.children.is_empty() {
                    return Err(CoordinationError::NotEmpty { path: path.clone() });
                }
                self.change(Effect::Delete { path: path.clone() }, stamp, change);
                Ok(OpResult::Deleted)
            }
        }
    }

    fn change(&mut self, effect: Effect, stamp: Stamp, change: &mut Change) {
        let undo = self.apply(&effect, stamp).unwrap_or_else(|why| panic!("a checked effect did not fit: {why}"));
        change.undo.push(undo);
        change.effects.push(effect);
    }

    /// The path of a znode to create, with its sequence number; refused where ZooKeeper refuses it.
    fn path_to_create(&self, path: &str, mode: CreateMode) -> Result<String, CoordinationError> {
        let (parent, _) = parent_and_name(path);
        let above = self.entries.get(parent).ok_or_else(|| CoordinationError::NoNode { path: path.to_owned() })?;
        if above.node.owner != 0 {
            return Err(CoordinationError::Refused(format!("{parent} is ephemeral and has no children")));
        }
        let full = match mode {
            CreateMode::Persistent | CreateMode::Ephemeral => path.to_owned(),
            CreateMode::PersistentSequential => format!("{path}{:010}", above.node.sequence),
        };
        if self.entries.contains_key(&full) {
            return Err(CoordinationError::NodeExists { path: full });
        }
        Ok(full)
    }

    fn expect_version(&self, path: &str, version: Option<i32>) -> Result<&Entry, CoordinationError> {
        let entry = self.entries.get(path).ok_or_else(|| CoordinationError::NoNode { path: path.to_owned() })?;
        match version {
            None | Some(ANY_VERSION) => Ok(entry),
            Some(expected) if expected == entry.node.version => Ok(entry),
            Some(_) => Err(CoordinationError::BadVersion { path: path.to_owned() }),
        }
    }

    /// Applies a decided effect. The error says why it does not fit this tree.
    pub(super) fn apply(&mut self, effect: &Effect, stamp: Stamp) -> Result<Undo, String> {
        match effect {
            Effect::Create { path, data, owner } => self.apply_create(path, data.clone(), *owner, stamp),
            Effect::Set { path, data } => {
                let entry = self.entries.get_mut(path).ok_or_else(|| format!("{path} to set is not there"))?;
                let node = &mut entry.node;
                let undo = Undo::Set {
                    path: path.clone(),
                    data: node.data.replace(data.clone()),
                    mzxid: node.mzxid,
                    mtime: node.mtime,
                    version: node.version,
                };
                (node.mzxid, node.mtime) = (stamp.zxid, stamp.time);
                node.version = next_version(node.version);
                Ok(undo)
            }
            Effect::Delete { path } => {
                let entry = self.entries.get(path).ok_or_else(|| format!("{path} to delete is not there"))?;
                if !entry.children.is_empty() || path == "/" {
                    return Err(format!("{path} to delete has children"));
                }
                Ok(Undo::Deleted { path: path.clone(), node: self.remove(path) })
            }
        }
    }

    fn apply_create(&mut self, path: &str, data: Option<Vec<u8>>, owner: i64, stamp: Stamp) -> Result<Undo, String> {
        let node = Node {
            data,
            czxid: stamp.zxid,
            mzxid: stamp.zxid,
            ctime: stamp.time,
            mtime: stamp.time,
            version: 0,
            owner,
            sequence: 0,
        };
        self.restore(path.to_owned(), node)?;
        if let Some(above) = self.entries.get_mut(parent_and_name(path).0) {
            above.node.sequence = above.node.sequence.wrapping_add(1);
        }
        Ok(Undo::Created { path: path.to_owned() })
    }

    /// Takes a change back: newest effect first.
    pub(super) fn undo(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Created { path } => {
                    self.remove(&path);
                    if let Some(above) = self.entries.get_mut(parent_and_name(&path).0) {
                        above.node.sequence = above.node.sequence.wrapping_sub(1);
                    }
                }
                Undo::Set { path, data, mzxid, mtime, version } => {
                    if let Some(entry) = self.entries.get_mut(&path) {
                        let node = &mut entry.node;
                        (node.data, node.mzxid, node.mtime, node.version) = (data, mzxid, mtime, version);
                    }
                }
                Undo::Deleted { path, node } => {
                    self.restore(path, node).unwrap_or_else(|why| panic!("an undoing did not fit: {why}"));
                }
            }
        }
    }

    fn remove(&mut self, path: &str) -> Node {
        let (parent, name) = parent_and_name(path);
        if let Some(above) = self.entries.get_mut(parent) {
            above.children.remove(name);
        }
        let entry = self.entries.remove(path).unwrap_or_else(|| panic!("{path} is not in the tree"));
        assert!(entry.children.is_empty(), "{path} was removed above its children");
        entry.node
    }
}

/// What ZooKeeper takes for "any version" on the wire.
const ANY_VERSION: i32 = -1;

/// ZooKeeper's counter skips −1, which would mean "any version" (ZOOKEEPER-4743).
fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        ANY_VERSION => 0,
        next => next,
    }
}

impl Entry {
    fn stat(&self) -> Stat {
        Stat {
            czxid: self.node.czxid,
            mzxid: self.node.mzxid,
            ctime: self.node.ctime,
            mtime: self.node.mtime,
            version: self.node.version,
            ephemeral_owner: self.node.owner,
            children: i32::try_from(self.children.len()).unwrap_or(i32::MAX),
        }
    }
}

impl Node {
    /// About the bytes that it takes on disk.
    pub(super) fn size(&self) -> usize {
        self.data.as_ref().map_or(0, Vec::len).saturating_add(NODE_BYTES)
    }
}

/// What a znode or an effect takes beside its path and data, at most about.
const NODE_BYTES: usize = 64;

impl Effect {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Create { path, .. } | Self::Set { path, .. } | Self::Delete { path } => path,
        }
    }

    /// About the bytes that it takes on disk.
    pub(super) fn size(&self) -> usize {
        let data = match self {
            Self::Create { data, .. } => data.as_ref().map_or(0, Vec::len),
            Self::Set { data, .. } => data.len(),
            Self::Delete { .. } => 0,
        };
        self.path().len().saturating_add(data).saturating_add(NODE_BYTES)
    }

    /// What a watcher is told of it.
    pub(super) fn event(&self) -> WatchEvent {
        match self {
            Self::Create { path, .. } => WatchEvent::Created(path.clone()),
            Self::Set { path, .. } => WatchEvent::DataChanged(path.clone()),
            Self::Delete { path } => WatchEvent::Deleted(path.clone()),
        }
    }
}

/// Data as one run of bytes: serde would take a vector of them one by one.
mod bytes {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(data)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// As [`bytes`], of data that may be null.
mod maybe_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    struct Bytes(#[serde(with = "super::bytes")] Vec<u8>);

    #[derive(Serialize)]
    struct BytesRef<'a>(#[serde(with = "super::bytes")] &'a [u8]);

    pub(super) fn serialize<S: Serializer>(data: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        data.as_deref().map(BytesRef).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Bytes>::deserialize(deserializer)?.map(|Bytes(data)| data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Stamp = Stamp { zxid: 7, time: Timestamp(70) };

    fn create(path: &str) -> Op {
        Op::Create { path: path.to_owned(), data: None, mode: CreateMode::Persistent }
    }

    fn image(tree: &Tree) -> Vec<(String, Node)> {
        tree.nodes().map(|(path, node)| (path.to_owned(), node.clone())).collect()
    }

    #[test]
    fn a_multi_that_fails_leaves_nothing_behind() {
        let mut tree = Tree::new();
        let setup = [create("/a"), create("/a/b"), create("/c")];
        tree.transact(&setup, 1, AT).expect("all parents are there");
        let before = image(&tree);
        let sequential = Op::Create { path: "/a/s".into(), data: None, mode: CreateMode::PersistentSequential };
        let failing = [
            sequential,
            Op::Set { path: "/a".into(), data: b"new".to_vec(), version: Some(0) },
            Op::Delete { path: "/a/b".into(), version: None },
            create("/a/b"),
            Op::Check { path: "/c".into(), version: 9 },
        ];
        let error = tree.transact(&failing, 1, Stamp { zxid: 8, ..AT }).expect_err("/c has version 0");
        assert_eq!(error, CoordinationError::BadVersion { path: "/c".into() });
        assert_eq!(image(&tree), before);
    }

    #[test]
    fn effects_applied_again_give_the_same_tree() {
        let mut tree = Tree::new();
        let ops = [create("/a"), create("/a/b"), Op::Delete { path: "/a/b".into(), version: Some(0) }, create("/a/b")];
        let (_, change) = tree.transact(&ops, 1, AT).expect("it fits");
        let mut again = Tree::new();
        for effect in &change.effects {
            again.apply(effect, AT).expect("it fits there too");
        }
        assert_eq!(image(&again), image(&tree));
    }

    #[test]
    fn an_effect_that_does_not_fit_is_an_error() {
        let mut tree = Tree::new();
        for effect in [
            Effect::Create { path: "/a/b".into(), data: None, owner: 0 },
            Effect::Create { path: "no path".into(), data: None, owner: 0 },
            Effect::Set { path: "/a".into(), data: vec![] },
            Effect::Delete { path: "/a".into() },
            Effect::Delete { path: "/".into() },
        ] {
            assert!(tree.apply(&effect, AT).is_err(), "{effect:?} was applied");
        }
    }

    #[test]
    fn the_version_counter_never_means_any() {
        assert_eq!(next_version(0), 1);
        assert_eq!(next_version(-2), 0);
        assert_eq!(next_version(i32::MAX), i32::MIN);
    }
}
