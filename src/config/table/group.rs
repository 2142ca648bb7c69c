//! Consumer groups.

use super::keys;

keys! {
    /// Shortest session time-out a member may ask for.
    "group.min.session.timeout.ms": Int, default("6000"), unit("ms"), medium, works;
    /// Longest session time-out a member may ask for.
    "group.max.session.timeout.ms": Int, default("1800000"), unit("ms"), medium, works;
    /// How long an empty group waits for more members before its first rebalance.
    "group.initial.rebalance.delay.ms": Int, default("3000"), unit("ms"), medium, works;
    /// Members one group may have.
    "group.max.size": Int, default("2147483647"), at_least(1), unit("members"), medium, works;
    /// Rebalance protocols offered: `classic` always, and with `consumer` that of KIP-848. Groups of the latter leave records in
    /// `__consumer_offsets` that Kafka 3.9 passes over: a Kafka 3.9 broker that comes to coordinate such a group does not know its members.
    "group.coordinator.rebalance.protocols": List, default("classic"),
        one_of(&["consumer", "classic", "share", "unknown"]), medium, works;
    /// Threads of Kafka's new group coordinator.
    "group.coordinator.threads": Int, default("1"), at_least(1), unit("threads"), medium, obsolete;
    /// How long the coordinator collects writes.
    "group.coordinator.append.linger.ms": Int, default("10"), at_least(0), unit("ms"), medium, inert;
    /// Kafka's new group coordinator.
    "group.coordinator.new.enable": Boolean, default("false"), medium, internal, obsolete;
    /// Longest text a consumer may store with an offset.
    "offset.metadata.max.bytes": Int, default("4096"), unit("bytes"), high, works;
    /// Batch size in which a coordinator reads the offsets back.
    "offsets.load.buffer.size": Int, default("5242880"), at_least(1), unit("bytes"), high, works;
    /// Replicas of `__consumer_offsets`.
    "offsets.topic.replication.factor": Short, default("3"), at_least(1), unit("replicas"), high, works;
    /// Partitions of `__consumer_offsets`. Cannot change later.
    "offsets.topic.num.partitions": Int, default("50"), at_least(1), unit("partitions"), high, works;
    /// Segment size of `__consumer_offsets`.
    "offsets.topic.segment.bytes": Int, default("104857600"), at_least(1), unit("bytes"), high, works;
    /// Compression of `__consumer_offsets`, by number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    "offsets.topic.compression.codec": Int, default("0"), high, works;
    /// How long the offsets of an empty group are kept.
    "offsets.retention.minutes": Int, default("10080"), at_least(1), unit("min"), high, works;
    /// How often old offsets are looked for.
    "offsets.retention.check.interval.ms": Long, default("600000"), at_least(1), unit("ms"), high, works;
    /// How long a commit waits for its replicas.
    "offsets.commit.timeout.ms": Int, default("5000"), at_least(1), unit("ms"), high, works;
    /// Acknowledgements a commit needs.
    "offsets.commit.required.acks": Short, default("-1"), unit("replicas"), high, obsolete;
    /// Session time-out in the consumer protocol (KIP-848).
    "group.consumer.session.timeout.ms": Int, default("45000"), at_least(1), unit("ms"), medium, works;
    /// Shortest session time-out there.
    "group.consumer.min.session.timeout.ms": Int, default("45000"), at_least(1), unit("ms"), medium, works;
    /// Longest session time-out there.
    "group.consumer.max.session.timeout.ms": Int, default("60000"), at_least(1), unit("ms"), medium, works;
    /// Heartbeat interval in the consumer protocol (KIP-848).
    "group.consumer.heartbeat.interval.ms": Int, default("5000"), at_least(1), unit("ms"), medium, works;
    /// Shortest heartbeat interval there.
    "group.consumer.min.heartbeat.interval.ms": Int, default("5000"), at_least(1), unit("ms"), medium, works;
    /// Longest heartbeat interval there.
    "group.consumer.max.heartbeat.interval.ms": Int, default("15000"), at_least(1), unit("ms"), medium, works;
    /// Members one group of the consumer protocol may have.
    "group.consumer.max.size": Int, default("2147483647"), at_least(1), unit("members"), medium, works;
    /// Assignors offered in the consumer protocol, `uniform` and `range` or Kafka's classes of these names; the first is the default.
    "group.consumer.assignors": List,
        default("org.apache.kafka.coordinator.group.assignor.UniformAssignor,org.apache.kafka.coordinator.group.assignor.RangeAssignor"),
        medium, works;
    /// Whether groups with members may move between the two protocols.
    "group.consumer.migration.policy": String, default("bidirectional"),
        not_as_kafka("disabled", "the default of Kafka 4, which has the protocol"),
        one_of_any_case(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), medium, internal, works;
    /// Share groups (KIP-932).
    "group.share.enable": Boolean, default("false"), medium, internal, obsolete;
    /// How often a share group is given a record.
    "group.share.delivery.count.limit": Int, default("5"), between(2, 10), unit("deliveries"), medium, obsolete;
    /// How long a share consumer may hold a record.
    "group.share.record.lock.duration.ms": Int, default("30000"), between(1000, 60000), unit("ms"), medium, obsolete;
    /// Shortest such time.
    "group.share.min.record.lock.duration.ms": Int, default("15000"), between(1000, 30000), unit("ms"), medium,
        obsolete;
    /// Longest such time.
    "group.share.max.record.lock.duration.ms": Int, default("60000"), between(30000, 3600000), unit("ms"), medium,
        obsolete;
    /// Share groups in the cluster.
    "group.share.max.groups": Short, default("10"), between(1, 100), unit("groups"), medium, obsolete;
    /// Records of a partition that share consumers may hold.
    "group.share.partition.max.record.locks": Int, default("200"), between(100, 10000), unit("records"), medium,
        obsolete;
    /// Session time-out in share groups.
    "group.share.session.timeout.ms": Int, default("45000"), at_least(1), unit("ms"), medium, obsolete;
    /// Shortest session time-out there.
    "group.share.min.session.timeout.ms": Int, default("45000"), at_least(1), unit("ms"), medium, obsolete;
    /// Longest session time-out there.
    "group.share.max.session.timeout.ms": Int, default("60000"), at_least(1), unit("ms"), medium, obsolete;
    /// Heartbeat interval in share groups.
    "group.share.heartbeat.interval.ms": Int, default("5000"), at_least(1), unit("ms"), medium, obsolete;
    /// Shortest heartbeat interval there.
    "group.share.min.heartbeat.interval.ms": Int, default("5000"), at_least(1), unit("ms"), medium, obsolete;
    /// Longest heartbeat interval there.
    "group.share.max.heartbeat.interval.ms": Int, default("15000"), at_least(1), unit("ms"), medium, obsolete;
    /// Members one share group may have.
    "group.share.max.size": Short, default("200"), between(10, 1000), unit("members"), medium, obsolete;
}
