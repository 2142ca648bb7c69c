//! The broker itself.

use super::keys;
use crate::config::key::Valid;

keys! {
    /// Number of this broker in the cluster. -1: the one in `meta.properties`, or a new one from ZooKeeper.
    "broker.id": Int, default("-1"), high, works;
    /// Whether a broker without an id asks ZooKeeper for one above `reserved.broker.max.id`.
    "broker.id.generation.enable": Boolean, default("true"), medium, works;
    /// Largest number that may be given as `broker.id` while ids are generated.
    "reserved.broker.max.id": Int, default("1000"), at_least(0), medium, works;
    /// Where the broker stands (rack, zone). Replicas are spread over racks, and consumers are told.
    "broker.rack": String, medium, works;
    /// Largest record batch, after compression, that a topic without `max.message.bytes` takes.
    "message.max.bytes": Int, default("1048588"), at_least(0), unit("bytes"), high, cluster_wide, works;
    /// Whether topics can be deleted.
    "delete.topic.enable": Boolean, default("true"), high, works;
    /// Whether asking for a topic that is not there makes it.
    "auto.create.topics.enable": Boolean, default("true"), high, works;
    /// Partitions of a topic that is created without a number.
    "num.partitions": Int, default("1"), at_least(1), unit("partitions"), medium, works;
    /// Replicas of a topic that is created without a number.
    "default.replication.factor": Int, default("1"), unit("replicas"), medium, works;
    /// In-sync replicas that `acks=all` needs; with fewer it is refused.
    "min.insync.replicas": Int, default("1"), at_least(1), unit("replicas"), high, cluster_wide, works;
    /// Whether a replica that is not in sync may lead when no other is left. Loses records.
    "unclean.leader.election.enable": Boolean, default("false"), high, cluster_wide, works;
    /// How batches are stored: `producer` keeps what came, anything else is compressed anew.
    "compression.type": String, default("producer"),
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), high, cluster_wide, works;
    /// Effort of gzip when the broker compresses. -1: gzip's own default.
    "compression.gzip.level": Int, default("-1"), valid(Valid::GzipLevel), medium, cluster_wide, works;
    /// Effort of lz4 when the broker compresses. Whatever it says, lz4 is written at its fastest.
    "compression.lz4.level": Int, default("9"), between(1, 17), medium, cluster_wide, inert;
    /// Effort of zstd when the broker compresses.
    "compression.zstd.level": Int, default("3"), between(-131072, 22), medium, cluster_wide, works;
    /// Whether a stopping broker first hands its leaderships over.
    "controlled.shutdown.enable": Boolean, default("true"), medium, works;
    /// How often handing over is tried.
    "controlled.shutdown.max.retries": Int, default("3"), unit("tries"), medium, works;
    /// Wait between two tries of handing over.
    "controlled.shutdown.retry.backoff.ms": Long, default("5000"), unit("ms"), medium, works;
    /// Java class that judges new topics. Dohle loads no Java classes.
    "create.topic.policy.class.name": Class, low, refused;
    /// Java class that judges configuration changes. Dohle loads no Java classes.
    "alter.config.policy.class.name": Class, low, refused;
    /// Java class that decides who may do what. Dohle has no authorizer yet: with this set it refuses to start rather
    /// than let everybody in.
    "authorizer.class.name": String, default(""), low, refused;
    /// Version of Kafka whose requests brokers speak among themselves.
    "inter.broker.protocol.version": String, default("3.9-IV0"), valid(Valid::KafkaVersion), medium, inert;
    /// Record format of old clients. Kafka ignores it from inter-broker protocol 3.0 on.
    "log.message.format.version": String, default("3.0-IV1"), valid(Valid::KafkaVersion), medium, obsolete;
}
