//! What the controller has to tell one other broker, in order: LeaderAndIsr, UpdateMetadata, StopReplica, resent until the broker
//! answers, is gone, or the controller is replaced (`ControllerChannelManager`).
//!
//! *State owned*: the connection, and what was not sent yet ([`outbox`]: bounded). *Who calls*: the controller's shell.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use self::outbox::{Batch, Outbox, Stopped};
use super::super::image::{BrokerImage, EndpointImage};
use super::super::link::{Link, LinkError};
use super::super::ports::Ports;
use crate::machine::controller::{Gone, PartitionNotice};
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionIndex, TopicName, TopicPartition,
};
use crate::telemetry::{Event as _, event};
use crate::wire::message::leader_and_isr::{
    LeaderAndIsrLiveLeader, LeaderAndIsrPartitionError, LeaderAndIsrPartitionState, LeaderAndIsrRequest,
    LeaderAndIsrResponse, LeaderAndIsrTopicState,
};
use crate::wire::message::stop_replica::{StopReplicaPartitionState, StopReplicaRequest, StopReplicaTopicState};
use crate::wire::message::update_metadata::{
    self, UpdateMetadataBroker, UpdateMetadataEndpoint, UpdateMetadataPartitionState, UpdateMetadataRequest,
    UpdateMetadataTopicState,
};

mod outbox;

/// Versions at inter-broker protocol 3.4 and later.
const LEADER_AND_ISR: i16 = 7;
const UPDATE_METADATA: i16 = 8;
const STOP_REPLICA: i16 = 4;

/// Wait before a request is sent again.
const RETRY: Duration = Duration::from_millis(100);

/// `controller.socket.timeout.ms` as it stands by default: how long connecting and answering may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Leader in UpdateMetadata of a topic that is being deleted, and its leader epoch in StopReplica (`LeaderAndIsr.LeaderDuringDelete`,
/// `EpochDuringDelete`).
const DURING_DELETE: i32 = -2;

/// The live brokers as every request names them.
pub(super) type Brokers = Rc<RefCell<BTreeMap<BrokerId, BrokerImage>>>;

/// What a channel tells the controller.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) broker: BrokerId,
    pub(super) epoch: BrokerEpoch,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// The broker deleted its replicas of these topics, or not.
    Deleted(Vec<(TopicName, bool)>),
    /// The broker cannot serve these replicas: their log dir has failed.
    Offline(Vec<TopicPartition>),
    /// Nobody listens there (`true`), or somebody does again.
    Silent(bool),
}

/// Who speaks to whom.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    pub(super) controller: BrokerId,
    pub(super) controller_epoch: ControllerEpoch,
    pub(super) broker: BrokerId,
    pub(super) broker_epoch: BrokerEpoch,
    /// `inter.broker.listener.name`.
    pub(super) listener: String,
}

/// The channel to one broker. Dropped, it says no more.
pub(super) struct Channel {
    pub(super) epoch: BrokerEpoch,
    post: Rc<Post>,
    /// Whether connecting was tried.
    tried: watch::Receiver<bool>,
    task: AbortHandle,
}

/// Between the controller, which puts in, and the speaker, who takes out.
#[derive(Default)]
struct Post {
    outbox: RefCell<Outbox>,
    changed: Notify,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Channel {
    /// Begins to speak to a broker.
    pub(super) fn start(ends: Ends, brokers: Brokers, ports: Ports, reports: mpsc::UnboundedSender<Report>) -> Self {
        let post = Rc::<Post>::default();
        let epoch = ends.broker_epoch;
        let (tries, tried) = watch::channel(false);
        let (link, silent) = (None, false);
        let speaker = Speaker { ends, brokers, ports, reports, post: Rc::clone(&post), link, silent, tries };
        let task = tokio::task::spawn_local(speaker.run()).abort_handle();
        Self { epoch, post, tried, task }
    }

    /// Returns when connecting was tried for the first time; what came of it was reported.
    pub(super) async fn tried(&self) {
        let mut tried = self.tried.clone();
        let _over = tried.wait_for(|tried| *tried).await;
    }

    pub(super) fn leader_and_isr(&self, partitions: Vec<PartitionNotice>) {
        self.put(|outbox| outbox.leader_and_isr(partitions));
    }

    /// `everything` when there are no other partitions.
    pub(super) fn update_metadata(&self, partitions: Vec<PartitionNotice>, everything: bool) {
        self.put(
            |outbox| if everything { outbox.tell_everything(partitions) } else { outbox.update_metadata(partitions) },
        );
    }

    pub(super) fn forget(&self, topics: &[Gone]) {
        self.put(|outbox| outbox.forget(topics));
    }

    pub(super) fn stop(&self, partitions: Vec<(TopicPartition, LeaderEpoch)>, delete: bool) {
        let stopped = partitions.into_iter();
        let stopped = stopped.map(|(partition, leader_epoch)| Stopped { partition, leader_epoch, delete });
        self.put(|outbox| outbox.stop(stopped));
    }

    pub(super) fn delete(&self, partitions: Vec<TopicPartition>) {
        self.stop(partitions.into_iter().map(|partition| (partition, LeaderEpoch(DURING_DELETE))).collect(), true);
    }

    fn put(&self, add: impl FnOnce(&mut Outbox)) {
        add(&mut self.post.outbox.borrow_mut());
        self.post.changed.notify_one();
    }
}

struct Speaker {
    ends: Ends,
    brokers: Brokers,
    ports: Ports,
    reports: mpsc::UnboundedSender<Report>,
    post: Rc<Post>,
    link: Option<Link>,
    silent: bool,
    tries: watch::Sender<bool>,
}

impl Speaker {
    async fn run(mut self) {
        loop {
            let next = self.post.outbox.borrow_mut().take();
            match next {
                Some(batch) => self.send(batch).await,
                None => self.rest().await,
            }
        }
    }

    /// Until there is something to say. Meanwhile the connection tells at once that the other process died.
    async fn rest(&mut self) {
        if self.link.is_none() {
            tokio::select! {
                biased;
                () = self.post.changed.notified() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
            self.connect().await;
            return;
        }
        let Some(link) = &mut self.link else { return };
        tokio::select! {
            biased;
            () = self.post.changed.notified() => {}
            () = link.ended() => self.link = None,
        }
    }

    async fn connect(&mut self) {
        let address = self
            .brokers
            .borrow()
            .get(&self.ends.broker)
            .and_then(|broker| broker.address(&self.ends.listener).cloned());
        let Some((host, port)) = address else { return };
        let client_id = self.ends.controller.to_string();
        match Link::open(&self.ports, (&host, port), &client_id, PATIENCE).await {
            Ok(link) => {
                self.link = Some(link);
                self.hears(false);
            }
            Err(error) => {
                if error.nobody_listens() {
                    self.hears(true);
                }
            }
        }
        self.tries.send_replace(true);
    }

    fn hears(&mut self, silent: bool) {
        if self.silent != silent {
            self.silent = silent;
            self.report(News::Silent(silent));
        }
    }

    fn report(&self, news: News) {
        let _over = self.reports.send(Report { broker: self.ends.broker, epoch: self.ends.broker_epoch, news });
    }

    async fn send(&mut self, batch: Batch) {
        let Batch { leader_and_isr, metadata, everything, forgotten, stopped, .. } = batch;
        if !leader_and_isr.is_empty() {
            let request = self.leader_and_isr(leader_and_isr.into_values());
            let answer = self.insist(LEADER_AND_ISR, &request).await;
            if answer.error_code.is_error() {
                event::ControllerRefused { broker: self.ends.broker, api: "LeaderAndIsr", code: answer.error_code }
                    .emit();
            }
            let offline = offline(&request, &answer);
            if !offline.is_empty() {
                self.report(News::Offline(offline));
            }
        }
        if let Some(partitions) = metadata {
            let request = self.update_metadata(partitions.into_values(), everything, &forgotten);
            let answer = self.insist(UPDATE_METADATA, &request).await;
            if answer.error_code.is_error() {
                event::ControllerRefused { broker: self.ends.broker, api: "UpdateMetadata", code: answer.error_code }
                    .emit();
            }
        }
        if !stopped.is_empty() {
            self.stop(&stopped).await;
        }
    }

    async fn stop(&mut self, stopped: &[Stopped]) {
        let answer = self.insist(STOP_REPLICA, &self.stop_replica(stopped)).await;
        let mut deleted = BTreeMap::<TopicName, bool>::new();
        let of_deleted_topic = |stopped: &&Stopped| stopped.leader_epoch == LeaderEpoch(DURING_DELETE);
        for Stopped { partition, .. } in stopped.iter().filter(of_deleted_topic) {
            let of = |error: &&crate::wire::message::stop_replica::StopReplicaPartitionError| {
                error.topic_name.as_str() == partition.topic.as_str() && error.partition_index == partition.partition.0
            };
            let failed = answer.error_code.is_error()
                || answer.partition_errors.iter().find(of).is_none_or(|found| found.error_code.is_error());
            *deleted.entry(partition.topic.clone()).or_insert(true) &= !failed;
        }
        if !deleted.is_empty() {
            self.report(News::Deleted(deleted.into_iter().collect()));
        }
    }

    /// Asks until there is an answer.
    async fn insist<R: crate::wire::Request>(&mut self, version: i16, request: &R) -> R::Response {
        loop {
            if self.link.is_none() {
                self.connect().await;
            }
            let answer = match &mut self.link {
                Some(link) => link.ask(version, request, PATIENCE).await,
                None => Err(LinkError::Closed),
            };
            match answer {
                Ok(answer) => return answer,
                Err(_) => {
                    self.link = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn leader_and_isr(&self, notices: impl Iterator<Item = PartitionNotice>) -> LeaderAndIsrRequest {
        let mut topics = Vec::<LeaderAndIsrTopicState>::new();
        let mut leaders = std::collections::BTreeSet::new();
        for notice in notices {
            leaders.insert(notice.state.leader);
            let state = LeaderAndIsrPartitionState {
                partition_index: notice.partition.0,
                controller_epoch: notice.state.controller_epoch.0,
                leader: notice.state.leader.0,
                leader_epoch: notice.state.leader_epoch.0,
                isr: numbers(&notice.state.isr),
                partition_epoch: notice.state.partition_epoch.0,
                replicas: numbers(&notice.assignment.replicas),
                adding_replicas: numbers(&notice.assignment.adding),
                removing_replicas: numbers(&notice.assignment.removing),
                is_new: notice.is_new,
                leader_recovery_state: i8::from(notice.state.recovering),
                ..Default::default()
            };
            match topics.last_mut().filter(|last| last.topic_id == notice.topic_id) {
                Some(last) => last.partition_states.push(state),
                None => topics.push(LeaderAndIsrTopicState {
                    topic_name: notice.topic.as_str().into(),
                    topic_id: notice.topic_id,
                    partition_states: vec![state],
                }),
            }
        }
        let brokers = self.brokers.borrow();
        let live_leaders = leaders.into_iter().filter_map(|id| {
            let (host, port) = brokers.get(&id)?.address(&self.ends.listener)?;
            Some(LeaderAndIsrLiveLeader { broker_id: id.0, host_name: host.as_str().into(), port: i32::from(*port) })
        });
        LeaderAndIsrRequest {
            controller_id: self.ends.controller.0,
            controller_epoch: self.ends.controller_epoch.0,
            broker_epoch: self.ends.broker_epoch.0,
            topic_states: topics,
            live_leaders: live_leaders.collect(),
            ..Default::default()
        }
    }

    fn update_metadata(
        &self,
        notices: impl Iterator<Item = PartitionNotice>,
        everything: bool,
        forgotten: &[Gone],
    ) -> UpdateMetadataRequest {
        let brokers = self.brokers.borrow();
        let mut topics = Vec::<UpdateMetadataTopicState>::new();
        for notice in notices {
            let replicas = &notice.assignment.replicas;
            let is_offline = |id: &BrokerId| !brokers.contains_key(id) || notice.offline.contains(id);
            let offline = replicas.iter().copied().filter(is_offline).collect::<Vec<_>>();
            let state = UpdateMetadataPartitionState {
                partition_index: notice.partition.0,
                controller_epoch: notice.state.controller_epoch.0,
                leader: notice.state.leader.0,
                leader_epoch: notice.state.leader_epoch.0,
                isr: numbers(&notice.state.isr),
                zk_version: notice.state.partition_epoch.0,
                replicas: numbers(replicas),
                offline_replicas: numbers(&offline),
                ..Default::default()
            };
            match topics.last_mut().filter(|last| last.topic_id == notice.topic_id) {
                Some(last) => last.partition_states.push(state),
                None => topics.push(UpdateMetadataTopicState {
                    topic_name: notice.topic.as_str().into(),
                    topic_id: notice.topic_id,
                    partition_states: vec![state],
                }),
            }
        }
        for Gone { topic, topic_id, partitions } in forgotten {
            let gone = partitions.iter().map(|partition| UpdateMetadataPartitionState {
                partition_index: partition.0,
                leader: DURING_DELETE,
                ..Default::default()
            });
            topics.push(UpdateMetadataTopicState {
                topic_name: topic.as_str().into(),
                topic_id: *topic_id,
                partition_states: gone.collect(),
            });
        }
        UpdateMetadataRequest {
            controller_id: self.ends.controller.0,
            controller_epoch: self.ends.controller_epoch.0,
            broker_epoch: self.ends.broker_epoch.0,
            topic_states: topics,
            live_brokers: live_brokers(&brokers),
            // Kafka's controller on ZooKeeper does not say, and its brokers do not look.
            request_type: if everything { update_metadata::EVERYTHING } else { 0 },
            ..Default::default()
        }
    }

    fn stop_replica(&self, stopped: &[Stopped]) -> StopReplicaRequest {
        let mut topics = Vec::<StopReplicaTopicState>::new();
        for Stopped { partition, leader_epoch, delete } in stopped {
            let state = StopReplicaPartitionState {
                partition_index: partition.partition.0,
                leader_epoch: leader_epoch.0,
                delete_partition: *delete,
            };
            match topics.last_mut().filter(|last| last.topic_name.as_str() == partition.topic.as_str()) {
                Some(last) => last.partition_states.push(state),
                None => topics.push(StopReplicaTopicState {
                    topic_name: partition.topic.as_str().into(),
                    partition_states: vec![state],
                }),
            }
        }
        StopReplicaRequest {
            controller_id: self.ends.controller.0,
            controller_epoch: self.ends.controller_epoch.0,
            broker_epoch: self.ends.broker_epoch.0,
            topic_states: topics,
            ..Default::default()
        }
    }
}

fn live_brokers(brokers: &BTreeMap<BrokerId, BrokerImage>) -> Vec<UpdateMetadataBroker> {
    let endpoint = |(listener, endpoint): (&String, &EndpointImage)| UpdateMetadataEndpoint {
        port: i32::from(endpoint.address.1),
        host: endpoint.address.0.as_str().into(),
        listener: listener.as_str().into(),
        security_protocol: endpoint.security_protocol.id(),
    };
    let live = brokers.iter().map(|(id, broker)| UpdateMetadataBroker {
        id: id.0,
        endpoints: broker.endpoints.iter().map(endpoint).collect(),
        rack: broker.rack.as_deref().map(Into::into),
        ..Default::default()
    });
    live.collect()
}

/// The replicas of a request that cannot be served. The answer names topics by their ids.
fn offline(request: &LeaderAndIsrRequest, answer: &LeaderAndIsrResponse) -> Vec<TopicPartition> {
    let is_offline = |error: &&LeaderAndIsrPartitionError| error.error_code == ErrorCode::KafkaStorageError;
    let mut failed = answer.topics.iter().filter(|topic| topic.partition_errors.iter().any(|error| is_offline(&error)));
    let Some(first) = failed.next() else { return vec![] };
    let names =
        request.topic_states.iter().map(|state| (state.topic_id, &state.topic_name)).collect::<BTreeMap<_, _>>();
    let of_topic =
        std::iter::once(first).chain(failed).filter_map(|topic| {
            let name = TopicName::new(names.get(&topic.topic_id)?).ok()?;
            let offline = topic.partition_errors.iter().filter(is_offline);
            Some(offline.map(move |error| TopicPartition {
                topic: name.clone(),
                partition: PartitionIndex(error.partition_index),
            }))
        });
    of_topic.flatten().collect()
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecurityProtocol;

    #[test]
    fn every_listener_is_told_by_its_name_and_with_what_protects_it() {
        let endpoint = |port, security_protocol| EndpointImage { address: ("h".to_owned(), port), security_protocol };
        let endpoints = BTreeMap::from([
            ("INSIDE".to_owned(), endpoint(1, SecurityProtocol::Plaintext)),
            ("OUTSIDE".to_owned(), endpoint(2, SecurityProtocol::SaslSsl)),
            ("SSL".to_owned(), endpoint(3, SecurityProtocol::Ssl)),
        ]);
        let brokers = BTreeMap::from([(BrokerId(4), BrokerImage { endpoints, rack: Some("r".to_owned()) })]);
        let [told] = live_brokers(&brokers).try_into().expect("one broker");
        assert_eq!((told.id, told.rack.as_deref()), (4, Some("r")));
        let told = told.endpoints.iter().map(|told| (told.listener.as_str(), told.port, told.security_protocol));
        // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        assert_eq!(told.collect::<Vec<_>>(), [("INSIDE", 1, 0), ("OUTSIDE", 2, 3), ("SSL", 3, 1)]);
    }
}
