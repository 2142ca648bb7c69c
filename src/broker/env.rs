//! What a request handler may reach. One per broker, shared by all loops; each handler takes from it the two or three things
//! that it uses.

use std::sync::Arc;

use actix::Addr;

use super::admin::Admin;
use super::config_watch::ConfigWatch;
use super::controller::ControllerActor;
use super::conversions::Conversions;
use super::directory::Directory;
use super::groups::Groups;
use super::image::Metadata;
use super::membership::Membership;
use super::placement::Placement;
use super::ports::Ports;
use super::producer_ids::ProducerIds;
use super::quotas::Quotas;
use super::replicas::Replicas;
use super::request_budget::RequestBudget;
use super::settings::SettingsStore;
use super::zookeeper_offsets::ZookeeperOffsets;
use crate::model::BrokerId;

/// See the module.
pub struct Env {
    /// This broker.
    pub local: BrokerId,
    /// This broker in the cluster: the epochs that requests between brokers are checked against.
    pub membership: Membership,
    /// What is known of the cluster.
    pub metadata: Metadata,
    /// The partitions that live here.
    pub directory: Directory,
    /// The coordinators of groups that are here.
    pub groups: Groups,
    /// Broker and topic settings.
    pub settings: SettingsStore,
    /// Disk, clock, chance.
    pub ports: Ports,
    /// Loops and disk pool.
    pub placement: Placement,
    /// Log dirs.
    pub replicas: Addr<Replicas>,
    /// Changes to topics and configuration.
    pub admin: Addr<Admin>,
    /// Reads settings of topics that are new here.
    pub config_watch: Addr<ConfigWatch>,
    /// Elections.
    pub controller: Addr<ControllerActor>,
    /// Producer ids.
    pub producer_ids: Addr<ProducerIds>,
    /// Fetch sessions that may still be opened.
    pub session_slots: Arc<super::fetch_slots::SessionSlots>,
    /// How fast replicas are copied.
    pub quotas: Quotas,
    /// Conversions of old message formats.
    pub conversions: Conversions,
    /// Offsets that groups of the ZooKeeper era keep there.
    pub zookeeper_offsets: Addr<ZookeeperOffsets>,
    /// Bytes of requests that may still be read.
    pub request_budget: Arc<RequestBudget>,
}
