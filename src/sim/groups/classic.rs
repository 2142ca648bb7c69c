//! A process that is a member of a classic group: [`Member`] decides, and this performs what it wants, reads, and has mishaps.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::super::oracle::Place;
use super::{Caller, Mishap, REPLACED, Reader, Slot, Standing, Surroundings};
use crate::client::config::{AssignorName, GroupProtocol};
use crate::client::group::member::{Answer, Asked, Effect, Event, Member, MemberSettings, Subscription};
use crate::client::{BackOff, BrokerAddress, ClientError};
use crate::model::{ErrorCode, Offset};
use crate::wire::Str;
use crate::wire::consumer_protocol::{Assignment, from_bytes};
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::{OffsetCommitRequest, SyncGroupResponse};

const JOIN_GROUP: i16 = 9;
const SYNC_GROUP: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE_GROUP: i16 = 4;

/// How long a request may take that waits for nobody else.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one may take that waits for others, beyond what they may take: the empty group's wait, and a flush.
const AND_ALSO: Duration = Duration::from_secs(7);

/// How long a member puts up with errors that pass.
const MEMBER_PATIENCE: Duration = Duration::from_secs(60);

/// How often a leader looks whether topics have other numbers of partitions: never, as they do not change here.
const LOOK_INTERVAL: Duration = Duration::from_secs(300);

/// How often a process commits that was taken for dead and replaced.
const COMMITS_OF_A_GHOST: usize = 4;

/// One process of a member; how it ended.
pub(super) async fn process(around: &Rc<Surroundings>, slot: &Slot, name: String) -> &'static str {
    let topics = around.topics.keys().map(|topic| Str::from(topic.as_str())).collect();
    let habits = &slot.habits;
    let settings = MemberSettings {
        group: slot.group.as_str().into(),
        instance: slot.instance.as_deref().map(Str::from),
        subscription: Subscription::Names(topics),
        protocol: GroupProtocol::Classic,
        rack: None,
        assignors: vec![AssignorName::Range],
        session_timeout: Duration::from_millis(habits.session_ms),
        poll_interval_max: Duration::from_millis(habits.rebalance_ms),
        heartbeat_interval: Duration::from_millis(habits.session_ms / 5),
        commit_interval: Some(Duration::from_millis(habits.commit_ms)),
        look_interval: LOOK_INTERVAL,
        back_off: BackOff::new(),
        patience: MEMBER_PATIENCE,
    };
    let mut process = Process {
        around,
        slot,
        member: Member::new(settings, around.life.now()),
        caller: Caller::new(Rc::clone(around), slot.group.clone(), name.clone()),
        reader: Reader::new(around, &name),
        id: Str::default(),
        generation: -1,
        effects: Vec::new(),
    };
    process.run().await
}

struct Process<'a> {
    around: &'a Rc<Surroundings>,
    slot: &'a Slot,
    member: Member,
    caller: Caller,
    reader: Reader,
    /// As the coordinator said.
    id: Str,
    generation: i32,
    effects: Vec<Effect>,
}

impl Process<'_> {
    async fn run(&mut self) -> &'static str {
        self.step(Event::Tick);
        let mut leaving = false;
        loop {
            let mut asked = None;
            while !self.effects.is_empty() {
                for effect in std::mem::take(&mut self.effects) {
                    match effect {
                        Effect::Ask(what) => asked = Some(what),
                        Effect::ForgetCoordinator => self.caller.forget(),
                        Effect::Assigned(partitions) => self.assigned(&partitions),
                        Effect::Revoked(_) => {
                            *self.slot.standing.borrow_mut() = None;
                            self.step(Event::Released);
                        }
                        Effect::Lost(_) => *self.slot.standing.borrow_mut() = None,
                        Effect::Committed(..) => {}
                        Effect::Left => return "has left",
                        Effect::Failed(_) => return "fails",
                    }
                }
            }
            let mishap = self.around.mishap(&self.slot.habits).filter(|_| !leaving);
            if mishap == Some(Mishap::Dies) {
                if let Some(asked) = asked {
                    // What it asked last may take effect after it is gone.
                    let moment = Duration::from_millis(self.around.life.below(12));
                    let _unheard = tokio::time::timeout(moment, self.perform(asked)).await;
                }
                return "dies";
            }
            if let Some(asked) = asked {
                if mishap == Some(Mishap::Freezes) {
                    // What it was about to say it says late.
                    self.around.freeze(self.slot).await;
                }
                let answer = self.perform(asked).await;
                self.step(Event::Answered(answer));
                continue;
            }
            if mishap == Some(Mishap::Leaves) || self.around.finish.get() && !leaving {
                leaving = true;
                if self.slot.instance.is_some() {
                    // Static members come back, and do not say that they go.
                    return "goes";
                }
                self.step(Event::Leave);
                continue;
            }
            if mishap == Some(Mishap::Freezes) {
                if self.slot.instance.is_some() && self.around.life.percent(80) {
                    self.haunt();
                    return REPLACED;
                }
                self.freeze().await;
            }
            self.step(Event::Polled);
            self.read().await;
            self.step(Event::Tick);
        }
    }

    fn step(&mut self, event: Event) {
        self.member.step(self.around.life.now(), event, &mut self.effects);
    }

    fn assigned(&self, partitions: &[(Str, i32)]) {
        let places =
            partitions.iter().map(|(topic, partition)| Place { topic: topic.to_string(), partition: *partition });
        let positions = places.map(|place| (place, None)).collect();
        let standing = Standing { generation: self.generation, positions, committed: BTreeMap::new() };
        *self.slot.standing.borrow_mut() = Some(standing);
    }

    /// It does nothing for a while, and then may commit as what it was before.
    async fn freeze(&mut self) {
        if self.around.freeze(self.slot).await
            && let Some(request) = self.stale_commit()
        {
            let _answer = self.caller.commit(&request).await;
        }
    }

    /// It does nothing for a while, during which another process begins in its name, and then commits as what it was before, time and
    /// again.
    fn haunt(&self) {
        let Some(request) = self.stale_commit() else { return };
        let around = Rc::clone(self.around);
        let name = format!("{} before", self.slot.name);
        let mut caller = Caller::new(Rc::clone(&around), self.slot.group.clone(), name);
        let session_ms = self.slot.habits.session_ms;
        tokio::task::spawn_local(async move {
            for _ in 0..COMMITS_OF_A_GHOST {
                around.life.pause(session_ms).await;
                let _answer = caller.commit(&request).await;
            }
        });
    }

    /// The commit of where it stands, in the generation that it knows; `None` where it does not know.
    fn stale_commit(&self) -> Option<OffsetCommitRequest> {
        let standing = self.slot.standing.borrow().clone()?;
        let mut topics = BTreeMap::<&str, Vec<OffsetCommitRequestPartition>>::new();
        for (place, position) in standing.positions.iter().filter_map(|(place, position)| Some((place, (*position)?))) {
            topics.entry(&place.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: place.partition,
                committed_offset: position,
                committed_metadata: Some(Str::default()),
                ..Default::default()
            });
        }
        let topics = topics.into_iter();
        let topics = topics.map(|(name, partitions)| OffsetCommitRequestTopic { name: name.into(), partitions });
        let topics = topics.collect::<Vec<_>>();
        (!topics.is_empty()).then(|| OffsetCommitRequest {
            group_id: self.slot.group.as_str().into(),
            generation_id_or_member_epoch: standing.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance(),
            topics,
            ..Default::default()
        })
    }

    fn instance(&self) -> Option<Str> {
        self.slot.instance.as_deref().map(Str::from)
    }

    /// Reads a little of what it may, or waits for what comes next.
    async fn read(&mut self) {
        let life = &self.around.life;
        let standing = self.slot.standing.borrow().clone();
        if let Some(standing) = standing {
            let unknown = standing.positions.iter().filter(|(_, position)| position.is_none());
            let unknown = unknown.map(|(place, _)| place.clone()).collect::<Vec<_>>();
            if !unknown.is_empty()
                && let Some(found) = self.caller.committed(&unknown, None).await
            {
                self.note(|standing| {
                    standing
                        .positions
                        .extend(found.iter().map(|(place, offset)| (place.clone(), Some((*offset).max(0)))));
                    standing.committed.extend(found);
                });
            }
            let known = standing.positions.iter().filter_map(|(place, position)| Some((place, (*position)?)));
            let known = known.collect::<Vec<_>>();
            let pick = usize::try_from(life.below(u64::try_from(known.len()).unwrap_or(0))).unwrap_or(0);
            if let Some((place, position)) = known.get(pick)
                && let Some(next) = self.reader.read(place, *position).await
            {
                self.note(|standing| standing.positions.extend([((*place).clone(), Some(next))]));
                self.step(Event::Read((place.topic.as_str().into(), place.partition), Offset(next)));
            }
        }
        let now = life.now();
        let left = self.member.next_deadline().map_or(Duration::from_millis(50), |at| at.since(now));
        let pause = Duration::from_millis(1 + life.below(150));
        tokio::time::sleep(left.min(pause)).await;
    }

    /// Changes where it stands, if it still has an assignment.
    fn note(&self, change: impl FnOnce(&mut Standing)) {
        if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
            change(standing);
        }
    }

    async fn perform(&mut self, asked: Asked) -> Result<Answer, ClientError> {
        let patient = Duration::from_millis(self.slot.habits.rebalance_ms).saturating_add(AND_ALSO);
        let answer = match asked {
            Asked::Join(request) => {
                let answer = self.caller.ask(JOIN_GROUP, &request, patient).await;
                if let Some(joined) = answer.as_ref().filter(|it| it.error_code == ErrorCode::None) {
                    (self.id, self.generation) = (joined.member_id.clone(), joined.generation_id);
                }
                answer.map(Answer::Join)
            }
            Asked::Sync(request) => {
                let answer = self.caller.ask(SYNC_GROUP, &request, patient).await;
                answer.iter().for_each(|synced| self.synced(synced));
                answer.map(Answer::Sync)
            }
            Asked::Heartbeat(request) => self.caller.ask(HEARTBEAT, &request, PATIENCE).await.map(Answer::Heartbeat),
            Asked::Commit(request) => {
                let answer = self.caller.commit(&request).await;
                if let Some(answer) = &answer {
                    self.committed(&request, answer);
                }
                answer.map(Answer::Commit)
            }
            Asked::Leave(request) => self.caller.ask(LEAVE_GROUP, &request, PATIENCE).await.map(|_| Answer::Leave),
            Asked::Count(topics) => {
                let known = topics.into_iter();
                let known = known.filter_map(|topic| {
                    let count = *self.around.topics.get(topic.as_str())?;
                    Some((topic, count))
                });
                Some(Answer::Count(known.collect()))
            }
            Asked::Beat(_) | Asked::Name(_) => unreachable!("a classic member asks nothing of the other protocol"),
        };
        let address = BrokerAddress { host: "coordinator".to_owned(), port: 0 };
        answer.ok_or(ClientError::Disconnected { address, reason: "no answer".to_owned() })
    }

    /// The judge hears who reads what.
    fn synced(&self, synced: &SyncGroupResponse) {
        let Ok(assignment) = from_bytes::<Assignment>(&synced.assignment) else { return };
        if synced.error_code != ErrorCode::None {
            return;
        }
        let all = assignment.partitions.iter();
        let all = all.flat_map(|it| {
            let of = |partition: &i32| Place { topic: it.topic.to_string(), partition: *partition };
            it.partitions.iter().map(of)
        });
        let (owner, heard) = (self.slot.owner(self.id.as_str()), self.around.life.now());
        let places = all.collect::<Vec<_>>();
        let mut judge = self.around.judge.borrow_mut();
        judge.assigned(&self.slot.group, self.generation, owner, &places, heard);
        if let Some(instance) = &self.slot.instance {
            judge.replaced(&self.slot.group, instance, &self.id);
        }
        drop(judge);
        self.around.report();
    }

    fn committed(&self, request: &OffsetCommitRequest, answer: &crate::wire::message::OffsetCommitResponse) {
        let mut good = answer.topics.iter().flat_map(|topic| topic.partitions.iter());
        if good.any(|it| it.error_code.is_error()) {
            return;
        }
        let offsets = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| {
                let place = Place { topic: topic.name.to_string(), partition: it.partition_index };
                (place, it.committed_offset)
            })
        });
        let offsets = offsets.collect::<Vec<_>>();
        self.note(|standing| standing.committed.extend(offsets));
    }
}
