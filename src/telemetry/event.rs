//! What happens in a broker, one struct each.
//!
//! A row gives the level, the struct, the name of log line and metric, the fields, which of them is the metric's label
//! (always a `&'static str`), and the sentence. The doc comment is the metric's help. Texts are borrowed: a line that is
//! not written costs nothing but the count.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::model::{BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, Moment, Offset, TopicId};

use super::counts::{Counts, Metric};
use super::limit::{Offer, RateLimit};

/// Anything that has a text: a name, a path, an error.
type Text<'e> = &'e dyn fmt::Display;

/// A field of a log line: numbers stay numbers, everything else is text.
trait Field {
    fn shown(&self) -> impl tracing::Value;
}

macro_rules! fields {
    ($($kind:ty: |$field:ident| $shown:expr),* $(,)?) => {
        $(impl Field for $kind {
            fn shown(&self) -> impl tracing::Value {
                let $field = self;
                $shown
            }
        })*
    };
}

fields! {
    i64: |number| *number,
    u64: |number| *number,
    i32: |number| *number,
    u32: |number| *number,
    usize: |number| *number,
    bool: |flag| *flag,
    &'static str: |text| *text,
    BrokerId: |id| id.0,
    BrokerEpoch: |epoch| epoch.0,
    ControllerEpoch: |epoch| epoch.0,
    LeaderEpoch: |epoch| epoch.0,
    Offset: |offset| offset.0,
    ErrorCode: |code| code.name(),
    TopicId: |id| tracing::field::display(*id),
    SocketAddr: |address| tracing::field::display(*address),
    Text<'_>: |text| tracing::field::display(*text),
    Folder<'_>: |folder| tracing::field::display(folder.0.display()),
    Took: |took| u64::try_from(took.0.as_millis()).unwrap_or(u64::MAX),
}

/// A folder or file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Folder<'e>(pub &'e Path);

impl fmt::Display for Folder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.display(), f)
    }
}

/// How long something took. A number of milliseconds beside the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}

macro_rules! events {
    (@label $event:expr,) => { None };
    (@label $event:expr, $label:ident) => { Some($event.$label) };
    (@label_name) => { None };
    (@label_name $label:ident) => { Some(stringify!($label)) };
    ($($(#[doc = $help:literal])+ $level:ident $name:ident $(<$life:lifetime>)? $metric:literal {
        $($field:ident: $kind:ty),* $(,)?
    } $(by $label:ident)? $sentence:literal;)*) => {
        $(
            $(#[doc = $help])+
            #[derive(Clone, Copy)]
            pub struct $name $(<$life>)? {
                $(#[doc = concat!("The field `", stringify!($field), "` of the log line.")] pub $field: $kind,)*
            }

            impl $(<$life>)? fmt::Display for $name $(<$life>)? {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let Self { $($field),* } = self;
                    let _ = ($($field,)*);
                    write!(f, $sentence)
                }
            }

            impl $(<$life>)? $name $(<$life>)? {
                /// The name in the log line (`event=…`) and in the metric (`dohle_…_total`).
                pub const NAME: &'static str = $metric;

                /// Its counter.
                pub fn counts() -> &'static Counts {
                    static COUNTS: Counts = Counts::new();
                    &COUNTS
                }

                /// Counts, and writes the log line.
                pub fn emit(&self) {
                    self.count();
                    self.log();
                }

                /// Counts, and writes the log line if `peer` has not caused too many within the second. What was held
                /// back is told with the peer's next line, or when [`RateLimit::due`] is asked.
                pub fn emit_limited<K: Ord + Clone + fmt::Display>(
                    &self,
                    limit: &mut RateLimit<K>,
                    peer: &K,
                    now: Moment,
                ) {
                    self.count();
                    match limit.offer(peer, now) {
                        Offer::Write => self.log(),
                        Offer::WriteAfter(held_back) => {
                            held_back.tell(Self::NAME);
                            self.log();
                        }
                        Offer::HoldBack => {}
                    }
                }

                fn count(&self) {
                    Self::counts().add(events!(@label self, $($label)?));
                }

                fn log(&self) {
                    tracing::event!(
                        tracing::Level::$level,
                        event = $metric,
                        $($field = self.$field.shown(),)*
                        "{self}"
                    );
                }
            }
        )*

        /// Every kind of event, in the order of this file.
        pub static ALL: &[Metric] = &[$(Metric {
            name: $metric,
            help: concat!($($help),+),
            label: events!(@label_name $($label)?),
            counts: $name::counts,
        },)*];
    };
}

events! {
    // The broker's life.

    /// The broker begins to start.
    INFO BrokerStarting<'e> "broker_starting" { version: &'static str, coordinator: Text<'e>, log_dirs: Text<'e> }
        "Dohle {version} starts, coordinated by {coordinator}, with its data in {log_dirs}";
    /// The broker answers requests from now on.
    INFO BrokerServing<'e> "broker_serving" { broker: BrokerId, listeners: Text<'e>, took: Took }
        "broker {broker} serves on {listeners} after {took}";
    /// The broker begins to stop.
    INFO BrokerStopping<'e> "broker_stopping" { broker: BrokerId, reason: Text<'e> }
        "broker {broker} stops: {reason}";
    /// The broker has stopped, everything flushed.
    INFO BrokerStopped "broker_stopped" { broker: BrokerId, took: Took }
        "broker {broker} has stopped after {took}";
    /// The broker cannot start or go on.
    ERROR BrokerFailed<'e> "broker_failed" { error: Text<'e> }
        "the broker ends: {error}";
    /// A key of the file has no effect.
    WARN ConfigKeyInert<'e> "config_key_inert" { key: Text<'e>, place: Text<'e>, reason: Text<'e> }
        "{place}: {key} {reason}";
    /// The configuration of a topic or of brokers changed while running.
    INFO ConfigChanged<'e> "config_changed" { entity: Text<'e> }
        "the configuration of {entity} changed";
    /// A stored setting cannot be applied and is left out.
    WARN ConfigRejected<'e> "config_rejected" { key: Text<'e>, reason: Text<'e> }
        "the stored setting {key} is left out: {reason}";

    // Listeners and connections.

    /// A listener is open.
    INFO ListenerBound<'e> "listener_bound" { listener: Text<'e>, address: SocketAddr }
        "listener {listener} is open on {address}";
    /// Connections cannot be accepted for now.
    WARN AcceptFailed<'e> "accept_failed" { listener: Text<'e>, error: Text<'e> }
        "listener {listener} could not accept a connection: {error}";
    /// A connection was accepted.
    DEBUG ConnectionAccepted "connection_accepted" { peer: SocketAddr }
        "{peer} connected";
    /// A connection ended.
    DEBUG ConnectionClosed<'e> "connection_closed" { peer: SocketAddr, reason: Text<'e> }
        "the connection of {peer} ended: {reason}";
    /// A connection was refused because of a limit.
    WARN ConnectionRefused "connection_refused" { peer: SocketAddr, reason: &'static str } by reason
        "refused a connection of {peer}: {reason} is reached";
    /// A client said what software it is (KIP-511).
    DEBUG ClientIntroduced<'e> "client_introduced" { peer: SocketAddr, software: Text<'e>, version: Text<'e> }
        "{peer} is {software} {version}";
    /// A request that breaks the protocol.
    WARN BadRequest<'e> "bad_request" { peer: SocketAddr, api: &'static str, reason: Text<'e> } by api
        "bad {api} request of {peer}: {reason}";
    /// Bytes that a request had left over and that were ignored.
    DEBUG BytesLeftOver "bytes_left_over" { peer: SocketAddr, api: &'static str, bytes: usize } by api
        "ignored {bytes} bytes behind the {api} request of {peer}";
    /// A record batch was refused.
    WARN BatchRejected<'e> "batch_rejected" { peer: SocketAddr, reason: Text<'e> }
        "refused a batch of {peer}: {reason}";
    /// Lines that a peer caused too many of were counted instead of written.
    WARN LinesHeldBack<'e> "lines_held_back" { about: &'static str, peer: Text<'e>, lines: u64 } by about
        "{lines} more lines of {about} about {peer} were not written";

    // Logs and disks.

    /// A partition's log was made.
    INFO PartitionCreated<'e> "partition_created" { partition: Text<'e> }
        "made the log of {partition}";
    /// A partition's log is open.
    DEBUG PartitionOpened<'e> "partition_opened" { partition: Text<'e>, start: Offset, end: Offset }
        "{partition} is open from offset {start} to {end}";
    /// A partition's log cannot be used; the replica is out of service.
    ERROR PartitionUnusable<'e> "partition_unusable" { partition: Text<'e>, error: Text<'e> }
        "{partition} is out of service: {error}";
    /// A partition had no room for a command and was skipped.
    WARN PartitionBusy<'e> "partition_busy" { partition: Text<'e>, command: &'static str } by command
        "{partition} is too busy for {command}";
    /// The owner of the partitions had no room for a command and was skipped.
    WARN ReplicasBusy "replicas_busy" { command: &'static str } by command
        "the owner of the partitions is too busy for {command}";
    /// A log was read again after an unclean stop.
    INFO LogRecovered<'e> "log_recovered" { partition: Text<'e>, bytes: u64 }
        "{partition} was recovered, {bytes} bytes read";
    /// A torn tail was cut from a log.
    WARN LogTruncated<'e> "log_truncated" { partition: Text<'e>, offset: Offset, bytes: u64, reason: Text<'e> }
        "{partition} was cut at offset {offset}, {bytes} bytes: {reason}";
    /// A log is damaged where nothing may be cut.
    ERROR LogCorrupt<'e> "log_corrupt" { partition: Text<'e>, error: Text<'e> }
        "{partition} is damaged and nothing was changed: {error}";
    /// A derived file (index, snapshot, checkpoint) was missing or damaged, and was built anew.
    WARN FileRebuilt<'e> "file_rebuilt" { partition: Text<'e>, file: Text<'e>, reason: Text<'e> }
        "{file} of {partition} was built anew: {reason}";
    /// A segment was closed and a new one begun.
    DEBUG SegmentRolled<'e> "segment_rolled" { partition: Text<'e>, base_offset: Offset }
        "{partition} begins a segment at offset {base_offset}";
    /// Old segments were deleted.
    INFO SegmentsDeleted<'e> "segments_deleted" { partition: Text<'e>, segments: usize, bytes: u64, start: Offset }
        "deleted {segments} segments ({bytes} bytes) of {partition}, which begins at offset {start} now";
    /// Deleting files failed; it is tried again.
    WARN DeleteFailed<'e> "delete_failed" { error: Text<'e> }
        "deleting failed: {error}";
    /// Looking for old segments failed; it is tried again.
    WARN RetentionFailed<'e> "retention_failed" { partition: Text<'e>, error: Text<'e> }
        "retention of {partition} failed: {error}";
    /// Records could not be written.
    ERROR AppendRefused<'e> "append_refused" { partition: Text<'e>, error: Text<'e> }
        "{partition} could not be written: {error}";
    /// Records could not be read.
    ERROR ReadFailed<'e> "read_failed" { error: Text<'e> }
        "reading records failed: {error}";
    /// A flush failed; nothing is acknowledged from this log until it was opened again.
    ERROR FlushFailed<'e> "flush_failed" { partition: Text<'e>, error: Text<'e> }
        "flushing {partition} failed, nothing of it is acknowledged until it is opened again: {error}";
    /// A checkpoint file could not be written; the next start has more to read.
    WARN CheckpointFailed<'e> "checkpoint_failed" { error: Text<'e> }
        "a checkpoint could not be written: {error}";
    /// A disk is full; its partitions refuse records and go on being read.
    ERROR DiskFull<'e> "disk_full" { path: Folder<'e> }
        "the disk of {path} is full: records are refused until there is space";
    /// A disk that was full has space again.
    INFO DiskHasSpace<'e> "disk_has_space" { path: Folder<'e> }
        "there is space again in {path}";
    /// A data folder cannot be used any more.
    ERROR LogDirFailed<'e> "log_dir_failed" { path: Text<'e>, error: Text<'e> }
        "the log dir {path} is out of service: {error}";

    // Coordination.

    /// A session with the coordinator is there.
    INFO SessionConnected "session_connected" { session: i64 }
        "connected to the coordinator with session {session:#x}";
    /// The connection to the coordinator broke; the session may live on.
    WARN SessionDisconnected "session_disconnected" { session: i64 }
        "lost the connection to the coordinator, session {session:#x} may live on";
    /// The coordinator ended the session: the broker fences itself and registers anew.
    WARN SessionExpired "session_expired" { session: i64 }
        "the coordinator ended session {session:#x}: no leadership holds until the broker is registered again";
    /// The coordinator cannot be reached at the start.
    WARN CoordinatorAwaited<'e> "coordinator_awaited" { servers: Text<'e>, error: Text<'e> }
        "waiting for the coordinator at {servers}: {error}";
    /// The coordinator did not do what was asked; it is tried again.
    WARN CoordinationFailed<'e> "coordination_failed" { error: Text<'e> }
        "the coordinator failed: {error}";
    /// A znode does not hold what it should; it is passed over.
    ERROR ZnodeUnreadable<'e> "znode_unreadable" { path: Text<'e>, error: Text<'e> }
        "the znode {path} cannot be understood and is passed over: {error}";
    /// The broker is registered.
    INFO BrokerRegistered "broker_registered" { broker: BrokerId, epoch: BrokerEpoch }
        "registered as broker {broker} with epoch {epoch}";
    /// This broker became the controller.
    INFO ControllerElected "controller_elected" { broker: BrokerId, epoch: ControllerEpoch }
        "broker {broker} is the controller with epoch {epoch}";
    /// Another broker is the controller.
    INFO ControllerIsOther "controller_is_other" { broker: BrokerId }
        "the controller is broker {broker}";
    /// This broker is no longer the controller.
    INFO ControllerResigned "controller_resigned" {}
        "no longer the controller";
    /// A partition refused what the controller told it.
    WARN LeaderAndIsrRefused<'e> "leader_and_isr_refused" { partition: Text<'e>, error: ErrorCode }
        "{partition} refused its leader and in-sync replicas: {error}";
    /// Another broker cannot be told what it should do.
    WARN BrokerNotServed "broker_not_served" { broker: BrokerId }
        "broker {broker} is not told of changes: replication between brokers is not there yet";

    // Topics.

    /// A topic was created.
    INFO TopicCreated<'e> "topic_created" { topic: Text<'e>, id: TopicId, partitions: i32 }
        "created {topic} ({id}), partitions: {partitions}";
    /// A topic could not be created although somebody asked for it.
    WARN AutoCreateFailed<'e> "auto_create_failed" { topic: Text<'e>, reason: Text<'e> }
        "{topic} could not be created on first use: {reason}";
    /// A topic got more partitions.
    INFO PartitionsAdded<'e> "partitions_added" { topic: Text<'e>, partitions: i32 }
        "{topic} has more partitions now: {partitions}";
    /// A topic was deleted.
    INFO TopicDeleted<'e> "topic_deleted" { topic: Text<'e> }
        "deleted {topic}";

    // Supervision.

    /// An actor panicked or ended unasked.
    ERROR ActorDied<'e> "actor_died" { actor: &'static str, name: Text<'e>, panicked: bool } by actor
        "{actor} {name} died (panicked: {panicked})";
    /// An actor that died was made anew.
    WARN ActorRestarted<'e> "actor_restarted" { actor: &'static str, name: Text<'e> } by actor
        "{actor} {name} runs again";
    /// An actor died too often; its parent gives it up.
    ERROR ActorGivenUp<'e> "actor_given_up" { actor: &'static str, name: Text<'e> } by actor
        "{actor} {name} died too often and is given up";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::render;
    use super::*;

    #[test]
    fn names_are_snake_case_and_stand_once() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} stands there twice", metric.name);
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{}", metric.help);
        }
    }

    #[test]
    fn an_event_counts_where_its_label_says() {
        // Other tests of this process count too: look at events that they leave alone.
        let restarted = |actor| ActorRestarted { actor, name: &"t-0" };
        restarted("partition").emit();
        restarted("partition").emit();
        restarted("connection").emit();
        DiskHasSpace { path: Folder(Path::new("/data")) }.emit();
        let text = render();
        for line in [
            "# HELP dohle_actor_restarted_total An actor that died was made anew.",
            "# TYPE dohle_actor_restarted_total counter",
            "dohle_actor_restarted_total{actor=\"connection\"} 1",
            "dohle_actor_restarted_total{actor=\"partition\"} 2",
            "dohle_disk_has_space_total 1",
            "dohle_log_corrupt_total 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert_eq!(ActorRestarted::counts().total(), 3);
    }

    #[test]
    fn held_back_lines_are_counted_all_the_same() {
        let mut limit = RateLimit::new(1);
        let peer = SocketAddr::from(([10, 0, 0, 1], 9));
        for _ in 0..10 {
            let request = BadRequest { peer, api: "Produce", reason: &"cut short" };
            request.emit_limited(&mut limit, &peer.ip(), Moment::default());
        }
        assert_eq!(BadRequest::counts().total(), 10);
        let due = limit.due(Moment(Duration::from_secs(1)));
        assert_eq!(due.iter().map(|held_back| held_back.lines).collect::<Vec<_>>(), [9]);
        due.iter().for_each(|held_back| held_back.tell(BadRequest::NAME));
        assert_eq!(LinesHeldBack::counts().total(), 1);
    }

    #[test]
    fn a_sentence_reads_well() {
        let event = TopicDeleted { topic: &"t" };
        assert_eq!(event.to_string(), "deleted t");
        let event = DiskFull { path: Folder(Path::new("/data")) };
        assert_eq!(event.to_string(), "the disk of /data is full: records are refused until there is space");
    }
}
