//! What the watches of the tree have said.

use super::*;

/// What the watches said since the last look.
#[derive(Default)]
pub(super) struct Dirty {
    pub(super) controller: bool,
    pub(super) brokers: bool,
    pub(super) topics: bool,
    pub(super) assignments: BTreeSet<TopicName>,
    pub(super) deletions: bool,
    pub(super) reassignments: bool,
    pub(super) preferred: bool,
    pub(super) isr_changes: bool,
    pub(super) log_dir_events: bool,
    pub(super) everything: bool,
}

impl Dirty {
    pub(super) fn note(&mut self, event: WatchEvent) {
        let (path, listed) = match &event {
            WatchEvent::Created(path) | WatchEvent::Deleted(path) => (path, true),
            WatchEvent::DataChanged(path) => (path, false),
            WatchEvent::Resync => {
                self.everything = true;
                return;
            }
        };
        let below = |root: &str| path.strip_prefix(root)?.strip_prefix('/').filter(|rest| !rest.contains('/'));
        if path == znode::controller::CONTROLLER {
            self.controller = true;
        } else if below(broker::IDS).is_some() {
            self.brokers = true;
        } else if let Some(name) = below(topic::TOPICS) {
            if listed {
                self.topics = true;
            } else if let Ok(name) = TopicName::new(name) {
                self.assignments.insert(name);
            }
        } else if below(admin::DELETE_TOPICS).is_some() {
            self.deletions = true;
        } else if path == admin::REASSIGN_PARTITIONS {
            self.reassignments = true;
        } else if path == admin::PREFERRED_ELECTION {
            self.preferred = true;
        } else if below(notification::ISR_CHANGES).is_some() {
            self.isr_changes = true;
        } else if below(notification::LOG_DIR_EVENTS).is_some() {
            self.log_dir_events = true;
        }
    }
}
