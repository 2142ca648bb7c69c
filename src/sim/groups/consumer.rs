//! A process that is a member of a group of the consumer protocol (KIP-848): [`ConsumerMember`] decides, and this performs what it
//! wants, reads, and has mishaps.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::super::client::Client;
use super::super::oracle::Place;
use super::{Caller, Mishap, Reader, Slot, Surroundings};
use crate::client::config::GroupProtocol;
use crate::client::group::consumer_member::ConsumerMember;
use crate::client::group::member::{Answer, Asked, Effect, Event, MemberSettings, Subscription};
use crate::client::{BackOff, BrokerAddress, ClientError};
use crate::model::{ErrorCode, Offset, TopicId};
use crate::wire::Str;
use crate::wire::message::consumer_group_heartbeat::Assignment;
use crate::wire::message::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::{OffsetCommitRequest, OffsetCommitResponse};

const CONSUMER_GROUP_HEARTBEAT: i16 = 1;
/// The first version that is asked by topic ids alone.
const METADATA: i16 = 12;

/// How long a heartbeat may take: it may have to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a member puts up with errors that pass.
const MEMBER_PATIENCE: Duration = Duration::from_secs(60);

/// One process of a member; how it ended.
pub(super) async fn process(around: &Rc<Surroundings>, slot: &Slot, name: String) -> &'static str {
    let habits = &slot.habits;
    let topics = around.topics.keys().map(|topic| Str::from(topic.as_str())).collect();
    let settings = MemberSettings {
        group: slot.group.as_str().into(),
        instance: None,
        subscription: Subscription::Names(topics),
        protocol: GroupProtocol::Consumer { assignor: None },
        rack: None,
        assignors: Vec::new(),
        session_timeout: Duration::ZERO,
        poll_interval_max: Duration::from_millis(habits.rebalance_ms),
        heartbeat_interval: Duration::ZERO,
        commit_interval: Some(Duration::from_millis(habits.commit_ms)),
        look_interval: Duration::ZERO,
        back_off: BackOff::new(),
        patience: MEMBER_PATIENCE,
    };
    let id = Str::from(format!("{name}-{}", around.life.below(u64::MAX)));
    let mut process = Process {
        around,
        slot,
        member: ConsumerMember::new(settings, id, around.life.now()),
        caller: Caller::new(Rc::clone(around), slot.group.clone(), name.clone()),
        reader: Reader::new(around, &name),
        names: BTreeMap::new(),
        effects: Vec::new(),
    };
    process.run().await
}

struct Process<'a> {
    around: &'a Rc<Surroundings>,
    slot: &'a Slot,
    member: ConsumerMember,
    caller: Caller,
    reader: Reader,
    names: BTreeMap<TopicId, Str>,
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
                        Effect::Revoked(partitions) => {
                            self.gone(&partitions);
                            self.step(Event::Released);
                        }
                        Effect::Lost(partitions) => self.gone(&partitions),
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
                let answer = self.perform(asked).await;
                self.step(Event::Answered(answer));
                continue;
            }
            if mishap == Some(Mishap::Leaves) || self.around.finish.get() && !leaving {
                leaving = true;
                self.step(Event::Leave);
                continue;
            }
            if mishap == Some(Mishap::Freezes) {
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
        let mut standing = self.slot.standing.borrow_mut();
        let standing = standing.get_or_insert_default();
        standing.generation = self.member.epoch();
        standing.positions.extend(partitions.iter().map(|partition| (place(partition), None)));
    }

    fn gone(&self, partitions: &[(Str, i32)]) {
        if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
            for partition in partitions {
                standing.positions.remove(&place(partition));
                standing.committed.remove(&place(partition));
            }
        }
    }

    /// It does nothing for a while, and then may commit as what it was before.
    async fn freeze(&mut self) {
        let goes_on = self.around.freeze(self.slot).await;
        let standing = self.slot.standing.borrow().clone();
        let Some(standing) = standing.filter(|_| goes_on && 0 < self.member.epoch()) else { return };
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
        let request = OffsetCommitRequest {
            group_id: self.slot.group.as_str().into(),
            generation_id_or_member_epoch: self.member.epoch(),
            member_id: self.member.id().clone(),
            topics: topics.collect(),
            ..Default::default()
        };
        if !request.topics.is_empty() {
            let _answer = self.caller.commit(&request).await;
        }
    }

    /// Reads a little of what it may, or waits for what comes next.
    async fn read(&mut self) {
        let life = &self.around.life;
        let standing = self.slot.standing.borrow().clone();
        if let Some(standing) = standing {
            let unknown = standing.positions.iter().filter(|(_, position)| position.is_none());
            let unknown = unknown.map(|(place, _)| place.clone()).collect::<Vec<_>>();
            let who = (self.member.id().as_str(), self.member.epoch());
            if !unknown.is_empty()
                && let Some(found) = self.caller.committed(&unknown, Some(who)).await
                && let Some(standing) = &mut *self.slot.standing.borrow_mut()
            {
                for (place, offset) in found {
                    standing.positions.insert(place.clone(), Some(offset.max(0)));
                    standing.committed.insert(place, offset);
                }
            }
            let known = standing.positions.iter().filter_map(|(place, position)| Some((place, (*position)?)));
            let known = known.collect::<Vec<_>>();
            let pick = usize::try_from(life.below(u64::try_from(known.len()).unwrap_or(0))).unwrap_or(0);
            if let Some((place, position)) = known.get(pick)
                && let Some(next) = self.reader.read(place, *position).await
            {
                if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
                    standing.positions.insert((*place).clone(), Some(next));
                }
                self.step(Event::Read((place.topic.as_str().into(), place.partition), Offset(next)));
            }
        }
        let now = life.now();
        let left = self.member.next_deadline().map_or(Duration::from_millis(50), |at| at.since(now));
        let pause = Duration::from_millis(1 + life.below(150));
        tokio::time::sleep(left.min(pause)).await;
    }

    async fn perform(&mut self, asked: Asked) -> Result<Answer, ClientError> {
        let answer = match asked {
            Asked::Beat(request) => {
                let answer = self.caller.ask(CONSUMER_GROUP_HEARTBEAT, &request, PATIENCE).await;
                if let Some(heard) = answer.as_ref().filter(|it| it.error_code == ErrorCode::None) {
                    if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
                        standing.generation = heard.member_epoch;
                    }
                    if let Some(assignment) = &heard.assignment {
                        self.told(heard.member_epoch, assignment).await;
                    }
                }
                answer.map(Answer::Beat)
            }
            Asked::Commit(request) => {
                let answer = self.caller.commit(&request).await;
                if let Some(answer) = &answer {
                    self.committed(&request, answer);
                }
                answer.map(Answer::Commit)
            }
            Asked::Name(ids) => self.learn(&ids).await.then(|| Answer::Name(self.names.clone())),
            Asked::Join(_) | Asked::Sync(_) | Asked::Heartbeat(_) | Asked::Leave(_) | Asked::Count(_) => {
                unreachable!("a member of the consumer protocol asks nothing of the classic one")
            }
        };
        let address = BrokerAddress { host: "coordinator".to_owned(), port: 0 };
        answer.ok_or(ClientError::Disconnected { address, reason: "no answer".to_owned() })
    }

    /// The judge hears who reads what.
    async fn told(&mut self, epoch: i32, assignment: &Assignment) {
        let ids = assignment.topic_partitions.iter().map(|it| it.topic_id).collect::<Vec<_>>();
        let (owner, heard) = (self.member.id().clone(), self.around.life.now());
        let mut known = ids.iter().all(|id| self.names.contains_key(id));
        if !known {
            known = self.learn(&ids).await;
        }
        if !known {
            return;
        }
        let all = assignment.topic_partitions.iter().flat_map(|it| {
            let topic = self.names.get(&it.topic_id).map(ToString::to_string).unwrap_or_default();
            it.partitions.iter().map(move |partition| Place { topic: topic.clone(), partition: *partition })
        });
        let places = all.filter(|place| !place.topic.is_empty()).collect::<Vec<_>>();
        self.around.judge.borrow_mut().assigned(&self.slot.group, epoch, owner.as_str(), &places, heard);
        self.around.report();
    }

    /// Asks anybody how topics are called; whether there was an answer.
    async fn learn(&mut self, ids: &[TopicId]) -> bool {
        let asked = tokio::time::timeout(PATIENCE, async {
            let (stream, broker) = self.around.guide.anybody().await?;
            let mut client = Client::new(stream, &self.around.life.trace, "member").with(broker);
            let topics = ids.iter().map(|id| MetadataRequestTopic { topic_id: *id, name: None });
            let request = MetadataRequest { topics: Some(topics.collect()), ..Default::default() };
            client.call(METADATA, &request).await.ok()
        });
        let Some(answer) = asked.await.ok().flatten() else { return false };
        let found = answer.topics.into_iter().filter(|topic| !topic.error_code.is_error());
        self.names.extend(found.filter_map(|topic| Some((topic.topic_id, topic.name?))));
        true
    }

    fn committed(&self, request: &OffsetCommitRequest, answer: &OffsetCommitResponse) {
        let mut good = answer.topics.iter().flat_map(|topic| topic.partitions.iter());
        if good.any(|it| it.error_code.is_error()) {
            return;
        }
        let offsets = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|it| (place(&(topic.name.clone(), it.partition_index)), it.committed_offset))
        });
        if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
            standing.committed.extend(offsets);
        }
    }
}

fn place((topic, partition): &(Str, i32)) -> Place {
    Place { topic: topic.to_string(), partition: *partition }
}
