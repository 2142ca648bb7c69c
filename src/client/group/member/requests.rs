//! A member's requests, as its state has them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Member;
use crate::client::config::AssignorName;
use crate::client::error::ClientError;
use crate::wire::Str;
use crate::wire::consumer_protocol::{PROTOCOL_TYPE, Subscription, to_bytes};
use crate::wire::message::join_group::JoinGroupRequestProtocol;
use crate::wire::message::leave_group::MemberIdentity;
use crate::wire::message::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::message::sync_group::SyncGroupRequestAssignment;
use crate::wire::message::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};

impl Member {
    pub(super) fn sync_request(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.settings.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(AssignorName::Range.name().into()),
            assignments,
            ..SyncGroupRequest::default()
        }
    }

    pub(super) fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.settings.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..HeartbeatRequest::default()
        }
    }

    pub(super) fn join_request(&self) -> Result<JoinGroupRequest, ClientError> {
        let subscription = Subscription { topics: self.settings.topics.clone(), ..Subscription::default() };
        let metadata = to_bytes(&subscription, 0).map_err(|error| self.broken(&error))?;
        Ok(JoinGroupRequest {
            group_id: self.settings.group.clone(),
            session_timeout_ms: millis(self.settings.session_timeout),
            rebalance_timeout_ms: millis(self.settings.rebalance_timeout),
            member_id: self.id.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![JoinGroupRequestProtocol { name: AssignorName::Range.name().into(), metadata }],
            ..JoinGroupRequest::default()
        })
    }

    pub(super) fn commit_request(&self) -> OffsetCommitRequest {
        let mut topics = BTreeMap::<Str, Vec<OffsetCommitRequestPartition>>::new();
        for ((topic, partition_index), next) in &self.uncommitted {
            topics.entry(topic.clone()).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: next.0,
                committed_metadata: Some(Str::default()),
                ..OffsetCommitRequestPartition::default()
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic { name, partitions });
        OffsetCommitRequest {
            group_id: self.settings.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            topics: topics.collect(),
            ..OffsetCommitRequest::default()
        }
    }

    pub(super) fn leave_request(&self) -> LeaveGroupRequest {
        let member = MemberIdentity { member_id: self.id.clone(), ..MemberIdentity::default() };
        LeaveGroupRequest {
            group_id: self.settings.group.clone(),
            members: vec![member],
            ..LeaveGroupRequest::default()
        }
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
