//! What must be true of what groups were told: the judge of their members.
//!
//! - In one generation (or member epoch) a partition has one owner at most.
//! - Once somebody heard who reads what in a generation, no commit that is asked for under an earlier one is taken.
//! - Once the newest process of a static member heard what it reads, no commit is taken that an earlier one asks for then.
//! - A commit that was acknowledged is found by whoever asks later, unless another one came after it: whatever crashed meanwhile, and
//!   wherever the group is coordinated now.
//! - Where the group was said to stand it stays until another commit comes: nobody hears of a commit that may be lost yet.
//!
//! *Invariant*: what nobody knows the outcome of is allowed to have happened, or not.
//! *Does not know*: how the broker works; whether who answers still is the coordinator is said by the caller.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::oracle::{Place, Span};
use crate::model::{ErrorCode, Moment};

/// What kind of group it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Members have one generation, in which one of them assigns.
    Classic,
    /// The coordinator assigns, and members come to its epoch one by one (KIP-848).
    Consumer,
}

/// What came of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// Nobody knows.
    Unknown,
    /// It was acknowledged, at this time.
    Acknowledged(Moment),
}

#[derive(Clone, Copy, Debug)]
struct Commit {
    number: u64,
    offset: i64,
    generation: i32,
    asked: Moment,
    /// It was asked for by who was told before that somebody else speaks for its static member now.
    is_replaced: bool,
    outcome: Outcome,
}

impl Commit {
    /// Whether it cannot be what the group stands at any more, given that another one was acknowledged.
    fn is_behind(&self, other: &Self) -> bool {
        let after = matches!(self.outcome, Outcome::Acknowledged(heard) if heard < other.asked);
        // Of an earlier generation it was decided, if ever, before the later one was distributed.
        after || self.generation < other.generation
    }

    fn was_acknowledged_before(&self, moment: Moment) -> bool {
        matches!(self.outcome, Outcome::Acknowledged(heard) if heard < moment)
    }
}

#[derive(Debug)]
struct History {
    kind: Kind,
    owners: BTreeMap<(i32, Place), String>,
    /// When it was first heard who reads a partition in a generation.
    told: BTreeMap<Place, BTreeMap<i32, Moment>>,
    /// The member id of each static member's process that was told last what it reads.
    statics: BTreeMap<String, String>,
    commits: BTreeMap<Place, Vec<Commit>>,
    /// Where it was said last to stand, by who was the coordinator then.
    sights: BTreeMap<Place, (i64, Span)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Judge {
    groups: BTreeMap<String, History>,
    violations: Vec<String>,
    next: u64,
    /// Where the clock of this life of the broker began, and the latest moment that was heard of.
    base: Duration,
    latest: Duration,
    /// Commits that were acknowledged, of one partition each.
    pub acknowledged: u64,
    /// Assignments that were heard.
    pub assignments: u64,
}

impl Judge {
    /// A group that there is from now on, if it is not known yet.
    pub fn created(&mut self, group: &str, kind: Kind) {
        let history = || History {
            kind,
            owners: BTreeMap::new(),
            told: BTreeMap::new(),
            statics: BTreeMap::new(),
            commits: BTreeMap::new(),
            sights: BTreeMap::new(),
        };
        self.groups.entry(group.to_owned()).or_insert_with(history);
    }

    /// A new life begins, with a clock that counts from nothing.
    pub fn restarted(&mut self) {
        self.base = self.latest.saturating_add(Duration::from_millis(1));
    }

    fn at(&mut self, moment: Moment) -> Moment {
        let at = self.base.saturating_add(moment.0);
        self.latest = self.latest.max(at);
        Moment(at)
    }

    /// What is wrong, since this was asked last.
    pub fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// A member heard what it is to read in a generation. A static member is the same under every member id.
    pub fn assigned(&mut self, group: &str, generation: i32, owner: &str, places: &[Place], heard: Moment) {
        let heard = self.at(heard);
        let Some(history) = self.groups.get_mut(group) else { return };
        self.assignments += 1;
        for place in places {
            let first = history.owners.entry((generation, place.clone())).or_insert_with(|| owner.to_owned());
            if first != owner {
                self.violations
                    .push(format!("group {group}: in generation {generation} both {first} and {owner} own {place}"));
            }
            history.told.entry(place.clone()).or_default().entry(generation).or_insert(heard);
        }
    }

    /// A process heard what it is to read in the name of a static member: no earlier one may speak for that any more.
    pub fn replaced(&mut self, group: &str, instance: &str, member_id: &str) {
        let Some(history) = self.groups.get_mut(group) else { return };
        history.statics.insert(instance.to_owned(), member_id.to_owned());
    }

    /// A member asks for offsets to be committed; the number that names it from now on. `of_static` is the name of a static member, and the
    /// member id by which it asks.
    pub fn committing(
        &mut self,
        group: &str,
        generation: i32,
        of_static: Option<(&str, &str)>,
        offsets: &[(Place, i64)],
        asked: Moment,
    ) -> u64 {
        let asked = self.at(asked);
        let number = self.next;
        self.next += 1;
        let Some(history) = self.groups.get_mut(group) else { return number };
        let newest = |(instance, id): (&str, &str)| history.statics.get(instance).is_none_or(|newest| newest == id);
        let is_replaced = !of_static.is_none_or(newest);
        for (place, offset) in offsets {
            let outcome = Outcome::Unknown;
            let commit = Commit { number, offset: *offset, generation, asked, is_replaced, outcome };
            history.commits.entry(place.clone()).or_default().push(commit);
        }
        number
    }

    /// What the coordinator said of one partition of a commit.
    pub fn answered(&mut self, group: &str, number: u64, place: &Place, error: ErrorCode, heard: Moment) {
        let heard = self.at(heard);
        let Some(history) = self.groups.get_mut(group) else { return };
        let Some(commits) = history.commits.get_mut(place) else { return };
        let Some(at) = commits.iter().position(|commit| commit.number == number) else { return };
        if error != ErrorCode::None {
            if is_final(error) {
                commits.remove(at);
            }
            return;
        }
        let Some(commit) = commits.get_mut(at) else { return };
        commit.outcome = Outcome::Acknowledged(heard);
        self.acknowledged += 1;
        let (generation, asked, is_replaced) = (commit.generation, commit.asked, commit.is_replaced);
        if is_replaced {
            self.violations.push(format!("group {group}: who was replaced as a static member commits {place}"));
        }
        let newer = history.told.iter().filter(|(other, _)| history.kind == Kind::Classic || *other == place);
        let newer = newer.flat_map(|(_, told)| told.range(generation.saturating_add(1)..));
        if let Some((newer, _)) = newer.into_iter().find(|(_, heard)| **heard < asked) {
            self.violations.push(format!(
                "group {group}: generation {newer} of {place} was known, and generation {generation} commits"
            ));
        }
    }

    /// Somebody heard where the group stands; −1 for nowhere. `is_firm` when who said so was the coordinator all the time: one that does
    /// not know yet that it no longer is may be behind.
    pub fn fetched(&mut self, group: &str, place: &Place, offset: i64, when: Span, is_firm: bool) {
        let when = Span { asked: self.at(when.asked), heard: self.at(when.heard) };
        let Some(history) = self.groups.get_mut(group) else { return };
        let nothing = Vec::new();
        let commits = history.commits.get(place).unwrap_or(&nothing);
        let beginning = Commit {
            number: u64::MAX,
            offset: -1,
            generation: -1,
            asked: Moment::default(),
            is_replaced: false,
            outcome: Outcome::Acknowledged(Moment::default()),
        };
        let told = commits.iter().chain([&beginning]).filter(|it| it.offset == offset && it.asked <= when.heard);
        let told = told.collect::<Vec<_>>();
        if told.is_empty() {
            self.violations.push(format!("group {group}: nobody committed {offset} of {place}"));
            return;
        }
        let later = |commit: &Commit| {
            let known = commits.iter().filter(|other| other.was_acknowledged_before(when.asked));
            known.into_iter().find(|other| other.number != commit.number && commit.is_behind(other)).copied()
        };
        if !is_firm {
            return;
        }
        // What was acknowledged before the other one was seen had taken effect before that.
        let is_passed = |sight: Span| told.iter().all(|commit| commit.was_acknowledged_before(sight.asked));
        if let Some(lost) = told.iter().map(|commit| later(commit)).collect::<Option<Vec<_>>>() {
            let lost = lost.iter().map(|commit| commit.offset).max().unwrap_or(-1);
            self.violations
                .push(format!("group {group}: {lost} of {place} was acknowledged, and it stands at {offset}"));
        } else if let Some((seen, sight)) = history.sights.get(place)
            && *seen != offset
            && sight.heard < when.asked
            && is_passed(*sight)
        {
            self.violations
                .push(format!("group {group}: it was said to stand at {seen} in {place}, and then at {offset}"));
        }
        history.sights.insert(place.clone(), (offset, when));
    }
}

/// Whether an error says that nothing was, or will be, committed.
const fn is_final(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::IllegalGeneration
            | ErrorCode::UnknownMemberId
            | ErrorCode::FencedInstanceId
            | ErrorCode::RebalanceInProgress
            | ErrorCode::StaleMemberEpoch
            | ErrorCode::FencedMemberEpoch
            | ErrorCode::CoordinatorLoadInProgress
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    fn place(partition: i32) -> Place {
        Place { topic: "t".to_owned(), partition }
    }

    fn judge(kind: Kind) -> Judge {
        let mut judge = Judge::default();
        judge.created("g", kind);
        judge
    }

    /// A commit of partition 0 that is answered.
    fn commit(judge: &mut Judge, generation: i32, offset: i64, (asked, heard): (u64, u64), error: ErrorCode) {
        let number = judge.committing("g", generation, None, &[(place(0), offset)], at(asked));
        judge.answered("g", number, &place(0), error, at(heard));
    }

    fn fetch(judge: &mut Judge, offset: i64, (asked, heard): (u64, u64)) -> Vec<String> {
        judge.fetched("g", &place(0), offset, Span { asked: at(asked), heard: at(heard) }, true);
        judge.take_violations()
    }

    #[test]
    fn a_good_history_is_good() {
        let mut judge = judge(Kind::Classic);
        assert!(fetch(&mut judge, -1, (1, 2)).is_empty());
        judge.assigned("g", 1, "a", &[place(0)], at(2));
        judge.assigned("g", 1, "b", &[place(1)], at(3));
        commit(&mut judge, 1, 5, (4, 5), ErrorCode::None);
        judge.assigned("g", 2, "b", &[place(0), place(1)], at(6));
        commit(&mut judge, 1, 6, (7, 8), ErrorCode::IllegalGeneration);
        assert!(fetch(&mut judge, 5, (9, 10)).is_empty());
        commit(&mut judge, 2, 9, (11, 12), ErrorCode::None);
        assert!(fetch(&mut judge, 9, (13, 14)).is_empty());
        assert_eq!((judge.acknowledged, judge.assignments), (2, 3));
    }

    #[test]
    fn two_owners_in_one_generation_are_flagged() {
        let mut judge = judge(Kind::Classic);
        judge.assigned("g", 1, "a", &[place(0)], at(1));
        judge.assigned("g", 1, "a", &[place(0)], at(2));
        judge.assigned("g", 2, "b", &[place(0)], at(3));
        assert!(judge.take_violations().is_empty());
        judge.assigned("g", 1, "b", &[place(1), place(0)], at(4));
        assert_eq!(judge.take_violations(), ["group g: in generation 1 both a and b own t-0"]);
    }

    #[test]
    fn a_commit_of_an_earlier_generation_is_flagged() {
        let mut judge = judge(Kind::Classic);
        judge.assigned("g", 2, "b", &[place(1)], at(3));
        commit(&mut judge, 1, 5, (2, 5), ErrorCode::None);
        assert!(judge.take_violations().is_empty(), "it was asked for before");
        commit(&mut judge, 1, 5, (4, 5), ErrorCode::None);
        assert_eq!(judge.take_violations(), ["group g: generation 2 of t-0 was known, and generation 1 commits"]);
    }

    #[test]
    fn a_commit_of_a_static_member_that_was_replaced_is_flagged() {
        let mut judge = judge(Kind::Classic);
        let offsets = [(place(0), 5)];
        judge.replaced("g", "s", "s-1");
        let before = judge.committing("g", 1, Some(("s", "s-1")), &offsets, at(1));
        judge.replaced("g", "s", "s-2");
        let after = judge.committing("g", 1, Some(("s", "s-1")), &offsets, at(3));
        let newest = judge.committing("g", 1, Some(("s", "s-2")), &offsets, at(4));
        judge.answered("g", before, &place(0), ErrorCode::None, at(5));
        judge.answered("g", newest, &place(0), ErrorCode::None, at(6));
        assert!(judge.take_violations().is_empty());
        judge.answered("g", after, &place(0), ErrorCode::FencedInstanceId, at(7));
        assert!(judge.take_violations().is_empty());
        let again = judge.committing("g", 1, Some(("s", "s-1")), &offsets, at(8));
        judge.answered("g", again, &place(0), ErrorCode::None, at(9));
        assert_eq!(judge.take_violations(), ["group g: who was replaced as a static member commits t-0"]);
    }

    #[test]
    fn a_member_of_the_consumer_protocol_is_behind_where_another_one_goes_on() {
        let mut judge = judge(Kind::Consumer);
        judge.assigned("g", 2, "b", &[place(1)], at(1));
        commit(&mut judge, 1, 5, (4, 5), ErrorCode::None);
        assert!(judge.take_violations().is_empty(), "the partition is not the one that moved");
        judge.assigned("g", 2, "b", &[place(0)], at(6));
        commit(&mut judge, 1, 6, (7, 8), ErrorCode::None);
        assert_eq!(judge.take_violations().len(), 1);
    }

    #[test]
    fn an_acknowledged_commit_that_is_gone_is_flagged() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::None);
        assert_eq!(fetch(&mut judge, -1, (3, 4)), ["group g: 5 of t-0 was acknowledged, and it stands at -1"]);
    }

    #[test]
    fn offsets_that_go_back_are_flagged() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::None);
        commit(&mut judge, 1, 8, (3, 4), ErrorCode::None);
        assert_eq!(fetch(&mut judge, 5, (5, 6)), ["group g: 8 of t-0 was acknowledged, and it stands at 5"]);
        assert!(fetch(&mut judge, 5, (4, 6)).is_empty(), "it was asked for before that was known");
    }

    #[test]
    fn a_commit_that_was_seen_and_is_gone_is_flagged() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::None);
        let unheard = |judge: &mut Judge, offset, asked| {
            judge.committing("g", 1, None, &[(place(0), offset)], at(asked));
        };
        unheard(&mut judge, 8, 3);
        assert!(fetch(&mut judge, 5, (4, 5)).is_empty(), "nobody knows whether 8 was");
        assert!(fetch(&mut judge, 8, (6, 8)).is_empty());
        assert!(fetch(&mut judge, 5, (7, 8)).is_empty(), "it was asked for before that was known");
        assert!(fetch(&mut judge, 8, (9, 10)).is_empty());
        assert_eq!(fetch(&mut judge, 5, (11, 12)), ["group g: it was said to stand at 8 in t-0, and then at 5"]);
        unheard(&mut judge, 6, 13);
        assert!(fetch(&mut judge, 6, (14, 15)).is_empty(), "it may have come after");
    }

    #[test]
    fn what_an_earlier_life_acknowledged_is_not_forgotten() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (10, 20), ErrorCode::None);
        judge.restarted();
        assert!(fetch(&mut judge, 5, (1, 2)).is_empty());
        assert_eq!(fetch(&mut judge, -1, (3, 4)).len(), 1);
    }

    #[test]
    fn an_offset_that_nobody_committed_is_flagged() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::UnknownMemberId);
        assert_eq!(fetch(&mut judge, 5, (3, 4)), ["group g: nobody committed 5 of t-0"]);
    }

    #[test]
    fn what_nobody_knows_the_outcome_of_may_have_happened_or_not() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::None);
        commit(&mut judge, 1, 8, (3, 4), ErrorCode::NotCoordinator);
        assert!(fetch(&mut judge, 5, (5, 6)).is_empty());
        assert!(fetch(&mut judge, 8, (7, 8)).is_empty());
        commit(&mut judge, 1, 9, (9, 10), ErrorCode::None);
        assert!(fetch(&mut judge, 8, (11, 12)).is_empty(), "it may come late");
        commit(&mut judge, 2, 10, (13, 14), ErrorCode::None);
        assert_eq!(fetch(&mut judge, 8, (15, 16)).len(), 1, "but not after a later generation");
    }

    #[test]
    fn who_is_no_coordinator_any_more_may_be_behind() {
        let mut judge = judge(Kind::Classic);
        commit(&mut judge, 1, 5, (1, 2), ErrorCode::None);
        commit(&mut judge, 1, 8, (3, 4), ErrorCode::None);
        judge.fetched("g", &place(0), 5, Span { asked: at(5), heard: at(6) }, false);
        assert!(judge.take_violations().is_empty());
        judge.fetched("g", &place(0), 7, Span { asked: at(5), heard: at(6) }, false);
        assert_eq!(judge.take_violations().len(), 1, "but it invents nothing");
    }
}
