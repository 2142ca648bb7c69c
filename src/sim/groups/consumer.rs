//! A process that is a member of a group of the consumer protocol (KIP-848): a short script, since the coordinator does all the work.
//! It says that it lives, lets go of what it is no longer given, says so, and reads what it has.
//!
//! Source: KIP-848, "Consumer Group Member"; Kafka 4.0 `AbstractMembershipManager.java`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::super::client::Client;
use super::super::oracle::Place;
use super::{Caller, Mishap, Reader, Slot, Standing, Surroundings};
use crate::model::{ErrorCode, Moment, TopicId};
use crate::wire::Str;
use crate::wire::message::consumer_group_heartbeat::{Assignment, OwnedTopicPartitions};
use crate::wire::message::metadata::MetadataRequest;
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::{ConsumerGroupHeartbeatRequest, OffsetCommitRequest};

const CONSUMER_GROUP_HEARTBEAT: i16 = 1;
/// The first version that says topic ids.
const METADATA: i16 = 10;

/// How long a heartbeat may take: it may have to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it says that it lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(300);

/// Member epochs by which it joins, and by which it leaves.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;

/// One process of a member; how it ended.
pub(super) async fn process(around: &Rc<Surroundings>, slot: &Slot, name: String) -> &'static str {
    let mut process = Process {
        around,
        slot,
        caller: Caller::new(Rc::clone(around), slot.group.clone(), name.clone()),
        reader: Reader::new(around, &name),
        id: format!("{name}-{}", around.life.below(u64::MAX)).into(),
        epoch: JOINS,
        topics: BTreeMap::new(),
        owned: BTreeSet::new(),
        tells: true,
        heartbeat_at: around.life.now(),
        commit_at: around.life.now(),
    };
    process.run().await
}

struct Process<'a> {
    around: &'a Rc<Surroundings>,
    slot: &'a Slot,
    caller: Caller,
    reader: Reader,
    id: Str,
    epoch: i32,
    topics: BTreeMap<TopicId, String>,
    owned: BTreeSet<Place>,
    /// The next heartbeat says what it owns.
    tells: bool,
    heartbeat_at: Moment,
    commit_at: Moment,
}

impl Process<'_> {
    async fn run(&mut self) -> &'static str {
        while self.topics.len() < self.around.topics.len() {
            self.learn_topics().await;
            self.around.life.pause(100).await;
        }
        loop {
            let life = &self.around.life;
            match self.around.mishap(&self.slot.habits) {
                Some(Mishap::Dies) => {
                    let moment = Duration::from_millis(life.below(12));
                    let _unheard = match life.percent(50) {
                        true => tokio::time::timeout(moment, self.heartbeat()).await,
                        false => tokio::time::timeout(moment, self.commit()).await,
                    };
                    return "dies";
                }
                Some(Mishap::Freezes) => {
                    let goes_on = self.around.freeze(self.slot).await;
                    if goes_on {
                        self.commit().await;
                    }
                }
                Some(Mishap::Leaves) => return self.leave().await,
                None if self.around.finish.get() => return self.leave().await,
                None => {}
            }
            if self.heartbeat_at <= life.now() {
                self.heartbeat().await;
            }
            if self.commit_at <= life.now() {
                self.commit().await;
            }
            self.read().await;
            life.pause(100).await;
        }
    }

    async fn learn_topics(&mut self) {
        let known = tokio::time::timeout(PATIENCE, async {
            let (stream, broker) = self.around.guide.anybody().await?;
            let mut client = Client::new(stream, &self.around.life.trace, "member").with(broker);
            client.call(METADATA, &MetadataRequest::default()).await.ok()
        });
        let Some(answer) = known.await.ok().flatten() else { return };
        let named = answer.topics.iter().filter_map(|topic| Some((topic.topic_id, topic.name.as_ref()?.to_string())));
        self.topics.extend(named.filter(|(_, name)| self.around.topics.contains_key(name)));
    }

    async fn leave(&mut self) -> &'static str {
        self.commit().await;
        *self.slot.standing.borrow_mut() = None;
        self.epoch = LEAVES;
        let request = self.request();
        let _answer = self.caller.ask(CONSUMER_GROUP_HEARTBEAT, &request, PATIENCE).await;
        "leaves"
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id: self.slot.group.as_str().into(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            ..Default::default()
        };
        if self.epoch == JOINS {
            request.rebalance_timeout_ms = i32::try_from(self.slot.habits.rebalance_ms).unwrap_or(i32::MAX);
            request.subscribed_topic_names = Some(self.around.topics.keys().map(|name| name.as_str().into()).collect());
        }
        if self.epoch == JOINS || self.tells && self.epoch != LEAVES {
            let owned = self.topics.iter().map(|(topic_id, name)| {
                let places = self.owned.iter().filter(|place| place.topic == *name);
                OwnedTopicPartitions { topic_id: *topic_id, partitions: places.map(|place| place.partition).collect() }
            });
            request.topic_partitions = Some(owned.filter(|it| !it.partitions.is_empty()).collect());
        }
        request
    }

    async fn heartbeat(&mut self) {
        let request = self.request();
        let answer = self.caller.ask(CONSUMER_GROUP_HEARTBEAT, &request, PATIENCE).await;
        self.heartbeat_at = self.around.life.now().after(HEARTBEAT_INTERVAL);
        let Some(answer) = answer else {
            // It may not have been heard: all is said again.
            self.tells = true;
            return;
        };
        if answer.error_code == ErrorCode::None {
            self.tells = false;
            self.epoch = answer.member_epoch;
            if let Some(assignment) = answer.assignment {
                self.assigned(&assignment).await;
            }
            self.note(|standing, epoch| standing.generation = epoch);
            return;
        }
        self.tells = true;
        if matches!(answer.error_code, ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch) {
            // What it owned belongs to others.
            self.epoch = JOINS;
            self.owned.clear();
            *self.slot.standing.borrow_mut() = None;
        } else {
            self.caller.forget();
        }
    }

    async fn assigned(&mut self, assignment: &Assignment) {
        let mut wanted = BTreeSet::new();
        for it in &assignment.topic_partitions {
            let Some(topic) = self.topics.get(&it.topic_id) else { continue };
            let places = it.partitions.iter().map(|partition| Place { topic: topic.clone(), partition: *partition });
            wanted.extend(places);
        }
        let (places, heard) = (wanted.iter().cloned().collect::<Vec<_>>(), self.around.life.now());
        self.around.judge.borrow_mut().assigned(&self.slot.group, self.epoch, self.id.as_str(), &places, heard);
        self.around.report();
        if !self.owned.is_subset(&wanted) {
            // What it lets go of goes on at another member from where it was.
            self.commit().await;
        }
        // It says at once what it has.
        self.tells = true;
        self.heartbeat_at = self.around.life.now();
        let mut standing = self.slot.standing.borrow_mut();
        let standing = standing.get_or_insert_default();
        standing.positions.retain(|place, _| wanted.contains(place));
        for place in &wanted {
            standing.positions.entry(place.clone()).or_insert(None);
        }
        self.owned = wanted;
    }

    async fn read(&mut self) {
        let standing = self.slot.standing.borrow().clone();
        let Some(standing) = standing else { return };
        let unknown = standing.positions.iter().filter(|(_, position)| position.is_none());
        let unknown = unknown.map(|(place, _)| place.clone()).collect::<Vec<_>>();
        if !unknown.is_empty()
            && let Some(found) = self.caller.committed(&unknown, Some((self.id.as_str(), self.epoch))).await
        {
            self.note(|standing, _| {
                for (place, offset) in found {
                    standing.positions.insert(place.clone(), Some(offset.max(0)));
                    standing.committed.insert(place, offset);
                }
            });
        }
        let known = standing.positions.iter().filter_map(|(place, position)| Some((place, (*position)?)));
        let known = known.collect::<Vec<_>>();
        let pick = self.around.life.below(u64::try_from(known.len()).unwrap_or(0));
        if let Some((place, position)) = known.get(usize::try_from(pick).unwrap_or(0))
            && let Some(next) = self.reader.read(place, *position).await
        {
            self.note(|standing, _| standing.positions.extend([((*place).clone(), Some(next))]));
        }
    }

    /// Changes where it stands, if it has an assignment.
    fn note(&self, change: impl FnOnce(&mut Standing, i32)) {
        if let Some(standing) = &mut *self.slot.standing.borrow_mut() {
            change(standing, self.epoch);
        }
    }

    /// Commits what it has read and not committed.
    async fn commit(&mut self) {
        self.commit_at = self.around.life.now().after(Duration::from_millis(self.slot.habits.commit_ms));
        let standing = self.slot.standing.borrow().clone();
        let Some(standing) = standing.filter(|_| 0 < self.epoch) else { return };
        let read = standing.positions.iter().filter_map(|(place, position)| Some((place, (*position)?)));
        let read = read.filter(|(place, position)| standing.committed.get(*place).copied().unwrap_or(0) < *position);
        let mut topics = BTreeMap::<&str, Vec<OffsetCommitRequestPartition>>::new();
        for (place, committed_offset) in read.clone() {
            topics.entry(&place.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: place.partition,
                committed_offset,
                committed_metadata: Some(Str::default()),
                ..Default::default()
            });
        }
        if topics.is_empty() {
            return;
        }
        let topics = topics.into_iter();
        let topics = topics.map(|(name, partitions)| OffsetCommitRequestTopic { name: name.into(), partitions });
        let request = OffsetCommitRequest {
            group_id: self.slot.group.as_str().into(),
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.clone(),
            topics: topics.collect(),
            ..Default::default()
        };
        let Some(answer) = self.caller.commit(&request).await else { return };
        let mut errors = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
        if errors.all(|error| error == ErrorCode::None) {
            let read = read.map(|(place, offset)| (place.clone(), offset)).collect::<Vec<_>>();
            self.note(|standing, _| standing.committed.extend(read));
        } else {
            self.heartbeat_at = self.around.life.now();
        }
    }
}
