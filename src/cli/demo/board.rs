//! What is shown at one moment: on the screen, as a line, or as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::group::{Group, MemberState, Results};
use super::results::{Rise, top};
use super::stage::Stage;

/// Results that are shown of a group.
const RESULTS_MAX: usize = 8;

/// What the demo is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Views flow in.
    Flowing,
    /// No more come; groups count what is left.
    Draining,
    /// Members leave.
    Ending,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Board {
    pub(super) seconds: f64,
    pub(super) phase: Phase,
    pub(super) topic: String,
    pub(super) acknowledged: u64,
    /// Acknowledged a second.
    pub(super) rate: f64,
    pub(super) partitions: Vec<PartitionRow>,
    pub(super) groups: Vec<GroupPanel>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct PartitionRow {
    pub(super) partition: i32,
    /// The id of the broker that leads it.
    pub(super) leader: Option<i32>,
    /// One past the last acknowledged offset.
    pub(super) end: i64,
    /// In the order of the groups.
    pub(super) readers: Vec<Reader>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Reader {
    /// Which member has it; nobody while it moves.
    pub(super) member: Option<String>,
    /// Whether that member was killed, and the group does not know it yet.
    pub(super) killed: bool,
    pub(super) lag: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct GroupPanel {
    pub(super) name: &'static str,
    pub(super) group: String,
    pub(super) members: Vec<MemberRow>,
    pub(super) counted: u64,
    /// Counted a second.
    pub(super) rate: f64,
    pub(super) lag: i64,
    pub(super) results: Shown,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct MemberRow {
    pub(super) member: String,
    pub(super) state: &'static str,
    pub(super) partitions: Vec<i32>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shown {
    /// The pages that were seen most.
    Pages(Vec<(String, u64)>),
    /// The words that rise.
    Rising(Vec<Rise>),
    /// How many files are open, and where.
    Files { dir: String, files: usize },
}

impl Board {
    pub(super) fn of(stage: &Stage, phase: Phase) -> Self {
        let groups = stage.groups.borrow();
        let meters = stage.meters.borrow();
        let rate = |index: usize| meters.get(index).map_or(0.0, super::meter::Meter::rate);
        let (ends, leaders) = (stage.ends.borrow(), stage.leaders.borrow());
        let rows = (0..).zip(leaders.iter()).map(|(partition, leader)| {
            let end = ends.get(&partition).copied().unwrap_or(0);
            let readers = groups.iter().map(|group| reader(group, partition, end)).collect();
            PartitionRow { partition, leader: *leader, end, readers }
        });
        let rows = rows.collect::<Vec<_>>();
        let panels = groups.iter().enumerate().map(|(index, group)| {
            let lags = rows.iter().filter_map(|row| row.readers.get(index)).map(|reader| reader.lag);
            panel(group, rate(index + 1), lags.sum())
        });
        Self {
            seconds: stage.age().as_secs_f64(),
            phase,
            topic: stage.topic.clone(),
            acknowledged: stage.sent.borrow().acknowledged.count(),
            rate: rate(0),
            groups: panels.collect(),
            partitions: rows,
        }
    }

    /// Partitions by the broker that leads them.
    pub(super) fn leaders(&self) -> BTreeMap<Option<i32>, usize> {
        let mut leaders = BTreeMap::new();
        self.partitions.iter().for_each(|row| *leaders.entry(row.leader).or_default() += 1);
        leaders
    }
}

fn reader(group: &Group, partition: i32, end: i64) -> Reader {
    let holder = group.ledger.holder(partition);
    let member = holder.and_then(|id| group.members.get(&id));
    Reader {
        member: holder.map(|id| format!("{}-{id}", group.name)),
        killed: holder.is_some() && member.is_none_or(|member| matches!(member.state, MemberState::Killed(_))),
        lag: (end - group.ledger.next(partition)).max(0),
    }
}

fn panel(group: &Group, rate: f64, lag: i64) -> GroupPanel {
    let members = group.members.iter().map(|(id, member)| MemberRow {
        member: format!("{}-{id}", group.name),
        state: match member.state {
            MemberState::Joining => "joins",
            MemberState::Reading => "reads",
            MemberState::Leaving => "leaves",
            MemberState::Killed(_) => "killed",
        },
        partitions: member.partitions.iter().copied().collect(),
    });
    let results = match &group.results {
        Results::Pages(pages) => {
            Shown::Pages(top(pages, RESULTS_MAX).into_iter().map(|(page, views)| (page.to_owned(), views)).collect())
        }
        Results::Words(words) => Shown::Rising(words.rising(RESULTS_MAX)),
        Results::Files(archive) => Shown::Files { dir: archive.dir().display().to_string(), files: archive.files() },
    };
    GroupPanel {
        name: group.name,
        group: group.id.clone(),
        members: members.collect(),
        counted: group.counted.views.count(),
        rate,
        lag,
        results,
    }
}
