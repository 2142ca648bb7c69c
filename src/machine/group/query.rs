//! Questions that change nothing: OffsetFetch, DescribeGroups, ListGroups.
//!
//! Source: Kafka 3.9 `GroupMetadataManager.getOffsets`, `GroupCoordinator.handleDescribeGroup`, `handleListGroups`.

use bytes::Bytes;

use super::{CONSUMER, Coordinator, Group, Ownership, Phase};
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::wire::Str;

/// What a group committed for a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    /// The topic.
    pub topic: Str,
    /// The partition's number.
    pub partition: i32,
    /// Where to continue; [`Offset::NONE`] for nothing committed.
    pub offset: Offset,
    /// The leader epoch of the last record read, or [`LeaderEpoch::NONE`].
    pub leader_epoch: LeaderEpoch,
    /// What the client stored along with it.
    pub metadata: Str,
    /// UNSTABLE_OFFSET_COMMIT when a commit is under way and the client wants to wait for it.
    pub error: ErrorCode,
}

/// A group, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Kafka's name of its state. "Dead" for a group that is not there: that is no error.
    pub state: &'static str,
    /// What kind of group it is; empty when it never had members.
    pub protocol_type: Str,
    /// The protocol of a stable group; empty otherwise.
    pub protocol: Str,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member, described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Str,
    /// The name of a static member.
    pub instance_id: Option<Str>,
    /// What its client calls itself.
    pub client_id: Str,
    /// Where it comes from.
    pub client_host: Str,
    /// What it said about itself in the group's protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it reads; empty unless the group is stable.
    pub assignment: Bytes,
}

/// Which groups to list. Nothing said means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// States, in any case (KIP-518).
    pub states: Vec<Str>,
    /// Types, in any case (KIP-848).
    pub types: Vec<Str>,
}

/// A group in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name.
    pub group: Str,
    /// What kind of group it is; empty when it never had members.
    pub protocol_type: Str,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// `classic` or `consumer` (`Group.GroupType`).
    pub group_type: &'static str,
}

/// The type of a group of the classic protocol, or of none.
const CLASSIC: &str = "classic";

impl<T> Coordinator<T> {
    fn check_active(&self) -> Result<(), ErrorCode> {
        match self.ownership {
            Ownership::Elsewhere => Err(ErrorCode::NotCoordinator),
            Ownership::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Ownership::Active => Ok(()),
        }
    }

    /// OffsetFetch of one group: of these partitions in their order, or of all that have an offset. With `require_stable` a
    /// partition with a commit under way is an error to be tried again (KIP-447). A member says so with its epoch (KIP-848).
    ///
    /// # Errors
    /// What is wrong with all of the group.
    pub fn fetch_offsets(
        &self,
        group: &str,
        wanted: Option<&[(Str, i32)]>,
        require_stable: bool,
        member: Option<(&Str, i32)>,
    ) -> Result<Vec<FetchedOffset>, ErrorCode> {
        self.check_active()?;
        let group = self.groups.get(group);
        if let Some(state) = group.and_then(|group| group.consumer.state()) {
            state.check_fetch(member)?;
        }
        let fetch = |topic: &Str, partition: i32| fetch(group, topic, partition, require_stable);
        Ok(match (wanted, group) {
            (Some(wanted), _) => wanted.iter().map(|(topic, partition)| fetch(topic, *partition)).collect(),
            (None, Some(group)) => {
                let all = group.offsets.all_committed();
                all.map(|(topic, partition, _)| fetch(topic, partition)).collect()
            }
            (None, None) => Vec::new(),
        })
    }

    /// DescribeGroups of one group.
    ///
    /// # Errors
    /// What is wrong. The response then has empty texts.
    pub fn describe(&self, group: &str) -> Result<Description, ErrorCode> {
        self.check_active()?;
        // A group of the consumer protocol is described by another request, and is not there for this one.
        let Some(group) = self.groups.get(group).filter(|group| group.consumer.state().is_none()) else {
            return Ok(Description {
                state: "Dead",
                protocol_type: Str::default(),
                protocol: Str::default(),
                members: Vec::new(),
            });
        };
        let protocol = match group.phase {
            Phase::Stable { .. } => group.protocol.clone().unwrap_or_default(),
            Phase::Empty
            | Phase::PreparingRebalance { .. }
            | Phase::CompletingRebalance { .. }
            | Phase::Dead { .. } => Str::default(),
        };
        let is_stable = matches!(group.phase, Phase::Stable { .. });
        let members = group.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        });
        let members = members.collect();
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        Ok(Description { state: group.phase.name(), protocol_type, protocol, members })
    }

    /// ListGroups, of this partition.
    ///
    /// # Errors
    /// The groups are still being loaded: the list of the whole broker is incomplete then.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, ErrorCode> {
        match self.ownership {
            Ownership::Elsewhere => return Ok(Vec::new()),
            Ownership::Loading => return Err(ErrorCode::CoordinatorLoadInProgress),
            Ownership::Active => {}
        }
        let wants = |wanted: &[Str], is: &str| wanted.is_empty() || wanted.iter().any(|it| it.eq_ignore_ascii_case(is));
        let listed = self.groups.values().map(|group| match group.consumer.state() {
            None => Listed {
                group: group.id.clone(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.phase.name(),
                group_type: CLASSIC,
            },
            Some(state) => Listed {
                group: group.id.clone(),
                protocol_type: CONSUMER.into(),
                state: if group.is_dead() { group.phase.name() } else { state.name() },
                group_type: CONSUMER,
            },
        });
        let wanted = |it: &Listed| wants(&filter.types, it.group_type) && wants(&filter.states, it.state);
        Ok(listed.filter(wanted).collect())
    }
}

fn fetch<T>(group: Option<&Group<T>>, topic: &Str, partition: i32, require_stable: bool) -> FetchedOffset {
    let nothing = FetchedOffset {
        topic: topic.clone(),
        partition,
        offset: Offset::NONE,
        leader_epoch: LeaderEpoch::NONE,
        metadata: Str::default(),
        error: ErrorCode::None,
    };
    let Some(group) = group else { return nothing };
    if require_stable && group.offsets.has_pending(topic, partition) {
        return FetchedOffset { error: ErrorCode::UnstableOffsetCommit, ..nothing };
    }
    group.offsets.committed(topic, partition).map_or(nothing.clone(), |committed| FetchedOffset {
        offset: Offset(committed.value.offset),
        leader_epoch: LeaderEpoch(committed.value.leader_epoch),
        metadata: committed.value.metadata.clone(),
        ..nothing
    })
}
