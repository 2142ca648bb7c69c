//! Actors, and only here: thin shells around [`machine`](crate::machine) and [`storage`](crate::storage).
//!
//! The tree of supervision: the broker starts [`replicas`] (which supervises a [`partition`] per replica), a [`listener`] per
//! listener (which supervises its [`connection`]s), the [`controller`], [`config_watch`], [`admin`] and [`producer_ids`].
//! Asks go down this tree; upwards go death notices.
//!
//! *Does not know*: the command line, which disk, clock and coordinator it runs on.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, Handler, Message};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{BrokerConfig, Settings};
use crate::coordination::own_tree::{Belonging, OwnTree};
use crate::coordination::recipe::{self, RecipeError};
use crate::coordination::znode::broker::{Endpoint, Registration};
use crate::coordination::{CoordinationError, Coordinator};
use crate::model::BrokerId;
use crate::net::Stream;
use crate::storage::log_dirs::{Identity, LogDirs, LogDirsError};
use crate::telemetry::{Event as _, event};

pub mod admin;
pub mod arrival;
pub mod caught_up;
pub mod cleaner;
pub mod config_watch;
pub mod connection;
pub mod connection_quotas;
pub mod controller;
pub mod controller_watch;
pub mod conversions;
pub mod directory;
pub mod env;
pub mod fetch_slots;
pub mod fetcher;
pub mod fetchers;
pub mod file_source;
pub mod groups;
pub mod hand_over;
pub mod handlers;
pub mod image;
pub mod inbox;
pub mod isr_changes;
pub mod link;
pub mod listener;
pub mod membership;
pub mod mover;
pub mod partition;
pub mod peer;
pub mod placement;
pub mod ports;
pub mod process;
pub mod producer_ids;
pub mod quotas;
pub mod replicas;
pub mod request_budget;
pub mod settings;
pub mod supervisor;
pub mod timer;
pub mod zookeeper_offsets;

#[cfg(test)]
mod tests;

use admin::Admin;
use config_watch::{Applier, ConfigWatch};
use connection_quotas::ConnectionQuotas;
use controller::{ControllerActor, ControllerCommand, ControllerParts};
use controller_watch::{ControllerWatch, ControllerWatchParts};
use conversions::Conversions;
use directory::Directory;
use env::Env;
use fetch_slots::SessionSlots;
use groups::Groups;
use image::Metadata;
use isr_changes::{IsrChanges, IsrChangesParts};
use listener::{ListenerActor, ListenerCommand, ListenerParts};
use membership::Membership;
use placement::Placement;
use ports::{Ports, random_topic_id};
use producer_ids::ProducerIds;
use quotas::Quotas;
use replicas::{Intervals, Neighbours, Replicas, ReplicasCommand, ReplicasParts};
use request_budget::RequestBudget;
use settings::SettingsStore;
use supervisor::DeathNotice;
use zookeeper_offsets::ZookeeperOffsets;

/// What a broker is started with.
pub struct Parts {
    /// Its settings, checked.
    pub config: BrokerConfig,
    /// The same as they were written.
    pub written: Settings,
    /// Disk, clock, chance.
    pub ports: Ports,
    /// Loops and disk pool.
    pub placement: Placement,
    /// Its session with the coordinator, connected.
    pub coordinator: Rc<dyn Coordinator>,
    /// Sessions of earlier runs on the same log dirs, whose ephemerals may be removed.
    pub earlier_sessions: Vec<i64>,
    /// Log dirs, locked.
    pub dirs: LogDirs,
    /// One per listener of the configuration, in its order.
    pub doors: Vec<Door>,
}

/// Where connections of one listener come in.
pub struct Door {
    /// The listener's name.
    pub listener: String,
    /// What clients are told to connect to.
    pub advertised: (String, u16),
    /// Accepted connections.
    pub accepted: mpsc::Receiver<(Incoming, SocketAddr)>,
}

/// A connection that no loop owns yet; made into a stream on the loop that shall serve it.
pub type Incoming = Box<dyn FnOnce() -> std::io::Result<Stream> + Send>;

/// Why a broker does not start, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log dirs.
    #[error("{0}")]
    LogDirs(#[from] LogDirsError),
    /// The coordinator.
    #[error("{0}")]
    Coordination(#[from] CoordinationError),
    /// What the coordinator holds, or what others have taken.
    #[error("{0}")]
    Recipe(#[from] RecipeError),
    /// Nothing came of it.
    #[error("{0}")]
    Other(String),
}

/// A broker that serves.
pub struct Broker {
    env: Arc<Env>,
    /// `inter.broker.listener.name`.
    listener: String,
    listeners: Vec<Addr<ListenerActor>>,
    controller: Addr<ControllerActor>,
    /// Says why, once the broker cannot go on.
    lost: watch::Receiver<Option<String>>,
}

impl Broker {
    /// Starts a broker on the calling loop, in Kafka's order: identity, logs, registration, election, service. Returns when
    /// it serves.
    ///
    /// # Errors
    /// [`StartError`] says what to do.
    #[expect(clippy::too_many_lines, reason = "the composition root: one step after the other, in their order")]
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { config, written, ports, placement, coordinator, earlier_sessions, mut dirs, doors } = parts;
        let fresh = random_topic_id(&*ports.entropy).to_string();
        let cluster_id = recipe::cluster_id(&*coordinator, dirs.found_identity().cluster_id.as_deref(), &fresh).await?;
        recipe::create_persistent_paths(&*coordinator).await?;
        let local = broker_id(&*coordinator, &config, &dirs).await?;
        let identity = Identity { broker_id: local, cluster_id: cluster_id.clone() };
        dirs.set_identity(&identity, ports.clock.timestamp())?;
        for (path, error) in dirs.failed() {
            event::LogDirFailed { dir: event::Dir(path), cause: error.to_string() }.emit();
        }
        let membership = Membership::default();
        let coordinator = own_tree(coordinator, &cluster_id, &membership).await?;
        recipe::registration::end_earlier_sessions(&*coordinator, local, &earlier_sessions).await?;

        let settings = SettingsStore::new(written, config.clone());
        let (lose, lost) = watch::channel(None);
        let notice = |actor: &'static str| {
            let lose: watch::Sender<Option<String>> = lose.clone();
            DeathNotice::new(move |death| {
                lose.send_replace(Some(format!("the broker cannot do without its {actor}, and {death}")));
            })
        };
        let (failures, log_dirs_failed) = watch::channel(0);
        let (directory, metadata) = (Directory::default(), Metadata::new(&cluster_id));
        let groups = Groups::default();
        let quotas = Quotas::new(&config.replication);
        let isr_changes = IsrChanges::new(IsrChangesParts {
            local,
            listener: config.inter_broker_listener.clone(),
            membership: membership.clone(),
            metadata: metadata.clone(),
            ports: ports.clone(),
            notice: notice("way to the controller"),
        })
        .start();
        let replicas = Replicas::new(ReplicasParts {
            local,
            dirs,
            directory: directory.clone(),
            settings: settings.clone(),
            ports: ports.clone(),
            placement: placement.clone(),
            intervals: Intervals::of(&config.log),
            recovery_threads_per_dir: config.log.recovery_threads_per_dir,
            neighbours: Neighbours {
                listener: config.inter_broker_listener.clone(),
                membership: membership.clone(),
                metadata: metadata.clone(),
                isr_changes: isr_changes.clone(),
            },
            quotas: quotas.clone(),
            groups: groups.clone(),
            lose: lose.clone(),
            failures,
            notice: notice("replicas"),
        })
        .start();
        let applier = Applier { local, settings: settings.clone(), replicas: replicas.clone() };
        config_watch::load_all(&*coordinator, &applier).await?;
        let loaded = ask(&replicas, |reply| ReplicasCommand::Load { reply }).await;
        loaded.ok_or_else(|| StartError::Other("the logs could not be loaded".to_owned()))?;

        let (ready, mut is_ready) = watch::channel(Ok(false));
        let registration = registration(&config, &doors, &ports);
        let controller = ControllerActor::new(
            ControllerParts {
                local,
                membership: membership.clone(),
                listener: config.inter_broker_listener.clone(),
                registration,
                earlier_sessions,
                coordinator: Rc::clone(&coordinator),
                metadata: metadata.clone(),
                groups: groups.clone(),
                replicas: replicas.clone(),
                directory: directory.clone(),
                applier: applier.clone(),
                ports: ports.clone(),
                log_dirs_failed,
                ready,
            },
            notice("controller"),
        )
        .start();
        // A fresh mailbox has room.
        let _queued = isr_changes.try_send(isr_changes::Controller(controller.clone()));
        ControllerWatch::new(
            ControllerWatchParts {
                local,
                listener: config.inter_broker_listener.clone(),
                metadata: metadata.clone(),
                coordinator: Rc::clone(&coordinator),
                ports: ports.clone(),
            },
            notice("watch of the controller"),
        )
        .start();
        let config_watch =
            ConfigWatch::new(Rc::clone(&coordinator), applier, ports.clone(), notice("watch of the configuration"));
        let admin = Admin::new(
            Rc::clone(&coordinator),
            metadata.clone(),
            settings.clone(),
            ports.clone(),
            replicas.clone(),
            local,
        );
        let zookeeper_offsets =
            ZookeeperOffsets::new(Rc::clone(&coordinator), notice("way to the offsets in ZooKeeper")).start();
        let conversions = Conversions::new(placement.clone(), config.disk_threads);
        let env = Arc::new(Env {
            local,
            membership,
            metadata,
            directory,
            groups,
            settings,
            ports,
            placement,
            replicas,
            admin: admin.start(),
            producer_ids: ProducerIds::new(local, coordinator, notice("producer ids")).start(),
            config_watch: config_watch.start(),
            controller: controller.clone(),
            quotas,
            conversions,
            zookeeper_offsets,
            session_slots: SessionSlots::new(config.fetch_sessions_max),
            request_budget: RequestBudget::new(config.connections.queued_bytes_max),
        });
        await_ready(&mut is_ready).await?;
        let shared = Arc::new(ConnectionQuotas::default());
        let listeners = doors.into_iter().map(|door| open(door, &env, &shared, &config, notice("listener"))).collect();
        Ok(Self { env, listener: config.inter_broker_listener, listeners, controller, lost })
    }

    /// Returns when the broker cannot go on, and why.
    pub async fn lost(&mut self) -> String {
        let lost = self.lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone());
        lost.unwrap_or_else(|| "all that could lose it is gone".to_owned())
    }

    /// `broker.id`.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        self.env.local
    }

    /// Number of partitions that live here.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.env.directory.load().values().map(BTreeMap::len).sum()
    }

    /// Stops: others lead, then no more requests, those in flight answered, everything flushed and closed, the session ended. Whether all was
    /// written.
    pub async fn stop(self) -> bool {
        hand_over::hand_over(&self.env, &self.listener).await;
        // The controller's word that others lead may come too late, and nobody fetches from here any more: who waits for a follower
        // waits in vain, and is told to look elsewhere.
        ask(&self.env.replicas, |reply| ReplicasCommand::Fence { only_shared: true, reply }).await;
        let stop = |listener| ask(listener, |reply| ListenerCommand::Shutdown { reply });
        join_all(self.listeners.iter().map(stop)).await;
        let clean = ask(&self.env.replicas, |reply| ReplicasCommand::Shutdown { reply }).await;
        ask(&self.controller, |reply| ControllerCommand::Shutdown { reply }).await;
        clean.unwrap_or(false)
    }
}

async fn await_ready(ready: &mut watch::Receiver<Result<bool, String>>) -> Result<(), StartError> {
    let settled = |state: &Result<bool, String>| !matches!(state, Ok(false));
    match ready.wait_for(settled).await.map(|state| state.clone()) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(reason)) => Err(StartError::Other(reason)),
        Err(_) => Err(StartError::Other("the controller ended while the broker was starting".to_owned())),
    }
}

fn open(
    door: Door,
    env: &Arc<Env>,
    quotas: &Arc<ConnectionQuotas>,
    config: &BrokerConfig,
    notice: DeathNotice,
) -> Addr<ListenerActor> {
    let limits = connection::ConnectionLimits {
        request_bytes_max: config.connections.request_bytes_max,
        idle_max: config.connections.idle_max,
    };
    let parts = ListenerParts {
        name: door.listener.as_str().into(),
        env: Arc::clone(env),
        limits,
        quotas: Arc::clone(quotas),
        is_protected: 1 < config.listeners.len() && door.listener == config.inter_broker_listener,
        accepted: door.accepted,
        notice,
    };
    ListenerActor::new(parts).start()
}

/// The coordinator, as far as its tree is that of this broker's cluster.
async fn own_tree(
    coordinator: Rc<dyn Coordinator>,
    cluster_id: &str,
    membership: &Membership,
) -> Result<Rc<dyn Coordinator>, RecipeError> {
    let membership = membership.clone();
    let belonging = Belonging {
        cluster_id: cluster_id.to_owned(),
        heard: Box::new(move || membership.controller_epoch()),
        refused: Box::new(|why| event::TreeRefused { cause: why.to_string() }.emit()),
    };
    Ok(Rc::new(OwnTree::new(coordinator, belonging).await?))
}

/// From the configuration, else from `meta.properties`, else generated.
async fn broker_id(
    coordinator: &dyn Coordinator,
    config: &BrokerConfig,
    dirs: &LogDirs,
) -> Result<BrokerId, StartError> {
    match config.broker_id.or(dirs.found_identity().broker_id) {
        Some(id) => Ok(id),
        None => Ok(recipe::broker_id::generate(coordinator, config.reserved_broker_id_max).await?),
    }
}

fn registration(config: &BrokerConfig, doors: &[Door], ports: &Ports) -> Registration {
    let endpoint = |door: &Door| {
        let protocol = config.listeners.iter().find(|listener| listener.name == door.listener);
        Endpoint {
            listener: door.listener.clone(),
            security_protocol: protocol.map_or("PLAINTEXT", |listener| listener.security_protocol.name()).to_owned(),
            host: door.advertised.0.clone(),
            port: door.advertised.1,
        }
    };
    Registration {
        endpoints: doors.iter().map(endpoint).collect(),
        jmx_port: -1,
        registered_at: ports.clock.timestamp(),
        rack: config.rack.clone(),
        features: BTreeMap::new(),
    }
}

/// Asks an actor something and waits for the answer; `None` when the actor is gone or cannot answer.
pub(crate) fn ask<A, C, T, F>(addr: &Addr<A>, command: F) -> impl Future<Output = Option<T>> + use<A, C, T, F>
where
    F: FnOnce(oneshot::Sender<T>) -> C,
    A: Actor + Handler<C>,
    A::Context: ToEnvelope<A, C>,
    C: Message<Result = ()> + Send + 'static,
    T: Send,
{
    let (reply, answer) = oneshot::channel();
    // Who asks waits for the answer only: to hear of the message's arrival as well would wake it twice.
    let waits_for_room = match addr.try_send(command(reply)) {
        Ok(()) => None,
        Err(SendError::Full(command)) => Some(addr.send(command)),
        // The answer's sender is gone with the command.
        Err(SendError::Closed(_)) => None,
    };
    async move {
        if let Some(sent) = waits_for_room {
            sent.await.ok()?;
        }
        answer.await.ok()
    }
}
