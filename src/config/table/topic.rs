//! Topics.

use super::keys;
use crate::config::key::Valid;

keys! {
    /// Size at which a segment is closed and a new one begun.
    "segment.bytes": Int, default("1073741824"), at_least(14), unit("bytes"), medium, broker_key("log.segment.bytes"),
        works;
    /// Age at which a segment is closed even when it is small.
    "segment.ms": Long, default("604800000"), at_least(1), unit("ms"), medium, broker_key("log.roll.ms"), works;
    /// Random part taken off `segment.ms`, so that segments do not all roll at once.
    "segment.jitter.ms": Long, default("0"), at_least(0), unit("ms"), medium, broker_key("log.roll.jitter.ms"), works;
    /// Size of an offset index, rounded down to whole entries; a full one rolls the segment.
    "segment.index.bytes": Int, default("10485760"), at_least(4), unit("bytes"), medium,
        broker_key("log.index.size.max.bytes"), works;
    /// Records appended to a partition before it is flushed. With `durability=flushed` an acknowledged record is
    /// flushed anyway.
    "flush.messages": Long, default("9223372036854775807"), at_least(1), unit("records"), medium,
        broker_key("log.flush.interval.messages"), works;
    /// Longest time an appended record stays unflushed.
    "flush.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        broker_key("log.flush.interval.ms"), works;
    /// Size of a partition above which its oldest segments go. -1: no limit.
    "retention.bytes": Long, default("-1"), unit("bytes"), medium, broker_key("log.retention.bytes"), works;
    /// How long records are kept. -1: for ever.
    "retention.ms": Long, default("604800000"), at_least(-1), unit("ms"), medium, broker_key("log.retention.ms"),
        works;
    /// Largest record batch, after compression, that the topic takes.
    "max.message.bytes": Int, default("1048588"), at_least(0), unit("bytes"), medium, broker_key("message.max.bytes"),
        works;
    /// Bytes of batches between two entries of the offset index.
    "index.interval.bytes": Int, default("4096"), at_least(0), unit("bytes"), medium,
        broker_key("log.index.interval.bytes"), works;
    /// How long compaction keeps the mark of a deleted key.
    "delete.retention.ms": Long, default("86400000"), at_least(0), unit("ms"), medium,
        broker_key("log.cleaner.delete.retention.ms"), works;
    /// How long a record is safe from compaction.
    "min.compaction.lag.ms": Long, default("0"), at_least(0), unit("ms"), medium,
        broker_key("log.cleaner.min.compaction.lag.ms"), works;
    /// How long a record may at most wait for compaction.
    "max.compaction.lag.ms": Long, default("9223372036854775807"), at_least(1), unit("ms"), medium,
        broker_key("log.cleaner.max.compaction.lag.ms"), works;
    /// How long a deleted segment's files stay, renamed, for readers that still have them.
    "file.delete.delay.ms": Long, default("60000"), at_least(0), unit("ms"), medium,
        broker_key("log.segment.delete.delay.ms"), works;
    /// Share of the log that must be dirty before it is compacted.
    "min.cleanable.dirty.ratio": Double, default("0.5"), between_doubles(0.0, 1.0), medium,
        broker_key("log.cleaner.min.cleanable.ratio"), works;
    /// What becomes of old segments: `delete` drops them, `compact` keeps the last record of each key; both may be
    /// set.
    "cleanup.policy": List, default("delete"), one_of(&["compact", "delete"]), medium,
        broker_key("log.cleanup.policy"), works;
    /// Whether a replica that is not in sync may lead when no other is left. Loses records.
    "unclean.leader.election.enable": Boolean, default("false"), medium, broker_key("unclean.leader.election.enable"),
        inert;
    /// In-sync replicas that `acks=all` needs; with fewer it is refused.
    "min.insync.replicas": Int, default("1"), at_least(1), unit("replicas"), medium,
        broker_key("min.insync.replicas"), works;
    /// How batches are stored: `producer` keeps what came, anything else is compressed anew.
    "compression.type": String, default("producer"),
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), medium,
        broker_key("compression.type"), works;
    /// Effort of gzip when the broker compresses. -1: gzip's own default.
    "compression.gzip.level": Int, default("-1"), valid(Valid::GzipLevel), medium,
        broker_key("compression.gzip.level"), works;
    /// Effort of lz4 when the broker compresses. Whatever it says, lz4 is written at its fastest.
    "compression.lz4.level": Int, default("9"), between(1, 17), medium, broker_key("compression.lz4.level"), inert;
    /// Effort of zstd when the broker compresses.
    "compression.zstd.level": Int, default("3"), between(-131072, 22), medium, broker_key("compression.zstd.level"),
        works;
    /// Whether a new segment's file gets its full size at once.
    "preallocate": Boolean, default("false"), medium, broker_key("log.preallocate"), works;
    /// Record format of old clients. Kafka ignores it from inter-broker protocol 3.0 on.
    "message.format.version": String, default("3.0-IV1"), valid(Valid::KafkaVersion), medium,
        broker_key("log.message.format.version"), obsolete;
    /// What a record's timestamp says: when the producer made it, or when the broker appended it.
    "message.timestamp.type": String, default("CreateTime"), one_of(&["CreateTime", "LogAppendTime"]), medium,
        broker_key("log.message.timestamp.type"), works;
    /// Old form of the next two: how far a timestamp may be from the broker's clock in either direction.
    "message.timestamp.difference.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        broker_key("log.message.timestamp.difference.max.ms"), works;
    /// How far a timestamp may lie before the broker's clock.
    "message.timestamp.before.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        broker_key("log.message.timestamp.before.max.ms"), works;
    /// How far a timestamp may lie after the broker's clock.
    "message.timestamp.after.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        broker_key("log.message.timestamp.after.max.ms"), works;
    /// Replicas whose leaders send to followers at a bounded rate: `partition:broker,…` or `*`.
    "leader.replication.throttled.replicas": List, default(""), valid(Valid::ThrottledReplicas), medium, works;
    /// Replicas that follow at a bounded rate: `partition:broker,…` or `*`.
    "follower.replication.throttled.replicas": List, default(""), valid(Valid::ThrottledReplicas), medium, works;
    /// Whether records are converted to the message formats before 2 for clients that fetch with versions before 4. Otherwise they
    /// get UNSUPPORTED_VERSION.
    "message.downconversion.enable": Boolean, default("true"), low, broker_key("log.message.downconversion.enable"),
        works;
    /// Tiered storage of this topic, which Dohle does not have.
    "remote.storage.enable": Boolean, default("false"), medium, obsolete;
    /// Tiered storage: how long segments stay local. -2: `retention.ms`.
    "local.retention.ms": Long, default("-2"), at_least(-2), unit("ms"), medium, broker_key("log.local.retention.ms"),
        obsolete;
    /// Tiered storage: how much stays local. -2: `retention.bytes`.
    "local.retention.bytes": Long, default("-2"), at_least(-2), unit("bytes"), medium,
        broker_key("log.local.retention.bytes"), obsolete;
    /// Tiered storage: whether nothing more is copied.
    "remote.log.copy.disable": Boolean, default("false"), medium, obsolete;
    /// Tiered storage: whether switching it off deletes what is remote.
    "remote.log.delete.on.disable": Boolean, default("false"), medium, obsolete;
    /// What `acks=all` means: `flushed` waits until the in-sync replicas have the record on disk, `page-cache` until they
    /// have it in memory, as Kafka does. Not a key of Kafka.
    "durability": String, default("flushed"), one_of(&["flushed", "page-cache"]), high, broker_key("log.durability"),
        works;
}
