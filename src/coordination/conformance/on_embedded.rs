//! The suite on the coordinator in this process: in memory, and with its tree on a disk.

use std::cell::RefCell;
use std::path::Path;

use super::super::embedded::Embedded;
use super::*;
use crate::storage::disk::os::OsDisk;

/// Gives sessions of one tree; `fresh` puts another tree in its place.
pub(super) struct InProcess {
    tree: RefCell<Embedded>,
    newest: RefCell<Option<Embedded>>,
}

impl InProcess {
    pub(super) fn new(tree: Embedded) -> Self {
        Self { tree: RefCell::new(tree), newest: RefCell::new(None) }
    }

    pub(super) fn fresh(&self, tree: Embedded) {
        *self.newest.borrow_mut() = None;
        *self.tree.borrow_mut() = tree;
    }
}

impl Ensemble for InProcess {
    fn session(&self) -> LocalBoxFuture<'_, Rc<dyn Coordinator>> {
        let session = self.tree.borrow().another_session();
        *self.newest.borrow_mut() = Some(session.clone());
        Box::pin(async { Rc::new(session) as Rc<dyn Coordinator> })
    }

    fn expire_newest(&self) -> LocalBoxFuture<'_, ()> {
        self.newest.borrow().as_ref().expect("a session").expire();
        Box::pin(async {})
    }
}

#[test]
fn in_memory() {
    let ensemble = InProcess::new(Embedded::in_memory(ticks()));
    run(all(&ensemble, async |_| ensemble.fresh(Embedded::in_memory(ticks()))));
}

#[test]
fn on_a_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |name: &str| {
        Embedded::open(Arc::new(OsDisk), Path::new(&folder.path().join(name)), ticks()).expect("an empty folder")
    };
    let ensemble = InProcess::new(open("first"));
    run(all(&ensemble, async |name| ensemble.fresh(open(name))));
}
