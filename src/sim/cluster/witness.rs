//! Watches everything that is written to the coordinator's tree, in the order in which it takes effect, and judges it: who is the
//! controller, who leads, who is in sync.
//!
//! *Invariant*: only what a majority of nobody can undo is judged: transactions that took effect.
//! *Does not know*: why something was written, or by whom, but for the controller epoch that it carries.

use std::collections::BTreeMap;

use crate::coordination::Op;
use crate::coordination::znode::controller::{EPOCH, decode_epoch};
use crate::coordination::znode::topic::{PartitionState, TOPICS};
use crate::model::{BrokerId, ControllerEpoch};

/// See the module.
#[derive(Debug, Default)]
pub struct Witness {
    epoch: Option<ControllerEpoch>,
    states: BTreeMap<String, PartitionState>,
    /// What must not have been written.
    pub violations: Vec<String>,
}

impl Witness {
    /// A transaction took effect.
    pub fn wrote(&mut self, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Create { path, data: Some(data), .. } | Op::Set { path, data, .. } if path == EPOCH => {
                    self.epoch_written(data);
                }
                Op::Create { path, data: Some(data), .. } | Op::Set { path, data, .. } if is_state(path) => {
                    self.state_written(path, data);
                }
                Op::Delete { path, .. } => drop(self.states.remove(path)),
                Op::Check { .. } | Op::Create { .. } | Op::Set { .. } => {}
            }
        }
    }

    /// The last state that was written at a path.
    #[must_use]
    pub fn state(&self, path: &str) -> Option<&PartitionState> {
        self.states.get(path)
    }

    /// The paths of the states where a broker is in sync.
    #[must_use]
    pub fn in_sync(&self, id: BrokerId) -> Vec<String> {
        self.states.iter().filter(|(_, state)| state.isr.contains(&id)).map(|(path, _)| path.clone()).collect()
    }

    /// All of them.
    pub fn states(&self) -> impl Iterator<Item = &PartitionState> {
        self.states.values()
    }

    fn epoch_written(&mut self, data: &[u8]) {
        let Ok(epoch) = decode_epoch(data) else {
            self.violations.push("the controller epoch cannot be read".to_owned());
            return;
        };
        if let Some(before) = self.epoch.filter(|before| before.0.saturating_add(1) != epoch.0) {
            self.violations.push(format!("after controller epoch {before} comes {epoch}"));
        }
        self.epoch = Some(epoch);
    }

    fn state_written(&mut self, path: &str, data: &[u8]) {
        let Ok(state) = PartitionState::decode(data) else {
            self.violations.push(format!("{path} cannot be read"));
            return;
        };
        if let Some(epoch) = self.epoch.filter(|epoch| *epoch != state.controller_epoch) {
            let writer = state.controller_epoch;
            self.violations.push(format!("{path} is written by controller epoch {writer}, and the epoch is {epoch}"));
        }
        if state.isr.is_empty() || (state.leader != BrokerId::NONE && !state.isr.contains(&state.leader)) {
            self.violations.push(format!("{path}: leader {} is not in the ISR {:?}", state.leader, state.isr));
        }
        if let Some(before) = self.states.get(path) {
            let follows =
                succession(before, &state).map(|wrong| format!("{path}: {wrong}: {before:?}, then {state:?}"));
            self.violations.extend(follows);
        }
        self.states.insert(path.to_owned(), state);
    }
}

/// What is wrong with a state that comes after another one; unclean elections are not allowed.
fn succession(before: &PartitionState, after: &PartitionState) -> Option<&'static str> {
    let joined = after.isr.iter().any(|id| !before.isr.contains(id));
    if after.leader_epoch < before.leader_epoch {
        Some("the leader epoch went back")
    } else if after.leader_epoch == before.leader_epoch && after.leader != before.leader {
        Some("one leader epoch has two leaders")
    } else if after.leader != BrokerId::NONE && !before.isr.contains(&after.leader) {
        Some("a leader was elected that was not in sync")
    } else if before.leader_epoch < after.leader_epoch && joined {
        Some("the ISR has grown without its leader")
    } else {
        None
    }
}

fn is_state(path: &str) -> bool {
    path.starts_with(TOPICS) && path.ends_with("/state")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::CreateMode;
    use crate::coordination::znode::controller::encode_epoch;
    use crate::model::LeaderEpoch;

    const PATH: &str = "/brokers/topics/t/partitions/0/state";

    fn epoch(epoch: i32) -> Op {
        Op::Set { path: EPOCH.to_owned(), data: encode_epoch(ControllerEpoch(epoch)), version: None }
    }

    fn state(controller: i32, leader: i32, leader_epoch: i32, isr: &[i32]) -> Op {
        let state = PartitionState {
            leader: BrokerId(leader),
            leader_epoch: LeaderEpoch(leader_epoch),
            isr: isr.iter().copied().map(BrokerId).collect(),
            controller_epoch: ControllerEpoch(controller),
            recovering: false,
        };
        Op::Set { path: PATH.to_owned(), data: state.encode(), version: None }
    }

    fn judged(ops: &[Op]) -> Vec<String> {
        let mut witness = Witness::default();
        witness.wrote(&[epoch(1), state(1, 1, 0, &[1, 2])]);
        assert_eq!(witness.violations, [""; 0]);
        ops.iter().for_each(|op| witness.wrote(std::slice::from_ref(op)));
        witness.violations
    }

    fn is_flagged(ops: &[Op], why: &str) {
        let found = judged(ops);
        assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
    }

    #[test]
    fn a_good_history_is_good() {
        let good = [
            state(1, 1, 0, &[1, 2, 3]),
            epoch(2),
            state(2, 2, 1, &[2, 3]),
            state(2, -1, 2, &[2]),
            state(2, 2, 3, &[2]),
            state(2, 2, 3, &[2, 1]),
        ];
        assert_eq!(judged(&good), [""; 0]);
        let again = [Op::Delete { path: PATH.to_owned(), version: None }, state(1, 3, 0, &[3])];
        assert_eq!(judged(&again), [""; 0], "another topic of the same name");
    }

    #[test]
    fn an_old_controllers_write_is_flagged() {
        is_flagged(&[epoch(2), state(1, 1, 0, &[1])], "written by controller epoch 1");
    }

    #[test]
    fn a_controller_epoch_that_is_not_the_next_is_flagged() {
        is_flagged(&[epoch(1)], "after controller epoch 1 comes 1");
        is_flagged(&[epoch(3)], "after controller epoch 1 comes 3");
    }

    #[test]
    fn two_leaders_of_one_epoch_are_flagged() {
        is_flagged(&[state(1, 2, 0, &[1, 2])], "two leaders");
    }

    #[test]
    fn a_leader_epoch_that_goes_back_is_flagged() {
        is_flagged(&[state(1, 1, 2, &[1, 2]), state(1, 1, 1, &[1, 2])], "went back");
    }

    #[test]
    fn an_unclean_election_is_flagged() {
        is_flagged(&[state(1, 3, 1, &[3])], "not in sync");
    }

    #[test]
    fn a_leader_outside_of_the_isr_is_flagged() {
        is_flagged(&[state(1, 1, 1, &[2])], "not in the ISR");
    }

    #[test]
    fn an_isr_that_grows_with_an_election_is_flagged() {
        is_flagged(&[state(1, 2, 1, &[1, 2, 3])], "without its leader");
    }

    #[test]
    fn other_znodes_are_nobodys_business() {
        let other = Op::Create { path: "/brokers/ids/1".to_owned(), data: None, mode: CreateMode::Ephemeral };
        assert_eq!(judged(&[other]), [""; 0]);
    }
}
