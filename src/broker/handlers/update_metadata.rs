//! UpdateMetadata: the controller says what the cluster looks like.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::env::Env;
use crate::broker::image::{BrokerImage, EndpointImage};
use crate::broker::peer::Peer;
use crate::config::SecurityProtocol;
use crate::machine::controller::{Assignment, PartitionNotice, PartitionState};
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName,
};
use crate::wire::message::update_metadata::{
    EVERYTHING, UpdateMetadataBroker, UpdateMetadataPartitionState, UpdateMetadataRequest, UpdateMetadataResponse,
};
use crate::wire::{RequestHeader, Str};

/// The leader of a topic that is being deleted (`LeaderAndIsr.LeaderDuringDelete`).
const DURING_DELETE: i32 = -2;

pub(super) async fn handle(
    env: &Env,
    _: &mut Peer,
    _: &RequestHeader,
    request: UpdateMetadataRequest,
) -> UpdateMetadataResponse {
    let epochs = (BrokerEpoch(request.broker_epoch), ControllerEpoch(request.controller_epoch));
    let controller = BrokerId(request.controller_id);
    let brokers = request.live_brokers.iter().map(broker).collect::<BTreeMap<_, _>>();
    let everything = request.request_type == EVERYTHING;
    let (mut known, mut gone) = (Vec::new(), Vec::new());
    for (topic, id, state) in states(request) {
        let Ok(topic) = TopicName::new(&topic) else { continue };
        if state.leader == DURING_DELETE {
            gone.push((topic, id, PartitionIndex(state.partition_index)));
        } else {
            known.push(notice(topic, id, &state));
        }
    }
    let mut deleted = BTreeSet::new();
    let publish = || {
        env.metadata.publish(|image| {
            image.controller = controller;
            image.brokers = brokers;
            if everything {
                // Nothing but the image: that a topic is not named deletes nothing (law 10).
                image.keep_only(&known);
            }
            image.merge(known);
            for (name, id, partition) in &gone {
                if image.forget_partition(name, *id, *partition) {
                    deleted.insert(Str::from(name.as_str()));
                }
            }
        });
    };
    let error_code = env.membership.admit_and(epochs.0, epochs.1, publish).err().unwrap_or(ErrorCode::None);
    env.groups.topics_deleted(deleted).await;
    UpdateMetadataResponse { error_code }
}

fn broker(broker: &UpdateMetadataBroker) -> (BrokerId, Arc<BrokerImage>) {
    let plaintext = SecurityProtocol::Plaintext;
    let first = (!broker.v0_host.is_empty()).then_some(("", plaintext, broker.v0_host.as_str(), broker.v0_port));
    let later = broker.endpoints.iter().filter_map(|endpoint| {
        let protocol = SecurityProtocol::of_id(endpoint.security_protocol)?;
        Some((endpoint.listener.as_str(), protocol, endpoint.host.as_str(), endpoint.port))
    });
    let endpoints = first.into_iter().chain(later).filter_map(|(listener, security_protocol, host, port)| {
        // Before listeners had names they were called as their protocol is.
        let listener = if listener.is_empty() { security_protocol.name() } else { listener };
        let address = (host.to_owned(), u16::try_from(port).ok()?);
        Some((listener.to_owned(), EndpointImage { address, security_protocol }))
    });
    let rack = broker.rack.as_ref().map(|rack| rack.as_str().to_owned());
    (BrokerId(broker.id), Arc::new(BrokerImage { endpoints: endpoints.collect(), rack }))
}

/// Every partition's state, however the version groups them.
fn states(request: UpdateMetadataRequest) -> Vec<(Str, TopicId, UpdateMetadataPartitionState)> {
    let ungrouped = request.ungrouped_partition_states.into_iter();
    let ungrouped = ungrouped.map(|state| (state.topic_name.clone(), TopicId::ZERO, state));
    let grouped = request.topic_states.into_iter().flat_map(|topic| {
        let (name, id) = (topic.topic_name, topic.topic_id);
        topic.partition_states.into_iter().map(move |state| (name.clone(), id, state))
    });
    ungrouped.chain(grouped).collect()
}

fn notice(topic: TopicName, topic_id: TopicId, state: &UpdateMetadataPartitionState) -> PartitionNotice {
    PartitionNotice {
        topic,
        topic_id,
        partition: PartitionIndex(state.partition_index),
        assignment: Assignment::settled(state.replicas.iter().copied().map(BrokerId).collect()),
        offline: state.offline_replicas.iter().copied().map(BrokerId).collect(),
        state: PartitionState {
            controller_epoch: ControllerEpoch(state.controller_epoch),
            leader: BrokerId(state.leader),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            isr: state.isr.iter().copied().map(BrokerId).collect(),
            partition_epoch: PartitionEpoch(state.zk_version),
            recovering: false,
        },
        is_new: false,
    }
}
