//! The composition root of a broker process: the operating system's disk, clock, network and threads, a coordinator, and the
//! signals that end it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::placement::Placement;
use super::ports::{OsEntropy, OsNetwork, Ports};
use super::{Broker, Door, Incoming, Parts, StartError};
use crate::config::{BrokerConfig, Layers, Listener, LoginScheme, ZooKeeperConfig};
use crate::coordination::embedded::Embedded;
use crate::coordination::recipe::session_memory::SessionMemory;
use crate::coordination::zookeeper::ZooKeeper;
use crate::coordination::{Coordinator, EnsembleConfig, EnsembleLogin, EnsembleTls, SessionState};
use crate::net::{self, SocketOptions, Stream};
use crate::storage::disk::os::OsDisk;
use crate::storage::disk::{Disk, read_file};
use crate::storage::log_dirs::LogDirs;
use crate::telemetry::event::{self, Took};
use crate::telemetry::{Event as _, OsClock};

/// Connections that may be accepted and not yet taken over.
const ACCEPTED_MAX: usize = 128;

/// Wait after the system refused to accept (too many open files).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One line for so many refusals in a row: every ten seconds.
const ACCEPT_FAILURES_PER_LINE: u64 = 100;

/// Largest PEM file that is read.
const PEM_BYTES_MAX: usize = 1 << 20;

/// What is told when the broker serves.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Partitions that were found.
    pub partitions: usize,
}

/// Runs a broker on the calling thread until a signal ends it. `serving` is called once, when it serves.
///
/// # Errors
/// [`StartError`] says what to do. What happens after the start is told by events.
pub fn run(config: BrokerConfig, layers: Layers, serving: impl FnOnce(&Serving)) -> Result<(), StartError> {
    raise_open_files();
    let loops = config.arbiters.unwrap_or_else(default_loops);
    let system = actix_rt::System::new();
    let (placement, _loops) = Placement::threads(loops, config.disk_threads)
        .map_err(|error| StartError::Other(format!("cannot start threads: {error}")))?;
    system.block_on(serve(config, layers, placement, serving))
}

/// As many files as the system lets this process have, as Java does: every log and every connection takes one. Where it may not,
/// what it has must do.
fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Half the processors: the clients, the disk threads and the kernel's part of the network need the rest.
fn default_loops() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2).max(1)
}

async fn serve(
    config: BrokerConfig,
    layers: Layers,
    placement: Placement,
    serving: impl FnOnce(&Serving),
) -> Result<(), StartError> {
    let clock = OsClock::start();
    let network = Arc::new(OsNetwork { options: socket_options(&config) });
    let ports = Ports { disk: Arc::new(OsDisk), clock: Arc::new(clock), entropy: Arc::new(OsEntropy), network };
    let began = ports.clock.moment();
    event::BrokerStarting {
        version: env!("CARGO_PKG_VERSION"),
        coordinator: config.zookeeper.as_ref().map_or("itself".to_owned(), |zookeeper| zookeeper.connect.clone()),
        log_dirs: config.log_dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", "),
    }
    .emit();
    let mut stop = Signals::new()?;
    let dirs = LogDirs::open(Arc::clone(&ports.disk), &config.log_dirs)?;
    let home = first_dir(&config)?;
    let mut memory = SessionMemory::load(Arc::clone(&ports.disk), &home);
    let earlier_sessions = memory.sessions().to_vec();
    let coordinator = coordinator(&config, &home, &ports).await?;
    remember_session(&*coordinator, &mut memory);
    tokio::task::spawn_local(remember_sessions(Rc::clone(&coordinator), memory));

    let mut addresses = Vec::new();
    let mut doors = Vec::new();
    for (listener, advertised) in config.listeners.iter().zip(advertised(&config)) {
        let (door, address) = open(listener, advertised, &config)?;
        addresses.push(address);
        doors.push(door);
    }
    let parts = Parts {
        config,
        written: layers.from_file,
        ports: ports.clone(),
        placement,
        coordinator,
        earlier_sessions,
        dirs,
        doors,
    };
    let mut broker = tokio::select! {
        started = Broker::start(parts) => started?,
        cause = stop.next() => return Err(StartError::Other(format!("stopped by {cause} while starting"))),
    };
    let local = broker.id();
    let listeners = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    let took = Took(ports.clock.moment().since(began));
    event::BrokerServing { broker: local, listeners, took }.emit();
    serving(&Serving { addresses, partitions: broker.partitions() });

    let lost = tokio::select! {
        cause = stop.next() => Err(cause),
        cause = broker.lost() => Ok(cause),
    };
    let cause = lost.clone().unwrap_or_else(|signal| signal.to_owned());
    event::BrokerStopping { broker: local, cause }.emit();
    let began = ports.clock.moment();
    let clean = tokio::select! {
        clean = broker.stop() => clean,
        cause = stop.next() => {
            let reason = format!("a second {cause} while stopping: the next start looks through the logs");
            return Err(StartError::Other(reason));
        }
    };
    event::BrokerStopped { broker: local, took: Took(ports.clock.moment().since(began)) }.emit();
    match (lost, clean) {
        (Err(_), true) => Ok(()),
        // Whoever started the process must see that this was no ordinary end.
        (Ok(cause), _) => Err(StartError::Other(cause)),
        (Err(_), false) => {
            Err(StartError::Other("not everything could be written; the next start looks through the logs".to_owned()))
        }
    }
}

/// The signals that end a broker.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let listen =
            |kind| signal(kind).map_err(|error| StartError::Other(format!("cannot listen for signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn first_dir(config: &BrokerConfig) -> Result<PathBuf, StartError> {
    config.log_dirs.first().cloned().ok_or_else(|| StartError::Other("log.dirs names no folder".to_owned()))
}

async fn coordinator(config: &BrokerConfig, home: &Path, ports: &Ports) -> Result<Rc<dyn Coordinator>, StartError> {
    match &config.zookeeper {
        Some(zookeeper) => Ok(Rc::new(ZooKeeper::connect(ensemble(zookeeper, &*ports.disk)?).await?)),
        None => {
            // Its files lie beside those of the log dir, whose lock keeps a second process away.
            let embedded = Embedded::open(Arc::clone(&ports.disk), home, Arc::clone(&ports.clock));
            Ok(Rc::new(embedded.map_err(|error| StartError::Other(error.to_string()))?))
        }
    }
}

fn ensemble(config: &ZooKeeperConfig, disk: &dyn Disk) -> Result<EnsembleConfig, StartError> {
    let pem = |path: &PathBuf| {
        let bytes = read_file(disk, path, PEM_BYTES_MAX);
        bytes
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| StartError::Other(format!("cannot read {}: {error}", path.display())))
    };
    let tls = match &config.tls {
        None => None,
        Some(tls) => Some(EnsembleTls {
            authorities_pem: tls.trusted.as_ref().map(&pem).transpose()?.unwrap_or_default(),
            identity_pem: tls.identity.as_ref().map(&pem).transpose()?,
        }),
    };
    let login = config.login.as_ref().map(|login| {
        let (user, password) = (login.user.clone(), login.password.reveal().to_owned());
        match login.scheme {
            LoginScheme::Sasl => EnsembleLogin::SaslDigest { user, password },
            LoginScheme::Digest => EnsembleLogin::Digest { user, password },
        }
    });
    Ok(EnsembleConfig {
        connect: config.connect.clone(),
        session_timeout: config.session_timeout,
        connection_timeout: config.connection_timeout,
        set_acl: config.set_acl,
        tls,
        login,
    })
}

/// Keeps the ids of our sessions on disk, so that the next run can clear away what this one left behind (see
/// [`SessionMemory`]).
async fn remember_sessions(coordinator: Rc<dyn Coordinator>, mut memory: SessionMemory) {
    let mut session = coordinator.session();
    while session.changed().await.is_ok() {
        remember_session(&*coordinator, &mut memory);
    }
}

fn remember_session(coordinator: &dyn Coordinator, memory: &mut SessionMemory) {
    let state = *coordinator.session().borrow();
    if let SessionState::Connected { session } = state
        && let Err(error) = memory.opened(session)
    {
        // It only saves a wait after a crash.
        event::SessionNotRemembered { cause: error.to_string() }.emit();
    }
}

fn socket_options(config: &BrokerConfig) -> SocketOptions {
    let connections = &config.connections;
    SocketOptions {
        send_buffer_bytes: connections.send_buffer_bytes,
        receive_buffer_bytes: connections.receive_buffer_bytes,
        loopback_congestion_control: connections.congestion_control.clone(),
    }
}

/// What clients are told to connect to, per listener of the configuration.
fn advertised(config: &BrokerConfig) -> Vec<Option<Listener>> {
    let same =
        |listener: &Listener| config.advertised_listeners.iter().find(|other| other.name == listener.name).cloned();
    config.listeners.iter().map(same).collect()
}

fn open(
    listener: &Listener,
    advertised: Option<Listener>,
    config: &BrokerConfig,
) -> Result<(Door, SocketAddr), StartError> {
    let connections = &config.connections;
    let options = socket_options(config);
    let bound = bind(listener, connections.backlog, &options)?;
    let address = bound.local_addr().map_err(|error| StartError::Other(error.to_string()))?;
    event::ListenerBound { listener: listener.name.clone(), address }.emit();
    let advertised = advertised.unwrap_or_else(|| listener.clone());
    let host = match advertised.host {
        Some(host) if !host.is_empty() => host,
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    // Port 0 was chosen by the system.
    let port = if advertised.port == 0 { address.port() } else { advertised.port };
    let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
    tokio::task::spawn_local(accept(bound, sender));
    Ok((Door { listener: listener.name.clone(), advertised: (host, port), accepted }, address))
}

fn bind(listener: &Listener, backlog: u32, options: &SocketOptions) -> Result<net::Listener, StartError> {
    let bind = |address| net::Listener::bind(address, backlog, options.clone());
    let bound = match &listener.host {
        Some(host) => bind(address(listener, host)?),
        // Every interface, by both versions of the protocol; machines without IPv6 have the old one.
        None => bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), listener.port)).or_else(|error| {
            if net::is_no_such_family(&error.source) {
                bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), listener.port))
            } else {
                Err(error)
            }
        }),
    };
    bound.map_err(|error| StartError::Other(error.to_string()))
}

fn address(listener: &Listener, host: &str) -> Result<SocketAddr, StartError> {
    let unknown = |why: String| {
        StartError::Other(format!("listener {}: the host '{host}' is unknown ({why}); see `listeners`", listener.name))
    };
    let mut found = (host, listener.port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    found.next().ok_or_else(|| unknown("no address".to_owned()))
}

/// What the system said, and what an operator can do about it.
fn with_advice(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            let limit =
                getrlimit(Resource::Nofile).current.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
            format!(
                "{error}: the limit is {limit} (a log takes one, a connection too); raise it with LimitNOFILE= in the service's unit, \
                 or ulimit -n before the start"
            )
        }
        Some(Errno::NFILE) => format!("{error}: the machine has no more for anybody; raise fs.file-max"),
        Some(_) | None => error.to_string(),
    }
}

/// Accepts until the listener's actor is gone.
async fn accept(listener: net::Listener, sender: mpsc::Sender<(Incoming, SocketAddr)>) {
    let mut refused = 0_u64;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Nobody shall wait in the backlog of a broker that stops.
            () = sender.closed() => return,
        };
        match accepted {
            Ok(incoming) => {
                refused = 0;
                // An IPv4 peer on an IPv6 socket is the same peer.
                let peer = SocketAddr::new(incoming.peer.ip().to_canonical(), incoming.peer.port());
                let socket = incoming.socket;
                let make: Incoming = Box::new(move || Stream::from_socket(socket));
                if sender.send((make, peer)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if refused.is_multiple_of(ACCEPT_FAILURES_PER_LINE) {
                    event::AcceptFailed { cause: with_advice(&error) }.emit();
                }
                refused = refused.wrapping_add(1);
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
