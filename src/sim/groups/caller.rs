//! How a member talks to its coordinator: it looks for it, keeps one connection, and gives that up with the first trouble.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::super::client::{Client, Trouble};
use super::super::oracle::Place;
use super::Surroundings;
use crate::model::ErrorCode;
use crate::wire::Request;
use crate::wire::Str;
use crate::wire::message::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::wire::message::{FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest};

const FIND_COORDINATOR: i16 = 3;
const OFFSET_COMMIT: i16 = 9;
const OFFSET_FETCH: i16 = 8;

/// How long an answer may take that waits for nobody else.
const PATIENCE: Duration = Duration::from_secs(3);

/// A member's way to its coordinator.
pub(super) struct Caller {
    around: Rc<Surroundings>,
    group: String,
    name: String,
    coordinator: Option<Client>,
}

impl Caller {
    pub(super) const fn new(around: Rc<Surroundings>, group: String, name: String) -> Self {
        Self { around, group, name, coordinator: None }
    }

    /// The coordinator may be another one by now.
    pub(super) fn forget(&mut self) {
        self.coordinator = None;
    }

    /// Asks the coordinator; `None` when it is not to be reached, or does not answer in time.
    pub(super) async fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        patience: Duration,
    ) -> Option<R::Response> {
        let asked = tokio::time::timeout(patience, async {
            if self.coordinator.is_none() {
                self.coordinator = self.find().await;
            }
            match &mut self.coordinator {
                Some(client) => client.call(version, request).await,
                None => Err(Trouble::Disconnected),
            }
        });
        match asked.await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(trouble)) => {
                self.forget();
                self.around.life.trouble(&trouble);
                None
            }
            Err(_) => {
                self.forget();
                None
            }
        }
    }

    async fn find(&self) -> Option<Client> {
        let (life, guide) = (&self.around.life, &self.around.guide);
        let (stream, broker) = guide.anybody().await?;
        let mut client = Client::new(stream, &life.trace, &self.name).with(broker);
        let request = FindCoordinatorRequest { key: self.group.as_str().into(), ..Default::default() };
        let answer = client.call(FIND_COORDINATOR, &request).await.ok()?;
        if answer.error_code.is_error() {
            return None;
        }
        let stream = guide.broker(answer.node_id).await?;
        Some(Client::new(stream, &life.trace, &self.name).with(answer.node_id))
    }

    /// Commits, and lets the judge hear of it. The answer; `None` when there is none.
    pub(super) async fn commit(
        &mut self,
        request: &OffsetCommitRequest,
    ) -> Option<crate::wire::message::OffsetCommitResponse> {
        let judge = Rc::clone(&self.around.judge);
        let offsets = request.topics.iter().flat_map(|topic| {
            let of = |partition| Place { topic: topic.name.as_str().to_owned(), partition };
            topic.partitions.iter().map(move |it| (of(it.partition_index), it.committed_offset))
        });
        let offsets = offsets.collect::<Vec<_>>();
        let (generation, asked) = (request.generation_id_or_member_epoch, self.around.life.now());
        let of_static =
            request.group_instance_id.as_ref().map(|instance| (instance.as_str(), request.member_id.as_str()));
        let number = judge.borrow_mut().committing(&self.group, generation, of_static, &offsets, asked);
        if let Some(client) = &self.coordinator {
            self.around.commits.begins(client.broker);
        }
        let answer = self.ask(OFFSET_COMMIT, request, PATIENCE).await?;
        let heard = self.around.life.now();
        for topic in &answer.topics {
            for it in &topic.partitions {
                let place = Place { topic: topic.name.as_str().to_owned(), partition: it.partition_index };
                judge.borrow_mut().answered(&self.group, number, &place, it.error_code, heard);
            }
        }
        self.around.report();
        Some(answer)
    }

    /// Where the group stands; the judge hears of it. `None` when nobody says so. `member` is the id and the epoch of a member of the
    /// consumer protocol.
    pub(super) async fn committed(
        &mut self,
        places: &[Place],
        member: Option<(&str, i32)>,
    ) -> Option<BTreeMap<Place, i64>> {
        let mut topics = BTreeMap::<&str, Vec<i32>>::new();
        for place in places {
            topics.entry(&place.topic).or_default().push(place.partition);
        }
        let topics = topics.into_iter();
        let topics =
            topics.map(|(name, partition_indexes)| OffsetFetchRequestTopics { name: name.into(), partition_indexes });
        let group = OffsetFetchRequestGroup {
            group_id: self.group.as_str().into(),
            topics: Some(topics.collect()),
            member_id: member.map(|(id, _)| Str::from(id)),
            member_epoch: member.map_or(-1, |(_, epoch)| epoch),
        };
        let version = if member.is_some() { OFFSET_FETCH + 1 } else { OFFSET_FETCH };
        let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
        let asked = self.around.life.now();
        let before = self.around.guide.tenure(&self.group);
        let answer = self.ask(version, &request, PATIENCE).await?;
        let asked_of = self.coordinator.as_ref().map(|client| client.broker);
        let is_firm = before == self.around.guide.tenure(&self.group) && before.map(|(leader, _)| leader) == asked_of;
        let group = answer.groups.first().filter(|group| group.error_code == ErrorCode::None);
        let Some(group) = group else {
            self.forget();
            return None;
        };
        let found = group.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |it| (&topic.name, it)));
        let mut offsets = BTreeMap::new();
        for (topic, it) in found.filter(|(_, it)| it.error_code == ErrorCode::None) {
            let place = Place { topic: topic.as_str().to_owned(), partition: it.partition_index };
            let when = self.around.life.since(asked);
            let mut judge = self.around.judge.borrow_mut();
            judge.fetched(&self.group, &place, it.committed_offset, when, is_firm);
            offsets.insert(place, it.committed_offset);
        }
        self.around.report();
        (offsets.len() == places.len()).then_some(offsets)
    }
}
