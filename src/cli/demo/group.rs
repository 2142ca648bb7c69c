//! A group of the demo: what it does with views, how far it is, and who its members are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::archive::Archive;
use super::ledger::{Ledger, MemberId, NotHeld, Read};
use super::results::{Counted, Totals, Words, add_to};
use super::verdict::{GroupVerdict, Of, Sent};
use crate::model::Moment;

/// What a group makes of views. In a real system these are tables of a database, or files: here two are in the demo's own memory.
pub(super) enum Results {
    Pages(Totals),
    Words(Words),
    Files(Archive),
}

pub(super) enum MemberState {
    /// Knows of no partition yet.
    Joining,
    Reading,
    Leaving,
    /// Killed at this moment, without a word to the group.
    Killed(Moment),
}

pub(super) struct Member {
    pub(super) state: MemberState,
    pub(super) partitions: BTreeSet<i32>,
    /// Asks it to leave.
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) task: Option<AbortHandle>,
}

impl Member {
    pub(super) const fn is_running(&self) -> bool {
        match self.state {
            MemberState::Joining | MemberState::Reading => true,
            MemberState::Leaving | MemberState::Killed(_) => false,
        }
    }
}

pub(super) struct Group {
    /// What it is called on the screen.
    pub(super) name: &'static str,
    /// What it is called on the brokers.
    pub(super) id: String,
    pub(super) ledger: Ledger,
    pub(super) results: Results,
    pub(super) counted: Counted,
    /// Records that are no views of this run.
    pub(super) strangers: u64,
    /// Results of members that had lost the partition.
    pub(super) refused: u64,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) members_ever: MemberId,
}

impl Group {
    pub(super) fn new(name: &'static str, topic: &str, results: Results) -> Self {
        Self {
            name,
            id: format!("{topic}-{name}"),
            ledger: Ledger::default(),
            results,
            counted: Counted::default(),
            strangers: 0,
            refused: 0,
            members: BTreeMap::new(),
            members_ever: 0,
        }
    }

    /// A member got a partition. Where it has to go on.
    pub(super) fn take(&mut self, partition: i32, member: MemberId) -> io::Result<i64> {
        self.ledger.take(partition, member);
        if let Results::Files(archive) = &mut self.results {
            let next = archive.resume(partition)?;
            self.ledger.go_on_at(partition, next);
        }
        Ok(self.ledger.next(partition))
    }

    /// Counts what a member has read: results and offset in one step.
    pub(super) fn store(
        &mut self,
        partition: i32,
        member: MemberId,
        reads: Vec<Read>,
        next: i64,
        issued: u64,
    ) -> io::Result<Result<(), NotHeld>> {
        let mut fresh = match self.ledger.accept(partition, member, reads, next) {
            Ok(fresh) => fresh,
            Err(NotHeld) => {
                self.refused += 1;
                return Ok(Err(NotHeld));
            }
        };
        let before = fresh.len();
        fresh.retain(|read| read.view.as_ref().is_some_and(|view| view.number < issued));
        self.strangers += u64::try_from(before - fresh.len()).unwrap_or(0);
        if let Results::Files(archive) = &mut self.results {
            archive.write(partition, &fresh)?;
        }
        for view in fresh.iter().filter_map(|read| read.view.as_ref()) {
            self.counted.add(view.number);
            match &mut self.results {
                Results::Pages(pages) => add_to(pages, &view.page),
                Results::Words(words) => words.add(view),
                Results::Files(_) => {}
            }
        }
        Ok(Ok(()))
    }

    /// Whether every acknowledged view is counted.
    pub(super) fn has_all(&self, sent: &Sent) -> bool {
        sent.acknowledged.without(&self.counted.views).next().is_none()
    }

    pub(super) fn running(&self) -> usize {
        self.members.values().filter(|member| member.is_running()).count()
    }

    /// Of the running members the one that was there first.
    pub(super) fn eldest(&self) -> Option<MemberId> {
        self.members.iter().find(|(_, member)| member.is_running()).map(|(id, _)| *id)
    }

    /// What is to be said of it at the end. The files are read for that.
    pub(super) fn verdict(&self, sent: &Sent) -> io::Result<GroupVerdict> {
        Ok(match &self.results {
            Results::Pages(pages) => GroupVerdict::new(self.name, sent, &self.counted, Of::Pages, pages),
            Results::Words(words) => GroupVerdict::new(self.name, sent, &self.counted, Of::Words, &words.totals),
            Results::Files(archive) => {
                let loaded = archive.read_back(sent.issued)?;
                let mut verdict = GroupVerdict::new(self.name, sent, &loaded.counted, Of::Pages, &loaded.pages);
                if 0 < loaded.strange {
                    verdict.object(format!("{} lines of the files are no views of this run", loaded.strange));
                }
                if 0 < loaded.misplaced {
                    verdict.object(format!("{} views lie in the file of another hour", loaded.misplaced));
                }
                verdict
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::demo::views::Generator;
    use crate::model::Timestamp;
    use crate::storage::disk::os::OsDisk;

    fn groups(dir: &std::path::Path) -> Vec<Group> {
        vec![
            Group::new("pages", "t", Results::Pages(Totals::new())),
            Group::new("words", "t", Results::Words(Words::new(1_000))),
            Group::new("files", "t", Results::Files(Archive::new(Arc::new(OsDisk), dir.to_owned()))),
        ]
    }

    /// A partition's records, and what was sent.
    fn stream(views: u64) -> (Vec<Read>, Sent) {
        let (mut generator, mut sent) = (Generator::new(9), Sent::default());
        let mut reads = Vec::new();
        for number in 0..views {
            let view = generator.next(Timestamp(i64::try_from(number).unwrap() * 60_000));
            sent.issue(&view);
            sent.acknowledge(&view);
            reads.push(Read { offset: i64::try_from(number).unwrap(), view: Some(view) });
        }
        (reads, sent)
    }

    #[test]
    fn members_that_die_and_members_that_come_too_late_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (reads, sent) = stream(300);
        for mut group in groups(dir.path()) {
            assert_eq!(group.take(0, 1).unwrap(), 0);
            assert_eq!(group.store(0, 1, reads[..100].to_vec(), 100, 300).unwrap(), Ok(()));
            // Member 1 reads on, and is thought dead. Member 2 gets the partition, then member 1 comes back.
            assert_eq!(group.take(0, 2).unwrap(), 100, "{}", group.name);
            assert_eq!(group.store(0, 1, reads[100..200].to_vec(), 200, 300).unwrap(), Err(NotHeld));
            assert_eq!(group.store(0, 2, reads[90..300].to_vec(), 300, 300).unwrap(), Ok(()));
            assert!(group.has_all(&sent));
            let verdict = group.verdict(&sent).unwrap();
            assert!(verdict.holds, "{verdict:?}");
            assert_eq!((verdict.counted, group.refused), (300, 1));
        }
    }

    #[test]
    fn the_check_finds_what_a_group_left_out_or_was_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (reads, sent) = stream(50);
        for mut group in groups(dir.path()) {
            group.take(0, 1).unwrap();
            let lost = reads.iter().filter(|read| read.offset != 17).cloned().collect();
            assert_eq!(group.store(0, 1, lost, 50, 50).unwrap(), Ok(()));
            assert!(!group.has_all(&sent));
            let verdict = group.verdict(&sent).unwrap();
            assert_eq!((verdict.holds, verdict.missing), (false, 1), "{}", group.name);
            // The log has a record twice, as without idempotent producers.
            let again = [16, 17].map(|at: usize| Read { offset: reads[at].offset + 100, ..reads[at].clone() });
            assert_eq!(group.store(0, 1, again.to_vec(), 200, 50).unwrap(), Ok(()));
            let verdict = group.verdict(&sent).unwrap();
            assert_eq!((verdict.holds, verdict.missing, verdict.again), (false, 0, 1), "{}", group.name);
        }
    }

    #[test]
    fn what_others_write_into_the_topic_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (mut reads, sent) = stream(20);
        for mut group in groups(dir.path()) {
            group.take(0, 1).unwrap();
            reads.push(Read { offset: 20, view: None });
            assert_eq!(group.store(0, 1, reads.clone(), 21, 20).unwrap(), Ok(()));
            assert!(group.verdict(&sent).unwrap().holds);
            assert_eq!(group.strangers, 1);
            reads.pop();
        }
    }
}
