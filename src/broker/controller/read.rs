//! What the controller reads from the tree.

use super::*;
use crate::broker::image::EndpointImage;

impl Running {
    pub(super) async fn read_brokers(&mut self) -> Result<BTreeMap<BrokerId, BrokerEpoch>, Stop> {
        let coordinator = Rc::clone(&self.parts.coordinator);
        let ids = coordinator.children(broker::IDS).await?;
        let ids = ids.iter().filter_map(|name| broker::id_of(name)).collect::<Vec<_>>();
        let reads = coordinator.get_many(&ids.iter().map(|id| broker::path(*id)).collect::<Vec<_>>()).await?;
        let (mut live, mut images) = (BTreeMap::new(), BTreeMap::new());
        for (id, read) in ids.into_iter().zip(reads) {
            let Some((data, stat)) = read else { continue };
            match broker::Registration::decode(&data) {
                Ok(registration) => {
                    live.insert(id, BrokerEpoch(stat.czxid));
                    images.insert(id, image_of(registration));
                }
                Err(error) => event::ZnodeUnreadable { path: broker::path(id), cause: error.to_string() }.emit(),
            }
        }
        self.keep_channels(&live, images);
        Ok(live)
    }

    /// One channel to every other live broker; those to earlier incarnations end.
    fn keep_channels(&mut self, live: &BTreeMap<BrokerId, BrokerEpoch>, images: BTreeMap<BrokerId, BrokerImage>) {
        let Some(active) = &mut self.active else { return };
        *active.brokers.borrow_mut() = images;
        active.channels.retain(|id, channel| live.get(id) == Some(&channel.epoch));
        for (&broker, &broker_epoch) in live {
            if broker == self.parts.local || active.channels.contains_key(&broker) {
                continue;
            }
            let ends = Ends {
                controller: self.parts.local,
                controller_epoch: active.token.epoch,
                broker,
                broker_epoch,
                listener: self.parts.listener.clone(),
            };
            let brokers = Rc::clone(&active.brokers);
            let channel = Channel::start(ends, brokers, self.parts.ports.clone(), active.reporter.clone());
            active.channels.insert(broker, channel);
        }
    }

    pub(super) async fn list_topics(&self) -> Result<BTreeSet<TopicName>, Stop> {
        self.list(topic::TOPICS).await
    }

    /// Children of a path that are topic names.
    pub(super) async fn list(&self, path: &str) -> Result<BTreeSet<TopicName>, Stop> {
        let names = self.parts.coordinator.children(path).await?;
        Ok(names.iter().filter_map(|name| TopicName::new(name).ok()).collect())
    }

    pub(super) async fn read_topics(&self, names: Vec<TopicName>) -> Result<Event, Stop> {
        let coordinator = &*self.parts.coordinator;
        let reads = coordinator.get_many(&names.iter().map(topic::path).collect::<Vec<_>>()).await?;
        let mut found = Vec::new();
        for (name, read) in names.into_iter().zip(reads) {
            let assignment = read.map(|(data, _)| topic::TopicAssignment::decode(&data));
            match assignment.transpose() {
                Ok(assignment) => found.push((name, assignment)),
                Err(error) => event::ZnodeUnreadable { path: topic::path(&name), cause: error.to_string() }.emit(),
            }
        }
        let wanted = found.iter().flat_map(|(name, assignment)| {
            assignment
                .iter()
                .flat_map(|assignment| assignment.partitions.keys())
                .map(|index| topic::state_path(name, *index))
        });
        let mut states = coordinator.get_many(&wanted.collect::<Vec<_>>()).await?.into_iter();
        let mut topics = Vec::new();
        for (name, assignment) in found {
            let Some(assignment) = assignment else {
                topics.push((name, None));
                continue;
            };
            let mut record = TopicRecord {
                id: assignment.topic_id,
                assignments: BTreeMap::new(),
                states: BTreeMap::new(),
                written: BTreeMap::new(),
            };
            for (index, partition) in assignment.partitions {
                if let Some((data, stat)) = states.next().flatten() {
                    match topic::PartitionState::decode(&data) {
                        Ok(state) => {
                            record.states.insert(index, from_znode(state, PartitionEpoch(stat.version)));
                            record.written.insert(index, stat.mzxid);
                        }
                        Err(error) => {
                            event::ZnodeUnreadable { path: topic::state_path(&name, index), cause: error.to_string() }
                                .emit()
                        }
                    }
                }
                record.assignments.insert(index, from_assignment(partition));
            }
            topics.push((name, Some(record)));
        }
        Ok(Event::TopicsRead(topics))
    }
}

fn from_assignment(znode: topic::ReplicaAssignment) -> Assignment {
    let topic::ReplicaAssignment { replicas, adding, removing } = znode;
    Assignment { replicas, adding, removing }
}

fn image_of(registration: broker::Registration) -> BrokerImage {
    let endpoint = |endpoint: broker::Endpoint| {
        // One that is protected in a way that nobody knows cannot be told to anybody.
        let security_protocol = endpoint.security_protocol.parse().ok()?;
        Some((endpoint.listener, EndpointImage { address: (endpoint.host, endpoint.port), security_protocol }))
    };
    BrokerImage {
        endpoints: registration.endpoints.into_iter().filter_map(endpoint).collect(),
        rack: registration.rack,
    }
}

fn from_znode(state: topic::PartitionState, partition_epoch: PartitionEpoch) -> PartitionState {
    PartitionState {
        controller_epoch: state.controller_epoch,
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr,
        partition_epoch,
        recovering: state.recovering,
    }
}
