//! What a group of the consumer protocol is asked and what it answers.

use std::time::Duration;

use super::Assignor;
use crate::model::{ErrorCode, TopicId};
use crate::wire::Str;

/// First version of ConsumerGroupHeartbeat in which the client makes the member's id (KIP-1082).
const CLIENT_MAKES_ID_FROM: i16 = 1;

/// Longest regular expression, in bytes. A topic's name has 249; nobody writes more than some names into one.
const REGEX_BYTES_MAX: usize = 8 << 10;

/// Longest member id: the longest string that can be written into a record's key.
const MEMBER_ID_BYTES_MAX: usize = 0x7fff;

/// The settings of the consumer protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerRules {
    /// `group.coordinator.rebalance.protocols` has it.
    pub is_enabled: bool,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`, in members.
    pub group_size_max: usize,
    /// `group.consumer.assignors`; the first is the default. Never empty.
    pub assignors: &'static [Assignor],
    /// `group.consumer.migration.policy` lets members of the consumer protocol join a classic group.
    pub is_upgrade_allowed: bool,
    /// It lets a group whose last member of the consumer protocol left become a classic one.
    pub is_downgrade_allowed: bool,
}

/// ConsumerGroupHeartbeat. What is not said is as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: Str,
    /// The request's version.
    pub version: i16,
    /// The member. Empty in version 0 when it has no id yet.
    pub member_id: Str,
    /// 0 joins, −1 leaves, −2 leaves for a while as a static member.
    pub epoch: i32,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// Where the client stands.
    pub rack_id: Option<Str>,
    /// How long the member may take to let go of partitions; −1 for unsaid.
    pub rebalance_timeout_ms: i32,
    /// The topics that it subscribes to by name.
    pub topic_names: Option<Vec<Str>>,
    /// The pattern of more topics; empty for none any more.
    pub topic_regex: Option<Str>,
    /// The assignor that it wants.
    pub assignor: Option<Str>,
    /// What it owns.
    pub owned: Option<Vec<(TopicId, Vec<i32>)>>,
    /// The request header's client id; empty for none.
    pub client_id: Str,
    /// Where the client comes from, as Kafka writes it: `/192.0.2.1`.
    pub client_host: Str,
    /// Random bytes, for the id of a new member.
    pub random: [u8; 16],
}

/// Answers a heartbeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeatReply {
    /// The member's id.
    pub member_id: Str,
    /// Its epoch.
    pub epoch: i32,
    /// How often it should send heartbeats; 0 when it leaves.
    pub interval_ms: i32,
    /// What it may read, when it has to hear of it.
    pub assignment: Option<Vec<(TopicId, Vec<i32>)>>,
}

/// Why something is refused, in words for the operator of the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The protocol's code.
    pub error: ErrorCode,
    /// What is wrong and what to do; `None` where the code says all.
    pub message: Option<String>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}

impl Refusal {
    pub(super) fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()) }
    }
}

impl ConsumerHeartbeat {
    pub(super) const fn joins(&self) -> bool {
        self.epoch == 0
    }

    pub(super) const fn leaves(&self) -> bool {
        self.epoch < 0
    }

    /// It says everything, and is told everything.
    pub(super) const fn is_full(&self) -> bool {
        let says_all = self.rebalance_timeout_ms != -1
            && (self.topic_names.is_some() || self.topic_regex.is_some())
            && self.owned.is_some();
        self.joins() || says_all
    }

    /// Whether the request makes sense at all.
    ///
    /// # Errors
    /// INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION, UNSUPPORTED_VERSION.
    pub(in super::super) fn check(&self, rules: &ConsumerRules) -> Result<(), Refusal> {
        let invalid = |what: &str| Err(Refusal::new(ErrorCode::InvalidRequest, what));
        let is_blank = |text: &Option<Str>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        if !rules.is_enabled {
            return Err(Refusal::new(
                ErrorCode::UnsupportedVersion,
                "The consumer protocol is not in group.coordinator.rebalance.protocols.",
            ));
        }
        if self.group.trim().is_empty() {
            return invalid("GroupId can't be empty.");
        }
        if is_blank(&self.instance_id) {
            return invalid("InstanceId can't be empty.");
        }
        if is_blank(&self.rack_id) {
            return invalid("RackId can't be empty.");
        }
        let has_id = !self.member_id.trim().is_empty() && self.member_id.len() <= MEMBER_ID_BYTES_MAX;
        let may_lack_id = self.joins() && self.version < CLIENT_MAKES_ID_FROM && self.member_id.is_empty();
        if !has_id && !may_lack_id {
            return invalid("MemberId can't be empty, nor longer than 32767 bytes.");
        }
        if self.joins() {
            if self.rebalance_timeout_ms == -1 {
                return invalid("RebalanceTimeoutMs must be provided in first request.");
            }
            if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                return invalid("TopicPartitions must be empty when (re-)joining.");
            }
            // An empty list of names is a subscription: to nothing, for now.
            if self.topic_names.is_none() && self.topic_regex.is_none() {
                return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be set in first request.");
            }
        } else if self.epoch == super::LEFT_FOR_A_WHILE && self.instance_id.is_none() {
            return invalid("InstanceId can't be null.");
        } else if self.epoch < super::LEFT_FOR_A_WHILE {
            return invalid("MemberEpoch is invalid.");
        }
        if let Some(name) = &self.assignor
            && !rules.assignors.iter().any(|assignor| *name == *assignor.name())
        {
            let offered = rules.assignors.iter().map(|assignor| assignor.name()).collect::<Vec<_>>().join(", ");
            let message = format!("ServerAssignor {name} is not supported. Supported assignors: {offered}.");
            return Err(Refusal::new(ErrorCode::UnsupportedAssignor, message));
        }
        if let Some(regex) = &self.topic_regex
            && REGEX_BYTES_MAX < regex.len()
        {
            let message = format!("SubscribedTopicRegex is longer than {REGEX_BYTES_MAX} bytes.");
            return Err(Refusal::new(ErrorCode::InvalidRegularExpression, message));
        }
        Ok(())
    }
}
