//! What the parts of the demo share: groups with their members, what was sent, and what happened.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::group::{Group, Member, MemberState};
use super::ledger::MemberId;
use super::member;
use super::meter::Meter;
use super::verdict::Sent;
use crate::cli::failure::Failure;
use crate::client::config::ConsumerConfig;
use crate::model::{Clock, Moment};

/// What happened that is kept to be shown.
const NEWS_MAX: usize = 100;
/// How long a group takes to notice that a member was killed. Kafka's `group.min.session.timeout.ms` allows no less.
const SESSION: Duration = Duration::from_millis(6_000);
const HEARTBEAT: Duration = Duration::from_millis(1_000);
/// How long a killed member is still shown.
const KILLED_SHOWN: Duration = Duration::from_secs(10);

/// Something that happened, for a person.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub(super) struct News {
    /// How many have been told before it.
    pub(super) number: u64,
    #[serde(rename = "ms")]
    pub(super) since_start: u128,
    pub(super) text: String,
}

pub(super) struct Stage {
    pub(super) clock: Rc<dyn Clock>,
    pub(super) topic: String,
    pub(super) groups: RefCell<Vec<Group>>,
    pub(super) sent: RefCell<Sent>,
    /// Per partition one past the last acknowledged offset.
    pub(super) ends: RefCell<BTreeMap<i32, i64>>,
    /// Per partition who leads it; `None` while nobody does.
    pub(super) leaders: RefCell<Vec<Option<i32>>>,
    pub(super) meters: RefCell<Vec<Meter>>,
    news: RefCell<VecDeque<News>>,
    news_ever: RefCell<u64>,
    began: Moment,
    /// What members' clients are told, before what makes them members.
    settings: Vec<(String, String)>,
}

impl Stage {
    pub(super) fn new(
        clock: Rc<dyn Clock>,
        topic: String,
        partitions: usize,
        groups: Vec<Group>,
        settings: Vec<(String, String)>,
    ) -> Self {
        Self {
            began: clock.moment(),
            clock,
            topic,
            meters: RefCell::new(std::iter::repeat_with(Meter::default).take(groups.len() + 1).collect()),
            groups: RefCell::new(groups),
            sent: RefCell::default(),
            ends: RefCell::default(),
            leaders: RefCell::new(vec![None; partitions]),
            news: RefCell::default(),
            news_ever: RefCell::default(),
            settings,
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.clock.moment().since(self.began)
    }

    pub(super) fn say(&self, text: String) {
        let mut news = self.news.borrow_mut();
        let mut ever = self.news_ever.borrow_mut();
        news.push_back(News { number: *ever, since_start: self.age().as_millis(), text });
        *ever += 1;
        if NEWS_MAX < news.len() {
            news.pop_front();
        }
    }

    /// What happened from this number on, as far as it is kept.
    pub(super) fn news_from(&self, number: u64) -> Vec<News> {
        self.news.borrow().iter().filter(|news| number <= news.number).cloned().collect()
    }

    /// A member more.
    pub(super) fn add_member(self: &Rc<Self>, group: usize) -> Result<(), Failure> {
        let mut groups = self.groups.borrow_mut();
        let Some(it) = groups.get_mut(group) else { return Ok(()) };
        it.members_ever += 1;
        let id = it.members_ever;
        let config = self.config(it, id)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::task::spawn_local(member::run(Rc::clone(self), group, id, config, stopped));
        let member = Member {
            state: MemberState::Joining,
            partitions: BTreeSet::new(),
            stop: Some(stop),
            task: Some(task.abort_handle()),
        };
        it.members.insert(id, member);
        self.say(format!("{}-{id} joins", it.name));
        Ok(())
    }

    fn config(&self, group: &Group, member: MemberId) -> Result<ConsumerConfig, Failure> {
        let own = [
            ("client.id", format!("{}-{member}", group.id)),
            ("group.id", group.id.clone()),
            ("auto.offset.reset", "earliest".to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", SESSION.as_millis().to_string()),
            ("heartbeat.interval.ms", HEARTBEAT.as_millis().to_string()),
            ("default.api.timeout.ms", "30000".to_owned()),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value));
        let settings = self.settings.iter().filter(|(key, _)| key != "client.id").cloned().chain(own);
        ConsumerConfig::new(settings).map_err(Failure::new)
    }

    /// Ends a member as `kill -9` ends a process: it stores nothing any more, commits nothing, and leaves without a word.
    pub(super) fn kill_member(&self, group: usize) {
        let mut groups = self.groups.borrow_mut();
        let Some(it) = groups.get_mut(group) else { return };
        let Some(id) = it.eldest() else {
            self.say(format!("{} has no member to kill", it.name));
            return;
        };
        let Some(member) = it.members.get_mut(&id) else { return };
        if let Some(task) = member.task.take() {
            task.abort();
        }
        member.stop = None;
        member.state = MemberState::Killed(self.clock.moment());
        self.say(format!("{}-{id} is killed; the group notices in {} s", it.name, SESSION.as_secs()));
    }

    /// Asks all members to leave in good order.
    pub(super) fn dismiss_all(&self) {
        for member in self.groups.borrow_mut().iter_mut().flat_map(|group| group.members.values_mut()) {
            if let Some(stop) = member.stop.take() {
                // One that has just failed hears nothing any more.
                let _ = stop.send(());
                member.state = MemberState::Leaving;
            }
        }
    }

    pub(super) fn nobody_is_left(&self) -> bool {
        let groups = self.groups.borrow();
        groups
            .iter()
            .flat_map(|group| group.members.values())
            .all(|member| matches!(member.state, MemberState::Killed(_)))
    }

    /// Shows no more who was killed long ago, and measures.
    pub(super) fn tick(&self) {
        let now = self.clock.moment();
        let mut groups = self.groups.borrow_mut();
        let mut meters = self.meters.borrow_mut();
        let mut meters = meters.iter_mut();
        if let Some(meter) = meters.next() {
            meter.see(now, self.sent.borrow().acknowledged.count());
        }
        for (group, meter) in groups.iter_mut().zip(meters) {
            meter.see(now, group.counted.views.count());
            group.members.retain(|_, member| match member.state {
                MemberState::Killed(at) => now.since(at) < KILLED_SHOWN,
                MemberState::Joining | MemberState::Reading | MemberState::Leaving => true,
            });
        }
    }

    /// Whether every group has counted all that was acknowledged.
    pub(super) fn all_counted(&self) -> bool {
        let sent = self.sent.borrow();
        self.groups.borrow().iter().all(|group| group.has_all(&sent))
    }

    /// How much was counted by all groups.
    pub(super) fn counted(&self) -> u64 {
        self.groups.borrow().iter().map(|group| group.counted.views.count()).sum()
    }
}
