//! Replication and the controller.

use super::keys;

keys! {
    /// How long the controller waits for a broker's answer.
    "controller.socket.timeout.ms": Int, default("30000"), unit("ms"), medium, inert;
    /// A follower that has not caught up for this long leaves the in-sync replicas.
    "replica.lag.time.max.ms": Long, default("30000"), unit("ms"), high, works;
    /// How long a follower waits for an answer. At least `replica.fetch.wait.max.ms`.
    "replica.socket.timeout.ms": Int, default("30000"), unit("ms"), high, works;
    /// Receive buffer of a follower's connection. -1: as the system decides.
    "replica.socket.receive.buffer.bytes": Int, default("65536"), unit("bytes"), high, inert;
    /// Bytes a follower asks for per partition. The first batch comes even when it is larger.
    "replica.fetch.max.bytes": Int, default("1048576"), at_least(0), unit("bytes"), medium, works;
    /// How long a leader may hold a follower's fetch that finds nothing. At most `replica.lag.time.max.ms`.
    "replica.fetch.wait.max.ms": Int, default("500"), unit("ms"), high, works;
    /// How long a follower waits after a partition's fetch failed.
    "replica.fetch.backoff.ms": Int, default("1000"), at_least(0), unit("ms"), medium, works;
    /// Bytes a leader collects before it answers a follower.
    "replica.fetch.min.bytes": Int, default("1"), unit("bytes"), high, works;
    /// Bytes of one answer to a follower.
    "replica.fetch.response.max.bytes": Int, default("10485760"), at_least(0), unit("bytes"), medium, works;
    /// Connections a follower keeps to each leader. They run on the event loops in turn.
    "num.replica.fetchers": Int, default("1"), unit("fetchers"), high, cluster_wide, works;
    /// How often high watermarks are written to `replication-offset-checkpoint`. See
    /// `log.flush.offset.checkpoint.interval.ms`.
    "replica.high.watermark.checkpoint.interval.ms": Long, default("5000"), unit("ms"), high, works;
    /// How often finished waiting fetches are swept. Dohle keeps none.
    "fetch.purgatory.purge.interval.requests": Int, default("1000"), unit("requests"), medium, obsolete;
    /// How often finished waiting produces are swept. Dohle keeps none.
    "producer.purgatory.purge.interval.requests": Int, default("1000"), unit("requests"), medium, obsolete;
    /// How often finished waiting DeleteRecords are swept. Dohle keeps none.
    "delete.records.purgatory.purge.interval.requests": Int, default("1"), unit("requests"), medium, obsolete;
    /// Whether the controller moves leaderships back to the preferred replicas.
    "auto.leader.rebalance.enable": Boolean, default("true"), high, works;
    /// Share of a broker's partitions not led by the preferred replica that starts a rebalance.
    "leader.imbalance.per.broker.percentage": Int, default("10"), unit("%"), high, works;
    /// How often that share is looked at.
    "leader.imbalance.check.interval.seconds": Long, default("300"), at_least(1), unit("s"), high, works;
    /// How often KRaft looks for partitions to elect uncleanly.
    "unclean.leader.election.interval.ms": Long, default("300000"), at_least(1), unit("ms"), medium, internal,
        obsolete;
    /// Class that chooses which replica a consumer reads from: that of Kafka's leader (the default) or rack-aware selector.
    "replica.selector.class": String, medium, works;
    /// Bytes that leaders send to throttled followers in a second. Only set while the broker runs.
    "leader.replication.throttled.rate": Long, default("9223372036854775807"), at_least(0), unit("bytes/s"), medium,
        cluster_wide, only_dynamic, works;
    /// Bytes that throttled followers fetch in a second. Only set while the broker runs.
    "follower.replication.throttled.rate": Long, default("9223372036854775807"), at_least(0), unit("bytes/s"), medium,
        cluster_wide, only_dynamic, works;
    /// Bytes that moves between log dirs may copy in a second. Only set while the broker runs.
    "replica.alter.log.dirs.io.max.bytes.per.second": Long, default("9223372036854775807"), at_least(0),
        unit("bytes/s"), medium, cluster_wide, only_dynamic, works;
    /// Replicas that are moved between log dirs at once. Unset: one per dir.
    "num.replica.alter.log.dirs.threads": Int, unit("threads"), high, works;
}
