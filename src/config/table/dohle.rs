//! Keys of Dohle's own.

use super::keys;
use crate::config::key::Valid;

keys! {
    /// What `acks=all` means for topics without `durability`: `flushed` waits until the in-sync replicas have the
    /// record on disk, `page-cache` until they have it in memory, as Kafka does.
    "log.durability": String, default("flushed"), one_of(&["flushed", "page-cache"]), high, cluster_wide, works;
    /// Event loops that connections and partitions are spread over. Unset: half the processors, at least one.
    "dohle.arbiters": Int, between(1, 1024), unit("threads"), medium, works;
    /// TCP congestion control of the broker's sockets, by the system's name for it (`cubic`, `reno`, `bbr`). Unset: as
    /// the system decides.
    "dohle.tcp.congestion.control": String, valid(Valid::NonEmpty), low, works;
    /// `USER:PASSWORD` for ZooKeeper's digest scheme.
    "dohle.zookeeper.digest": Password, valid(Valid::NonEmpty), medium, works;
    /// `USER:PASSWORD` for ZooKeeper's SASL mechanism DIGEST-MD5: what the Client section of a Kafka broker's JAAS file says.
    "dohle.zookeeper.sasl": Password, valid(Valid::NonEmpty), medium, works;
    /// How log lines look: `text` for people, `json` for machines.
    "dohle.log.format": String, default("text"), one_of(&["text", "json"]), low, works;
    /// Least important lines that are logged.
    "dohle.log.level": String, default("info"), one_of(&["error", "warn", "info", "debug", "trace"]), low, works;
}
