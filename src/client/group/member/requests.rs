//! A member's requests, as its state has them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Member, Offsets};
use crate::client::config::AssignorName;
use crate::client::error::ClientError;
use crate::client::group::assignor::{cooperative_user_data, sticky_user_data};
use crate::wire::consumer_protocol::{self, PROTOCOL_TYPE, TopicPartitions, to_bytes};
use crate::wire::message::join_group::JoinGroupRequestProtocol;
use crate::wire::message::leave_group::MemberIdentity;
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::sync_group::SyncGroupRequestAssignment;
use crate::wire::message::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use crate::wire::{EncodeError, Str};

/// The newest version of what members say: the one that says what they read, and in which generation.
const SUBSCRIPTION_VERSION: i16 = 3;

impl Member {
    pub(super) fn sync_request(
        &self,
        assignments: Vec<SyncGroupRequestAssignment>,
        assignor: &Str,
    ) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.settings.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(assignor.clone()),
            assignments,
        }
    }

    pub(super) fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.settings.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
        }
    }

    pub(super) fn join_request(&self) -> Result<JoinGroupRequest, ClientError> {
        let protocols = self.settings.assignors.iter().map(|assignor| {
            let metadata = self.subscription(*assignor)?;
            Ok(JoinGroupRequestProtocol { name: assignor.name().into(), metadata })
        });
        let protocols = protocols.collect::<Result<_, EncodeError>>().map_err(|error| self.broken(&error))?;
        Ok(JoinGroupRequest {
            group_id: self.settings.group.clone(),
            session_timeout_ms: millis(self.settings.session_timeout),
            rebalance_timeout_ms: millis(self.settings.poll_interval_max),
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols,
            ..JoinGroupRequest::default()
        })
    }

    fn subscription(&self, assignor: AssignorName) -> Result<bytes::Bytes, EncodeError> {
        let (told, generation) = &self.told;
        let user_data = match assignor {
            AssignorName::Range | AssignorName::RoundRobin => None,
            AssignorName::Sticky if *generation < 0 => None,
            AssignorName::Sticky => Some(sticky_user_data(told, *generation)?),
            AssignorName::CooperativeSticky => Some(cooperative_user_data(*generation)),
        };
        let mut owned = BTreeMap::<Str, Vec<i32>>::new();
        for (topic, partition) in &self.owned {
            owned.entry(topic.clone()).or_default().push(*partition);
        }
        let owned_partitions =
            owned.into_iter().map(|(topic, partitions)| TopicPartitions { topic, partitions }).collect();
        let subscription = consumer_protocol::Subscription {
            topics: self.settings.subscription.names().to_vec(),
            user_data,
            owned_partitions,
            generation_id: *generation,
            rack_id: None,
        };
        to_bytes(&subscription, SUBSCRIPTION_VERSION)
    }

    pub(super) fn commit_request(&self, offsets: &Offsets) -> OffsetCommitRequest {
        OffsetCommitRequest {
            group_id: self.settings.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
            topics: commit_topics(offsets),
            ..OffsetCommitRequest::default()
        }
    }

    pub(super) fn leave_request(&self) -> LeaveGroupRequest {
        // A broker of before static members is told by the older field.
        let member = MemberIdentity {
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
            ..MemberIdentity::default()
        };
        LeaveGroupRequest {
            group_id: self.settings.group.clone(),
            members: vec![member],
            ..LeaveGroupRequest::default()
        }
    }
}

/// Offsets as a request has them.
pub(in crate::client::group) fn commit_topics(offsets: &Offsets) -> Vec<OffsetCommitRequestTopic> {
    let mut topics = BTreeMap::<Str, Vec<OffsetCommitRequestPartition>>::new();
    for ((topic, partition_index), next) in offsets {
        topics.entry(topic.clone()).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: next.0,
            committed_metadata: Some(Str::default()),
            ..OffsetCommitRequestPartition::default()
        });
    }
    topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic { name, partitions }).collect()
}

pub(in crate::client::group) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
