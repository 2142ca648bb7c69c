//! From what a member has to what it is to have: first it lets go, then it goes on to the next epoch, and then it gets what
//! is free.
//!
//! Source: Kafka 4.1 `CurrentAssignmentBuilder.java`.

use super::{Assignment, Member, Reconciliation, partitions};
use crate::model::{Bug, TopicId};

/// Where a member is to go.
pub(super) struct Goal<'g> {
    /// The epoch of the target.
    pub(super) epoch: i32,
    /// What it is to have.
    pub(super) target: &'g Assignment,
    /// Whether nobody else has a partition.
    pub(super) is_free: &'g dyn Fn(TopicId, i32) -> bool,
    /// What the member says that it owns; `None` for unsaid.
    pub(super) owned: Option<&'g Assignment>,
}

/// It has to abandon everything and join anew.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Fenced;

impl Member {
    /// The next step of the member, or the member as it is.
    pub(super) fn reconcile(&self, goal: &Goal<'_>) -> Result<Self, Fenced> {
        match self.phase {
            Reconciliation::Stable if self.epoch == goal.epoch => Ok(self.clone()),
            Reconciliation::Stable | Reconciliation::Unreleased => Ok(self.advance(self.epoch, goal)),
            Reconciliation::Unrevoked if goal.may_own(&self.revoking) => Ok(self.clone()),
            // It has let go, which makes an epoch of its own.
            Reconciliation::Unrevoked => Ok(self.advance(self.epoch.saturating_add(1).min(goal.epoch), goal)),
            Reconciliation::Unknown if goal.owned.is_some_and(Assignment::is_empty) => {
                Ok(self.advance(goal.epoch, goal))
            }
            Reconciliation::Unknown => Err(Fenced),
        }
    }

    fn advance(&self, epoch: i32, goal: &Goal<'_>) -> Self {
        let wants = |(topic, index): &(TopicId, i32)| goal.target.get(topic).is_some_and(|it| it.contains(index));
        let (keeps, loses): (Vec<_>, Vec<_>) = partitions(&self.assigned).partition(wants);
        let (mut assigned, revoking) = (super::collect(keeps.into_iter()), super::collect(loses.into_iter()));
        if !revoking.is_empty() && goal.may_own(&revoking) {
            return self.moved(epoch, Reconciliation::Unrevoked, assigned, revoking);
        }
        let mut phase = Reconciliation::Stable;
        for (topic, index) in partitions(goal.target) {
            let has = assigned.get(&topic).is_some_and(|it| it.contains(&index));
            if !has && ((goal.is_free)(topic, index) || Bug::B23Kip848.is_back()) {
                assigned.entry(topic).or_default().insert(index);
            } else if !has {
                phase = Reconciliation::Unreleased;
            }
        }
        self.moved(goal.epoch, phase, assigned, Assignment::new())
    }

    fn moved(&self, epoch: i32, phase: Reconciliation, assigned: Assignment, revoking: Assignment) -> Self {
        let is_same =
            (epoch, phase) == (self.epoch, self.phase) && (&assigned, &revoking) == (&self.assigned, &self.revoking);
        if is_same {
            return self.clone();
        }
        Self { terms: self.terms.clone(), previous_epoch: self.epoch, epoch, phase, assigned, revoking }
    }
}

impl Goal<'_> {
    /// Whether the member may still have one of these. If it does not say, it may.
    fn may_own(&self, of: &Assignment) -> bool {
        self.owned.is_none_or(|owned| {
            partitions(owned).any(|(topic, index)| of.get(&topic).is_some_and(|it| it.contains(&index)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TopicId = TopicId([1; 16]);

    fn of(indexes: &[i32]) -> Assignment {
        super::super::collect(indexes.iter().map(|index| (T, *index)))
    }

    fn member(epoch: i32, phase: Reconciliation, assigned: &[i32], revoking: &[i32]) -> Member {
        Member {
            epoch,
            previous_epoch: epoch,
            phase,
            assigned: of(assigned),
            revoking: of(revoking),
            ..Member::default()
        }
    }

    /// What becomes of a member whose target at epoch 10 is `target`, when others have `taken`.
    fn step(member: &Member, target: &[i32], taken: &[i32], owned: Option<&[i32]>) -> String {
        let (target, owned) = (of(target), owned.map(of));
        let is_free = |_: TopicId, index: i32| !taken.contains(&index);
        let goal = Goal { epoch: 10, target: &target, is_free: &is_free, owned: owned.as_ref() };
        match member.reconcile(&goal) {
            Ok(next) => {
                let list = |of: &Assignment| partitions(of).map(|(_, index)| index.to_string()).collect::<String>();
                let (assigned, revoking) = (list(&next.assigned), list(&next.revoking));
                format!("{}<{} {:?} [{assigned}] -[{revoking}]", next.previous_epoch, next.epoch, next.phase)
            }
            Err(Fenced) => "fenced".to_owned(),
        }
    }

    #[test]
    fn a_member_lets_go_before_it_goes_on() {
        let stable = member(9, Reconciliation::Stable, &[1, 2, 3], &[]);
        assert_eq!(step(&stable, &[2, 3, 4], &[], None), "9<9 Unrevoked [23] -[1]");
        assert_eq!(step(&stable, &[2, 3, 4], &[], Some(&[1, 2, 3])), "9<9 Unrevoked [23] -[1]");
        assert_eq!(step(&stable, &[2, 3, 4], &[], Some(&[2, 3])), "9<10 Stable [234] -[]", "it has let go already");
        assert_eq!(step(&stable, &[1, 2, 3, 4], &[4], None), "9<10 Unreleased [123] -[]");
        assert_eq!(step(&stable, &[1, 2, 3, 4, 5], &[4], None), "9<10 Unreleased [1235] -[]");
        assert_eq!(step(&stable, &[1, 2, 3], &[], None), "9<10 Stable [123] -[]");
        let there = member(10, Reconciliation::Stable, &[1], &[]);
        assert_eq!(step(&there, &[1], &[], None), "10<10 Stable [1] -[]");
    }

    #[test]
    fn one_that_has_to_let_go_does_so_or_stays() {
        let unrevoked = member(8, Reconciliation::Unrevoked, &[2, 3], &[1]);
        assert_eq!(step(&unrevoked, &[2, 3, 4], &[], None), "8<8 Unrevoked [23] -[1]");
        assert_eq!(step(&unrevoked, &[2, 3, 4], &[], Some(&[1, 2])), "8<8 Unrevoked [23] -[1]");
        assert_eq!(step(&unrevoked, &[2, 3, 4], &[], Some(&[2, 3])), "8<10 Stable [234] -[]");
        assert_eq!(step(&unrevoked, &[2, 4], &[], Some(&[2, 3])), "8<9 Unrevoked [2] -[3]", "the target moved on");
    }

    #[test]
    fn one_that_waits_for_others_gets_what_is_free() {
        let unreleased = member(10, Reconciliation::Unreleased, &[1], &[]);
        assert_eq!(step(&unreleased, &[1, 2], &[2], None), "10<10 Unreleased [1] -[]");
        assert_eq!(step(&unreleased, &[1, 2], &[], None), "10<10 Stable [12] -[]");
        assert_eq!(step(&unreleased, &[2], &[], None), "10<10 Unrevoked [] -[1]");
        let unknown = member(7, Reconciliation::Unknown, &[1], &[]);
        assert_eq!(step(&unknown, &[1, 2], &[], None), "fenced");
        assert_eq!(step(&unknown, &[1, 2], &[], Some(&[])), "7<10 Stable [12] -[]");
    }
}
