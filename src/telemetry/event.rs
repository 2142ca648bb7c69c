//! What happens in a broker, one struct each.
//!
//! A row gives the level, the struct, the name of log line and metric, the fields, which of them is the metric's label
//! (always a `&'static str`), and the sentence. The doc comment is the metric's help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::field::{DisplayValue, display};

use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, ErrorCode, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition,
};

use super::Event;
use super::counts::{Counts, Metric};

/// A field of a log line: numbers stay numbers, everything else is text.
trait Field {
    type Shown<'f>: tracing::Value
    where
        Self: 'f;
    fn shown(&self) -> Self::Shown<'_>;
}

macro_rules! fields {
    (number: $($number:ty),*; id: $($id:ty as $inner:ty),*; text: $($text:ty),*) => {
        $(impl Field for $number {
            type Shown<'f> = $number;
            fn shown(&self) -> $number { *self }
        })*
        $(impl Field for $id {
            type Shown<'f> = $inner;
            fn shown(&self) -> $inner { self.0 }
        })*
        $(impl Field for $text {
            type Shown<'f> = DisplayValue<&'f $text>;
            fn shown(&self) -> DisplayValue<&$text> { display(self) }
        })*
    };
}

fields! {
    number: i64, u64, u32, i32, i16, bool;
    id: BrokerId as i32, BrokerEpoch as i64, ControllerEpoch as i32, LeaderEpoch as i32, Offset as i64;
    text: String, &'static str, SocketAddr, TopicName, TopicPartition, TopicId, ErrorCode, Dir, Took, Brokers
}

/// A data folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dir(pub PathBuf);

impl std::fmt::Display for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0.display(), f)
    }
}

/// Broker ids. Shown between brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brokers(pub Vec<BrokerId>);

impl std::fmt::Display for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.0.iter().map(|id| id.0.to_string()).collect::<Vec<_>>();
        write!(f, "[{}]", ids.join(", "))
    }
}

/// How long something took. Shown in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Took(pub Duration);

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.0.as_millis())
    }
}

macro_rules! events {
    (@label $event:expr,) => { None };
    (@label $event:expr, $label:ident) => { Some($event.$label) };
    (@label_name) => { None };
    (@label_name $label:ident) => { Some(stringify!($label)) };
    ($($(#[doc = $help:literal])+ $level:ident $name:ident $metric:literal {
        $($field:ident: $kind:ty),* $(,)?
    } $(by $label:ident)? $sentence:literal;)*) => {
        $(
            $(#[doc = $help])+
            #[derive(Clone, PartialEq, Eq, Debug)]
            pub struct $name {
                $(#[doc = concat!("The field `", stringify!($field), "` of the log line.")] pub $field: $kind,)*
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    let Self { $($field),* } = self;
                    let _ = ($($field,)*);
                    write!(f, $sentence)
                }
            }

            impl Event for $name {
                const NAME: &'static str = $metric;

                fn counts() -> &'static Counts {
                    static COUNTS: Counts = Counts::new();
                    &COUNTS
                }

                fn label(&self) -> Option<&'static str> {
                    events!(@label self, $($label)?)
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
            counts: <$name as Event>::counts,
        },)*];
    };
}

// Life of the broker and its sockets.
events! {
    /// The broker begins to start.
    INFO BrokerStarting "broker_starting" { version: &'static str, coordinator: String, log_dirs: String }
        "Dohle {version} starts, coordinated by {coordinator}, with its data in {log_dirs}";
    /// The broker answers requests from now on.
    INFO BrokerServing "broker_serving" { broker: BrokerId, listeners: String, took: Took }
        "broker {broker} serves on {listeners} after {took}";
    /// The broker begins to stop.
    INFO BrokerStopping "broker_stopping" { broker: BrokerId, cause: String }
        "broker {broker} stops: {cause}";
    /// The broker has stopped, everything flushed.
    INFO BrokerStopped "broker_stopped" { broker: BrokerId, took: Took }
        "broker {broker} has stopped after {took}";
    /// The broker cannot start or go on.
    ERROR BrokerFailed "broker_failed" { cause: String }
        "the broker ends: {cause}";
    /// A listener is open.
    INFO ListenerBound "listener_bound" { listener: String, address: SocketAddr }
        "listener {listener} is open on {address}";
    /// A connection was accepted.
    DEBUG ConnectionAccepted "connection_accepted" { listener: String, peer: SocketAddr }
        "{peer} connected to {listener}";
    /// A connection went to the event loop that owns most of the partitions it writes to.
    DEBUG ConnectionMoved "connection_moved" { peer: SocketAddr, to: u64 }
        "the connection of {peer} is served by event loop {to} now";
    /// A connection ended.
    DEBUG ConnectionClosed "connection_closed" { peer: SocketAddr, reason: &'static str } by reason
        "the connection of {peer} is closed: {reason}";
    /// A connection was refused because of a limit.
    WARN ConnectionRefused "connection_refused" { listener: String, peer: SocketAddr, reason: &'static str } by reason
        "refused a connection of {peer} to {listener}: {reason}";
    /// A request that breaks the protocol, or a part of it that does.
    WARN BadRequest "bad_request" { peer: SocketAddr, api: &'static str, detail: String } by api
        "bad {api} request of {peer}: {detail}";
    /// Bytes that a request had left over and that were ignored.
    DEBUG TrailingBytes "trailing_bytes" { peer: SocketAddr, api: &'static str, bytes: u64 } by api
        "ignored {bytes} bytes behind the {api} request of {peer}";
    /// A client said what software it is.
    DEBUG ClientIntroduced "client_introduced" { peer: SocketAddr, software: String, version: String }
        "{peer} is {software} {version}";
    /// The system refused to accept a connection.
    WARN AcceptFailed "accept_failed" { cause: String }
        "cannot accept connections, trying again: {cause}";
    /// Lines that a peer caused too many of were counted instead of written.
    WARN LinesHeldBack "lines_held_back" { about: &'static str, peer: String, lines: u64 } by about
        "{lines} more lines of {about} about {peer} were not written";

    /// A partition's log is open.
    DEBUG PartitionOpened "partition_opened" { partition: TopicPartition, start: Offset, end: Offset, took: Took }
        "{partition} is open from offset {start} to {end} after {took}";
    /// A partition's log was read again after an unclean stop.
    INFO PartitionRecovered "partition_recovered" {
        partition: TopicPartition, bytes: u64
    }
        "{partition} was read again after an unclean stop ({bytes} bytes)";
    /// A torn tail was cut from a log.
    WARN PartitionTruncated "partition_truncated" { partition: TopicPartition, offset: Offset, bytes: u64, cause: String }
        "{partition} was cut at offset {offset}, {bytes} bytes: {cause}";
    /// A log is damaged where nothing may be cut; the replica is out of service.
    ERROR PartitionCorrupt "partition_corrupt" { partition: TopicPartition, offset: Offset, cause: String }
        "{partition} is damaged at offset {offset} and out of service: {cause}";
    /// A derived file (index, snapshot, checkpoint) was missing or damaged, and was built anew.
    WARN FileRebuilt "file_rebuilt" { partition: TopicPartition, file: String, cause: String }
        "{file} of {partition} was built anew: {cause}";
    /// A segment was closed and a new one begun.
    DEBUG SegmentRolled "segment_rolled" { partition: TopicPartition, base_offset: Offset, reason: &'static str } by reason
        "{partition} begins a segment at offset {base_offset}: {reason}";
    /// Old segments were deleted.
    INFO SegmentsDeleted "segments_deleted" {
        partition: TopicPartition, segments: u64, bytes: u64, start: Offset, reason: &'static str
    } by reason
        "deleted {segments} segments ({bytes} bytes) of {partition}, which begins at offset {start} now: {reason}";
    /// A partition was created.
    DEBUG PartitionCreated "partition_created" { partition: TopicPartition }
        "created {partition}";
    /// A partition cannot be served.
    ERROR PartitionUnusable "partition_unusable" { partition: TopicPartition, cause: String }
        "{partition} cannot be served: {cause}";
    /// A partition refused a batch.
    DEBUG AppendRefused "append_refused" { partition: TopicPartition, cause: String }
        "{partition} refused a batch: {cause}";
    /// Records of a format before magic 2 that were produced and converted.
    DEBUG ProduceMessageConversions "produce_message_conversions" { topic: String, records: u64 }
        "converted {records} records for {topic} that came in an old format";
    /// Records that were converted to a format before magic 2 for a client that fetched them.
    DEBUG FetchMessageConversions "fetch_message_conversions" { topic: String, records: u64 }
        "converted {records} records of {topic} to an old format";
    /// Records could not be read.
    ERROR ReadFailed "read_failed" { cause: String }
        "cannot read records: {cause}";
    /// Old segments could not be removed.
    ERROR RetentionFailed "retention_failed" { partition: TopicPartition, cause: String }
        "cannot remove old segments of {partition}: {cause}";
    /// A log was compacted.
    INFO LogCleaned "log_cleaned" { partition: TopicPartition, end: Offset, before: u64, after: u64 }
        "{partition} is compacted up to {end}: {before} bytes became {after}";
    /// A log could not be compacted now, and will be tried again.
    WARN CleaningFailed "cleaning_failed" { partition: TopicPartition, cause: String }
        "{partition} cannot be compacted now: {cause}";
    /// A log cannot be compacted, and will not be tried again until it was opened anew. It grows; nothing of it is lost.
    ERROR LogUncleanable "log_uncleanable" { partition: TopicPartition, cause: String }
        "{partition} is not compacted any more and grows, until it is opened anew: {cause}";
    /// Files that are no longer needed could not be removed.
    ERROR DeleteFailed "delete_failed" { cause: String }
        "cannot delete files: {cause}";
    /// The checkpoint files could not be written.
    ERROR CheckpointFailed "checkpoint_failed" { cause: String }
        "cannot write the checkpoints, the next start reads more than it needs: {cause}";
    /// A flush failed; nothing is acknowledged from this log until it was opened again.
    ERROR FlushFailed "flush_failed" { partition: TopicPartition, cause: String }
        "flushing {partition} failed, nothing of it is acknowledged until it is opened again: {cause}";
    /// A disk is full; its partitions refuse records and go on being read.
    ERROR DiskFull "disk_full" { dir: Dir }
        "the disk of {dir} is full: records are refused until there is space";
    /// A disk that was full has space again.
    INFO DiskHasSpace "disk_has_space" { dir: Dir }
        "there is space again in {dir}";
    /// A replica is on its way to another data folder.
    INFO LogDirMoveBegun "log_dir_move_begun" { partition: TopicPartition, dir: Dir }
        "{partition} goes to {dir}";
    /// A replica is in another data folder now.
    INFO LogDirMoved "log_dir_moved" { partition: TopicPartition }
        "{partition} is in its new data folder";
    /// A replica stays in its data folder, although it was to go to another one.
    ERROR LogDirMoveFailed "log_dir_move_failed" { partition: TopicPartition, cause: String }
        "{partition} stays in its data folder: {cause}";
    /// A data folder cannot be used any more.
    ERROR LogDirFailed "log_dir_failed" { dir: Dir, cause: String }
        "{dir} failed and is out of service: {cause}";

    /// A session with ZooKeeper is there.
    INFO SessionConnected "session_connected" { session: i64 }
        "connected to the coordinator with session {session:#x}";
    /// The connection to ZooKeeper broke; the session may live on.
    WARN SessionLost "session_lost" { session: i64 }
        "lost the connection to the coordinator, session {session:#x} may live on";
    /// ZooKeeper ended the session: the broker fences itself and registers anew.
    WARN SessionExpired "session_expired" { session: i64 }
        "the coordinator ended session {session:#x}: no leadership holds until the broker is registered again";
    /// What ZooKeeper holds is not ours, or no longer: the broker is registered nowhere until it is.
    ERROR TreeRefused "tree_refused" { cause: String }
        "this broker does not register: {cause}";
    /// ZooKeeper cannot be reached at the start.
    WARN CoordinatorAwaited "coordinator_awaited" { servers: String, cause: String }
        "waiting for ZooKeeper at {servers}: {cause}";
    /// The broker is registered.
    INFO BrokerRegistered "broker_registered" { broker: BrokerId, epoch: BrokerEpoch }
        "registered as broker {broker} with epoch {epoch}";
    /// The session's id could not be written down.
    WARN SessionNotRemembered "session_not_remembered" { cause: String }
        "cannot write down the session, a start after a crash has to wait for its end: {cause}";
    /// The coordinator did not do what it was asked; the work starts over.
    WARN CoordinationFailed "coordination_failed" { cause: String }
        "the coordinator failed, starting over: {cause}";
    /// A znode holds what nobody understands.
    ERROR ZnodeUnreadable "znode_unreadable" { path: String, cause: String }
        "the znode {path} is passed over: {cause}";
    /// Another broker is the controller.
    INFO ControllerIsOther "controller_is_other" { broker: BrokerId }
        "broker {broker} is the controller";
    /// The controller told a partition who leads, and it could not follow.
    WARN LeaderAndIsrRefused "leader_and_isr_refused" { partition: TopicPartition, code: ErrorCode }
        "{partition} cannot take its role: {code}";
    /// The leader wants another set of in-sync replicas.
    INFO IsrWished "isr_wished" { partition: TopicPartition, isr: Brokers }
        "{partition}: the in-sync replicas are to be {isr}";
    /// A follower cuts off what its leader does not have.
    INFO LogTruncated "log_truncated" { partition: TopicPartition, end: Offset, cut: String }
        "{partition} ends at {end} and is cut: {cut}";
    /// A follower goes on or begins to copy from its leader.
    DEBUG Following "following" { partition: TopicPartition, leader: BrokerId, epoch: LeaderEpoch }
        "{partition} follows broker {leader} under epoch {epoch}";
    /// A follower cannot copy a partition now.
    WARN FetchFailed "fetch_failed" { partition: TopicPartition, leader: BrokerId, code: ErrorCode }
        "{partition} cannot be copied from broker {leader}: {code}";
    /// A follower does not reach its leader.
    WARN LeaderUnreachable "leader_unreachable" { leader: BrokerId, cause: String }
        "broker {leader} is not reached, and nothing is copied from it: {cause}";
    /// This broker is about to stop, and still leads partitions that other brokers have, too.
    WARN HandOverIncomplete "hand_over_incomplete" { left: u64 }
        "about to stop, and still leads partitions whose other replicas are not in sync: {left}";
    /// This broker is about to stop, and the controller could not be asked to have others lead.
    WARN HandOverFailed "hand_over_failed" { cause: String }
        "about to stop, and its leaderships are not handed over: {cause}";
    /// Another broker does not do what the controller tells it.
    WARN ControllerRefused "controller_refused" { broker: BrokerId, api: &'static str, code: ErrorCode }
        "broker {broker} refuses {api}: {code}";
    /// Partitions begin to move to other brokers.
    INFO ReassignmentBegun "reassignment_begun" { partition: TopicPartition, replicas: String }
        "{partition} moves: its replicas are to be on brokers {replicas} meanwhile";
    /// A partition has moved.
    INFO ReassignmentEnded "reassignment_ended" { partition: TopicPartition, replicas: String }
        "{partition} has moved: its replicas are on brokers {replicas}";
    /// Nobody listens where a live broker should: others lead in its place until it answers.
    WARN BrokerSilent "broker_silent" { broker: BrokerId }
        "broker {broker} refuses connections: others lead in its place until it answers";
    /// Nobody listens where the controller did: its znode was removed, so that another one is elected at once.
    WARN ControllerDeposed "controller_deposed" { broker: BrokerId }
        "broker {broker}, the controller, refuses connections: an election begins";
    /// This broker became the controller.
    INFO ControllerElected "controller_elected" { broker: BrokerId, epoch: ControllerEpoch }
        "broker {broker} is the controller with epoch {epoch}";
    /// This broker is no longer the controller.
    INFO ControllerResigned "controller_resigned" { broker: BrokerId }
        "broker {broker} is no longer the controller";
    /// This broker leads a partition from now on.
    DEBUG LeadershipTaken "leadership_taken" { partition: TopicPartition, epoch: LeaderEpoch }
        "leads {partition} with epoch {epoch}";

    /// A topic was created.
    INFO TopicCreated "topic_created" { topic: TopicName, id: TopicId, partitions: i32, replicas: i16 }
        "created {topic} ({id}), partitions: {partitions}, replicas: {replicas}";
    /// A topic that a client asked for could not be created.
    WARN AutoCreateFailed "auto_create_failed" { topic: TopicName, cause: String }
        "cannot create {topic}, which a client asked for: {cause}";
    /// A topic got more partitions.
    INFO PartitionsAdded "partitions_added" { topic: TopicName, partitions: u32 }
        "{topic} has more partitions now: {partitions}";
    /// A topic was deleted.
    INFO TopicDeleted "topic_deleted" { topic: TopicName }
        "deleted {topic}";
    /// The configuration of a topic or of brokers changed while running.
    INFO ConfigChanged "config_changed" { resource: String }
        "the configuration of {resource} changed";
    /// A stored configuration could not be applied.
    WARN ConfigIgnored "config_ignored" { resource: String, cause: String }
        "a part of the configuration of {resource} is ignored: {cause}";
    /// A key of the file has no effect.
    WARN ConfigKeyInert "config_key_inert" { key: String, place: String, reason: String }
        "{place}: {key} {reason}";

    /// An actor panicked or ended unasked.
    ERROR ActorDied "actor_died" { actor: &'static str, name: String, cause: String } by actor
        "{actor} {name} died: {cause}";
    /// An actor that died was made anew.
    WARN ActorRestarted "actor_restarted" { actor: &'static str, name: String, deaths: u32 } by actor
        "{actor} {name} runs again after {deaths} deaths";
    /// An actor died too often; its parent gives it up.
    ERROR ActorEscalated "actor_escalated" { actor: &'static str, name: String, deaths: u32 } by actor
        "{actor} {name} died {deaths} times and is given up";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{RateLimit, render};
    use super::*;
    use crate::model::Moment;

    #[test]
    fn names_are_snake_case_and_stand_once() {
        let mut names = BTreeSet::new();
        for metric in ALL {
            assert!(names.insert(metric.name), "{} stands there twice", metric.name);
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{}", metric.help);
        }
    }

    // Other tests of this process count too, so these look at labels that nobody else has.

    #[test]
    fn an_event_counts_where_its_label_says() {
        let restarted = |actor| ActorRestarted { actor, name: "t-0".to_owned(), deaths: 1 };
        restarted("test-partition").emit();
        restarted("test-partition").emit();
        restarted("test-connection").emit();
        let text = render();
        for line in [
            "# HELP dohle_actor_restarted_total An actor that died was made anew.",
            "# TYPE dohle_actor_restarted_total counter",
            "dohle_actor_restarted_total{actor=\"test-connection\"} 1",
            "dohle_actor_restarted_total{actor=\"test-partition\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn an_event_that_never_happened_is_shown_as_zero() {
        let text = render();
        for metric in ALL.iter().filter(|metric| metric.label.is_none()) {
            let start = format!("dohle_{}_total ", metric.name);
            assert!(text.lines().any(|line| line.starts_with(&start)), "{start} is not in\n{text}");
        }
        let before = DiskHasSpace::counts().total();
        DiskHasSpace { dir: Dir("/data".into()) }.emit();
        assert!(before < DiskHasSpace::counts().total());
    }

    #[test]
    fn held_back_lines_are_counted_all_the_same() {
        let mut limit = RateLimit::new(1);
        let peer = SocketAddr::from(([10, 0, 0, 1], 9));
        for _ in 0..10 {
            let request = BadRequest { peer, api: "TestProduce", detail: "cut short".to_owned() };
            request.emit_limited(&mut limit, &peer.ip(), Moment::default());
        }
        assert!(render().contains("dohle_bad_request_total{api=\"TestProduce\"} 10\n"));
        let due = limit.due(Moment(Duration::from_secs(1)));
        assert_eq!(due.iter().map(|held_back| held_back.lines).collect::<Vec<_>>(), [9]);
        due.iter().for_each(|held_back| held_back.tell("test_request"));
        assert!(render().contains("dohle_lines_held_back_total{about=\"test_request\"} 1\n"));
    }

    #[test]
    fn a_sentence_reads_well() {
        let topic = TopicName::new("t").expect("a legal name");
        let event = TopicCreated { topic, id: TopicId::ZERO, partitions: 3, replicas: 1 };
        assert_eq!(event.to_string(), "created t (AAAAAAAAAAAAAAAAAAAAAA), partitions: 3, replicas: 1");
        let dir = Dir("/data".into());
        assert_eq!(DiskFull { dir }.to_string(), "the disk of /data is full: records are refused until there is space");
    }
}
