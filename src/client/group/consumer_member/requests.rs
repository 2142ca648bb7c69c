//! A member's requests, as its state has them.

use std::collections::BTreeMap;

use super::{ConsumerMember, Said};
use crate::client::config::GroupProtocol;
use crate::client::group::member::{Offsets, Subscription, commit_topics, millis};
use crate::model::TopicId;
use crate::wire::Str;
use crate::wire::message::consumer_group_heartbeat::OwnedTopicPartitions;
use crate::wire::message::{ConsumerGroupHeartbeatRequest, OffsetCommitRequest};

/// Member epochs by which a member leaves, and by which a static one leaves for a while.
const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;

impl ConsumerMember {
    /// What is to be said of it now.
    pub(super) fn say(&self) -> Said {
        let mut owned = BTreeMap::<TopicId, Vec<i32>>::new();
        for ((_, index), id) in &self.owned {
            owned.entry(*id).or_default().push(*index);
        }
        Said { subscription: self.settings.subscription.clone(), owned }
    }

    /// Whether that is more than the coordinator has heard.
    pub(super) fn has_news(&self) -> bool {
        self.said.as_ref() != Some(&self.say())
    }

    /// Says everything when the coordinator may not have heard it, and else only what is new.
    pub(super) fn heartbeat_request(&mut self) -> ConsumerGroupHeartbeatRequest {
        let Said { subscription, owned } = self.say();
        let mut request = self.identified(self.epoch);
        if self.said.is_none() {
            request.rebalance_timeout_ms = millis(self.settings.poll_interval_max);
            request.rack_id.clone_from(&self.settings.rack);
            request.server_assignor = match &self.settings.protocol {
                GroupProtocol::Consumer { assignor } => assignor.as_deref().map(Str::from),
                GroupProtocol::Classic => None,
            };
        }
        if self.said.as_ref().is_none_or(|said| said.subscription != subscription) {
            request.subscribed_topic_names = Some(subscription.names().to_vec());
            request.subscribed_topic_regex = match subscription {
                Subscription::Pattern(pattern) => Some(pattern),
                // It forgets the old one.
                Subscription::Names(_) => self.had_pattern.then(Str::default),
            };
            self.had_pattern |= request.subscribed_topic_regex.is_some();
        }
        if self.said.as_ref().is_none_or(|said| said.owned != owned) {
            let owned = owned.into_iter().map(|(topic_id, partitions)| OwnedTopicPartitions { topic_id, partitions });
            request.topic_partitions = Some(owned.collect());
        }
        request
    }

    pub(super) fn leave_request(&self) -> ConsumerGroupHeartbeatRequest {
        self.identified(if self.settings.instance.is_some() { LEAVES_FOR_A_WHILE } else { LEAVES })
    }

    fn identified(&self, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: self.settings.group.clone(),
            member_id: self.id.clone(),
            member_epoch,
            instance_id: self.settings.instance.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    pub(super) fn commit_request(&self, offsets: &Offsets) -> OffsetCommitRequest {
        OffsetCommitRequest {
            group_id: self.settings.group.clone(),
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.clone(),
            group_instance_id: self.settings.instance.clone(),
            topics: commit_topics(offsets),
            ..OffsetCommitRequest::default()
        }
    }

    /// Topics that it is to read and whose names are not known.
    pub(super) fn nameless(&self) -> Vec<TopicId> {
        let mut ids = self.target.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        ids.dedup();
        ids.retain(|id| !self.names.contains_key(id));
        ids
    }
}
