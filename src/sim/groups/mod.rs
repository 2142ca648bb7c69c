//! Groups of members under faults: they join, read, commit, leave, vanish, freeze and come back, and a [`judge`] hears what they were
//! told.
//!
//! A [`Plan`] says how many groups there are, of which protocol, with how many members. Each member has a slot, in which one process
//! after the other lives: of the classic protocol ([`classic`], around [`crate::client::group::member`]) or of KIP-848 ([`consumer`]).
//! When the faults are over every slot has a live process; then all partitions must be owned, and everything read and committed
//! ([`Groups::settle`]).
//!
//! *Does not know*: how many brokers there are: a [`Guide`] says where they are.

mod caller;
mod classic;
mod consumer;
pub mod judge;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use self::caller::Caller;
use self::judge::{Judge, Kind};
use super::client::Client;
use super::consumer::read_from;
use super::life::{Life, RECOVERY_PATIENCE};
use super::oracle::{Place, Violation};
use crate::machine::group::partition_for;
use crate::model::TopicName;
use crate::storage::disk::sim::Dice;

/// How long a read may take.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// Longer than any session, or any rebalance.
const LONGEST_SESSION: Duration = Duration::from_secs(6);

/// How often it is looked whether groups have settled.
const LOOK: Duration = Duration::from_millis(200);

/// Where brokers are, and who coordinates.
pub trait Guide {
    /// Connects to any broker, and says which one it is.
    fn anybody(&self) -> LocalBoxFuture<'_, Option<(DuplexStream, i32)>>;

    /// Connects to a broker.
    fn broker(&self, id: i32) -> LocalBoxFuture<'_, Option<DuplexStream>>;

    /// Who coordinates a group, under which leader epoch, as those know who decide it: perhaps earlier than the coordinator.
    fn tenure(&self, group: &str) -> Option<(i32, i32)>;
}

/// Commits that are on their way, for whoever wants to break something at that moment.
#[derive(Debug, Default)]
pub struct Commits {
    to: Cell<i32>,
    begun: Notify,
}

impl Commits {
    fn begins(&self, broker: i32) {
        self.to.set(broker);
        self.begun.notify_waiters();
    }

    /// Waits for the next commit; the broker that it goes to.
    pub async fn next(&self) -> i32 {
        self.begun.notified().await;
        self.to.get()
    }
}

/// What all members share.
pub(super) struct Surroundings {
    life: Rc<Life>,
    guide: Rc<dyn Guide>,
    judge: Rc<RefCell<Judge>>,
    commits: Rc<Commits>,
    /// Topics that all groups read, and how many partitions they have.
    topics: BTreeMap<String, i32>,
    /// From now on nobody leaves, freezes or dies.
    over: Cell<bool>,
    /// Everybody is to leave.
    finish: Cell<bool>,
}

impl Surroundings {
    /// Hands what the judge found to the oracle.
    fn report(&self) {
        let found = self.judge.borrow_mut().take_violations();
        found.into_iter().for_each(|wrong| self.life.violation(Violation::Other(wrong)));
    }

    fn places(&self) -> BTreeSet<Place> {
        let all = self.topics.iter();
        let all =
            all.flat_map(|(topic, count)| (0..*count).map(move |partition| Place { topic: topic.clone(), partition }));
        all.collect()
    }

    /// A member does nothing for a while. Whether it then goes on as what it was before: it does not know how long that was.
    async fn freeze(&self, slot: &Slot) -> bool {
        self.life.trace.note(format_args!("{} freezes", slot.name));
        let Habits { session_ms, outlived_percent, .. } = slot.habits;
        let millis = if self.life.percent(outlived_percent) {
            // The others hear of the rebalance with their next heartbeat, and join.
            session_ms + session_ms / 2 + self.life.below(2 * session_ms)
        } else {
            self.life.below(session_ms)
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.life.percent(70)
    }

    /// What happens to a member now.
    fn mishap(&self, habits: &Habits) -> Option<Mishap> {
        if self.over.get() || !self.life.percent(habits.mishaps_percent) {
            return None;
        }
        let pick = self.life.below(u64::try_from(habits.mishaps.len()).unwrap_or(0));
        habits.mishaps.get(usize::try_from(pick).unwrap_or(0)).copied()
    }
}

/// What may happen to a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// It leaves in good order.
    Leaves,
    /// It is gone, and does not say so.
    Dies,
    /// It does nothing for a while, and then goes on as if it had not.
    Freezes,
}

impl Mishap {
    const ALL: [Self; 3] = [Self::Leaves, Self::Dies, Self::Freezes];
}

/// How the members of a group are.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Which protocol.
    pub kind: Kind,
    /// Number of members, and how many of them are static.
    pub members: u64,
    /// See `members`.
    pub statics: u64,
    /// Silent for longer, a member counts as dead, in ms. Of the consumer protocol that is a setting of the brokers.
    pub session_ms: u64,
    /// How many of those who freeze do so until they count as dead, and others have had time to take over: what they then still believe to
    /// own is no longer theirs.
    pub outlived_percent: u64,
    /// How long it may take to join again, in ms.
    pub rebalance_ms: u64,
    /// How often it commits, in ms.
    pub commit_ms: u64,
    /// What happens to members.
    pub mishaps: Vec<Mishap>,
    /// How often something happens.
    pub mishaps_percent: u64,
}

/// The groups of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `offsets.topic.num.partitions`.
    pub partitions: u32,
    /// `offsets.topic.segment.bytes` is small, so that the topic is compacted all the time.
    pub compacted: bool,
    /// Of each group.
    pub groups: Vec<Habits>,
    /// Of the consumer protocol.
    session_ms: u64,
    /// `group.initial.rebalance.delay.ms`.
    delay_ms: u64,
}

impl Plan {
    /// The plan of a run: in most of them there are no groups.
    pub fn draw(dice: &mut Dice) -> Option<Self> {
        if !dice.percent(40) {
            return None;
        }
        let count = 1 + dice.below(2);
        let groups = (0..count).map(|_| Habits::draw(dice)).collect();
        let mut plan = Self {
            partitions: 1 + u32::try_from(dice.below(2)).unwrap_or(0),
            compacted: dice.percent(40),
            groups,
            session_ms: 1_500 + dice.below(3_000),
            delay_ms: dice.below(600),
        };
        for habits in plan.groups.iter_mut().filter(|habits| habits.kind == Kind::Consumer) {
            habits.session_ms = plan.session_ms;
        }
        Some(plan)
    }

    /// The partitions of `__consumer_offsets`.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let partitions = i32::try_from(self.partitions).unwrap_or(i32::MAX);
        let topic = TopicName::CONSUMER_OFFSETS;
        (0..partitions).map(move |partition| Place { topic: topic.to_owned(), partition })
    }

    /// `offsets.topic.segment.bytes`.
    #[must_use]
    pub const fn segment_bytes(&self) -> u32 {
        if self.compacted { 3_000 } else { 100 << 20 }
    }

    /// What brokers must be told.
    #[must_use]
    pub fn settings(&self, replication_factor: i16) -> String {
        let Self { partitions, session_ms, delay_ms, .. } = self;
        let cleaner =
            if self.compacted { "log.cleaner.backoff.ms=500\nlog.cleaner.min.cleanable.ratio=0.01\n" } else { "" };
        format!(
            "offsets.topic.num.partitions={partitions}\noffsets.topic.replication.factor={replication_factor}\n\
             group.min.session.timeout.ms=500\ngroup.initial.rebalance.delay.ms={delay_ms}\n\
             group.coordinator.rebalance.protocols=classic,consumer\n\
             group.consumer.min.session.timeout.ms=500\ngroup.consumer.session.timeout.ms={session_ms}\n\
             group.consumer.min.heartbeat.interval.ms=100\ngroup.consumer.heartbeat.interval.ms=300\n\
             offsets.topic.segment.bytes={}\n{cleaner}",
            self.segment_bytes()
        )
    }
}

impl Habits {
    fn draw(dice: &mut Dice) -> Self {
        let members = 1 + dice.below(3);
        let mishaps = Mishap::ALL.into_iter().filter(|_| dice.percent(70)).collect();
        Self {
            kind: if dice.percent(65) { Kind::Classic } else { Kind::Consumer },
            members,
            statics: if dice.percent(60) { 0 } else { dice.below(members + 1) },
            session_ms: 1_200 + dice.below(4_000),
            outlived_percent: dice.below(101),
            rebalance_ms: 1_500 + dice.below(3_000),
            commit_ms: 100 + dice.below(700),
            mishaps,
            mishaps_percent: 1 + dice.below(3),
        }
    }
}

/// Where a member stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Standing {
    /// Generation or member epoch.
    generation: i32,
    /// What it may read, and where it goes on; `None` while it does not know where.
    positions: BTreeMap<Place, Option<i64>>,
    /// What it committed.
    committed: BTreeMap<Place, i64>,
}

/// A member's place in a group.
struct Slot {
    group: String,
    name: String,
    /// The name of a static member.
    instance: Option<String>,
    habits: Habits,
    /// While it has an assignment.
    standing: RefCell<Option<Standing>>,
}

impl Slot {
    /// By which name the judge knows an owner.
    fn owner<'a>(&'a self, member_id: &'a str) -> &'a str {
        self.instance.as_deref().unwrap_or(member_id)
    }
}

/// All groups of a run.
pub struct Groups {
    around: Rc<Surroundings>,
    slots: Vec<Rc<Slot>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Groups {
    /// The members begin. What the judge heard in an earlier life of the broker holds.
    #[must_use]
    pub fn start(
        life: &Rc<Life>,
        guide: Rc<dyn Guide>,
        judge: Rc<RefCell<Judge>>,
        plan: &Plan,
        topics: BTreeMap<String, i32>,
    ) -> Self {
        let around = Rc::new(Surroundings {
            life: Rc::clone(life),
            guide,
            judge,
            commits: Rc::default(),
            topics,
            over: Cell::new(false),
            finish: Cell::new(false),
        });
        let (mut slots, mut tasks) = (Vec::new(), Vec::new());
        for (number, habits) in plan.groups.iter().enumerate() {
            let group = format!("group-{number}");
            around.judge.borrow_mut().created(&group, habits.kind);
            for member in 0..habits.members {
                let name = format!("{group}-{member}");
                let instance =
                    (member < habits.statics && habits.kind == Kind::Classic).then(|| format!("static-{name}"));
                let habits = habits.clone();
                let slot = Rc::new(Slot { group: group.clone(), name, instance, habits, standing: RefCell::default() });
                slots.push(Rc::clone(&slot));
                tasks.push(tokio::task::spawn_local(live(Rc::clone(&around), slot)));
            }
        }
        Self { around, slots, tasks }
    }

    /// Commits that are on their way.
    #[must_use]
    pub fn commits(&self) -> Rc<Commits> {
        Rc::clone(&self.around.commits)
    }

    /// From now on nobody leaves, freezes or dies.
    pub fn calm_down(&self) {
        self.around.over.set(true);
    }

    /// Nothing goes wrong and nobody writes any more: every group owns all partitions, and has read and committed all that there is, in
    /// time. Then everybody leaves, and the groups are asked once more where they stand.
    pub async fn settle(&mut self) {
        self.calm_down();
        let whole = tokio::time::timeout(RECOVERY_PATIENCE, async {
            while !self.names().into_iter().all(|group| self.unsettled(group).is_none()) {
                tokio::time::sleep(LOOK).await;
            }
        });
        if whole.await.is_err() {
            for wrong in self.names().into_iter().filter_map(|group| self.unsettled(group)) {
                self.around.life.violation(Violation::Other(wrong));
            }
        }
        self.around.finish.set(true);
        let left = tokio::time::timeout(RECOVERY_PATIENCE, async {
            for task in std::mem::take(&mut self.tasks) {
                // A task that panicked is counted as such.
                let _ = task.await;
            }
        });
        if left.await.is_err() {
            self.around.life.violation(Violation::Other("members cannot leave their groups".to_owned()));
        }
        for group in self.names() {
            let audited = tokio::time::timeout(RECOVERY_PATIENCE, async {
                while !self.says_where(group).await {
                    tokio::time::sleep(LOOK).await;
                }
            });
            if audited.await.is_err() {
                let wrong = format!("group {group}: nobody says where it stands");
                self.around.life.violation(Violation::Other(wrong));
            }
        }
        // The coordinators write a last time when those are missed who did not say that they go.
        tokio::time::sleep(LONGEST_SESSION.saturating_add(LONGEST_SESSION)).await;
        let judge = self.around.judge.borrow();
        self.around.life.trace.note(format_args!(
            "groups: {} commits acknowledged, {} assignments",
            judge.acknowledged, judge.assignments
        ));
    }

    /// Asks where a group stands; the judge hears of it. Whether somebody said so.
    pub async fn says_where(&self, group: &str) -> bool {
        let places = self.around.places().into_iter().collect::<Vec<_>>();
        let mut caller = Caller::new(Rc::clone(&self.around), group.to_owned(), "auditor".to_owned());
        caller.committed(&places, None).await.is_some()
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.slots.iter().map(|slot| slot.group.as_str()).collect()
    }

    /// Why a group does not work as it should.
    fn unsettled(&self, group: &str) -> Option<String> {
        let wrong = |what: String| Some(format!("group {group} does not come to rest: {what}"));
        let mut left = self.around.places();
        let mut generations = BTreeSet::new();
        for slot in self.slots.iter().filter(|slot| slot.group == group) {
            let standing = slot.standing.borrow();
            let Some(standing) = &*standing else { return wrong(format!("{} is no member", slot.name)) };
            generations.extend((slot.habits.kind == Kind::Classic).then_some(standing.generation));
            for (place, position) in &standing.positions {
                if !left.remove(place) {
                    return wrong(format!("{place} has two owners"));
                }
                let end = self.around.life.oracle.borrow().end(place);
                let committed = standing.committed.get(place).copied();
                let is_done = position.is_some_and(|position| end <= position) && end <= committed.unwrap_or(0);
                if !is_done {
                    return wrong(format!(
                        "{} reads {place} at {position:?}, committed {committed:?}, and it ends at {end}",
                        slot.name
                    ));
                }
            }
        }
        if 1 < generations.len() {
            return wrong(format!("its members are in generations {generations:?}"));
        }
        let unowned = left.first()?;
        wrong(format!("nobody owns {unowned}"))
    }
}

/// The end of a process that freezes and is taken for dead.
const REPLACED: &str = "freezes, and another one is started for it";

/// One process after the other in a slot.
async fn live(around: Rc<Surroundings>, slot: Rc<Slot>) {
    let mut number = 0_u64;
    while !around.finish.get() {
        number += 1;
        let name = format!("{}.{number}", slot.name);
        around.life.trace.note(format_args!("{name} begins"));
        let how = match slot.habits.kind {
            Kind::Classic => classic::process(&around, &slot, name.clone()).await,
            Kind::Consumer => consumer::process(&around, &slot, name.clone()).await,
        };
        around.life.trace.note(format_args!("{name} {how}"));
        *slot.standing.borrow_mut() = None;
        let away = match how {
            _ if around.over.get() => 100,
            // Within the session, so that it takes its place without a rebalance.
            REPLACED => slot.habits.session_ms / 4,
            _ => 2 * slot.habits.session_ms,
        };
        around.life.pause(away).await;
    }
}

/// Reads on in the partitions of a member; what it has read by then.
struct Reader {
    around: Rc<Surroundings>,
    name: String,
    clients: BTreeMap<Place, Client>,
}

impl Reader {
    fn new(around: &Rc<Surroundings>, name: &str) -> Self {
        Self { around: Rc::clone(around), name: name.to_owned(), clients: BTreeMap::new() }
    }

    /// Where a partition goes on after reading a little from `position`; `None` when there was nothing to be read.
    async fn read(&mut self, place: &Place, position: i64) -> Option<i64> {
        let read = tokio::time::timeout(READ_PATIENCE, async {
            if !self.clients.contains_key(place) {
                let (stream, broker) = self.around.life.way.connect(Some(place)).await?;
                let client = Client::new(stream, &self.around.life.trace, &self.name).with(broker);
                self.clients.insert(place.clone(), client);
            }
            read_from(self.clients.get_mut(place)?, place, position).await.ok()
        });
        let read = read.await.ok().flatten();
        if read.is_none() {
            self.clients.remove(place);
        }
        read.filter(|next| position < *next)
    }
}

/// The partition of `__consumer_offsets` that a group is kept in.
#[must_use]
pub fn place_of(group: &str, partitions: u32) -> Place {
    let partition = i32::try_from(partition_for(group, partitions)).unwrap_or(0);
    Place { topic: TopicName::CONSUMER_OFFSETS.to_owned(), partition }
}
