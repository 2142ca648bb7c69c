//! The log: where and how records are kept.

use super::keys;

keys! {
    /// Data folder, when `log.dirs` is not set.
    "log.dir": String, default("/tmp/kafka-logs"), high, works;
    /// Data folders, separated by commas. Unset: `log.dir`.
    "log.dirs": String, high, works;
    /// Size at which a segment is closed and a new one begun.
    "log.segment.bytes": Int, default("1073741824"), at_least(14), unit("bytes"), high, cluster_wide, works;
    /// Age at which a segment is closed even when it is small. Unset: `log.roll.hours`.
    "log.roll.ms": Long, unit("ms"), high, cluster_wide, works;
    /// Age at which a segment is closed, when `log.roll.ms` is not set.
    "log.roll.hours": Int, default("168"), at_least(1), unit("h"), high, works;
    /// Random part taken off the roll time, so that segments do not all roll at once. Unset: `log.roll.jitter.hours`.
    "log.roll.jitter.ms": Long, unit("ms"), high, cluster_wide, works;
    /// Random part taken off the roll time, when `log.roll.jitter.ms` is not set.
    "log.roll.jitter.hours": Int, default("0"), at_least(0), unit("h"), high, works;
    /// How long records are kept. -1: for ever. Unset: `log.retention.minutes`.
    "log.retention.ms": Long, unit("ms"), high, cluster_wide, works;
    /// How long records are kept, when `log.retention.ms` is not set. Unset: `log.retention.hours`.
    "log.retention.minutes": Int, unit("min"), high, works;
    /// How long records are kept, when neither `log.retention.ms` nor `log.retention.minutes` is set.
    "log.retention.hours": Int, default("168"), unit("h"), high, works;
    /// Size of a partition above which its oldest segments go. -1: no limit.
    "log.retention.bytes": Long, default("-1"), unit("bytes"), high, cluster_wide, works;
    /// How often retention looks for segments to delete.
    "log.retention.check.interval.ms": Long, default("300000"), at_least(1), unit("ms"), medium, works;
    /// What becomes of old segments: `delete` drops them, `compact` keeps the last record of each key; both may be
    /// set.
    "log.cleanup.policy": List, default("delete"), one_of(&["compact", "delete"]), medium, cluster_wide, works;
    /// Size of an offset index, rounded down to whole entries; a full one rolls the segment.
    "log.index.size.max.bytes": Int, default("10485760"), at_least(4), unit("bytes"), medium, cluster_wide, works;
    /// Bytes of batches between two entries of the offset index.
    "log.index.interval.bytes": Int, default("4096"), at_least(0), unit("bytes"), medium, cluster_wide, works;
    /// Records appended to a partition before it is flushed. With `log.durability=flushed` an acknowledged record is
    /// flushed anyway.
    "log.flush.interval.messages": Long, default("9223372036854775807"), at_least(1), unit("records"), high,
        cluster_wide, works;
    /// Longest time an appended record stays unflushed. Unset: `log.flush.scheduler.interval.ms`.
    "log.flush.interval.ms": Long, unit("ms"), high, cluster_wide, works;
    /// How often Kafka's flusher looks for logs to flush. Dohle flushes exactly when `log.flush.interval.ms` says, whose
    /// default this is.
    "log.flush.scheduler.interval.ms": Long, default("9223372036854775807"), unit("ms"), high, works;
    /// How often recovery points are written to `recovery-point-offset-checkpoint`. All checkpoints are written together,
    /// as often as the shortest of their intervals says.
    "log.flush.offset.checkpoint.interval.ms": Int, default("60000"), at_least(0), unit("ms"), high, works;
    /// How often log start offsets are written to `log-start-offset-checkpoint`. See
    /// `log.flush.offset.checkpoint.interval.ms`.
    "log.flush.start.offset.checkpoint.interval.ms": Int, default("60000"), at_least(0), unit("ms"), high, works;
    /// How long a deleted segment's files stay, renamed, for readers that still have them.
    "log.segment.delete.delay.ms": Long, default("60000"), at_least(0), unit("ms"), high, cluster_wide, works;
    /// Whether a new segment's file gets its full size at once.
    "log.preallocate": Boolean, default("false"), medium, cluster_wide, works;
    /// Logs per data folder that are loaded at the same time at the start, by the threads of `num.io.threads`.
    "num.recovery.threads.per.data.dir": Int, default("1"), at_least(1), unit("threads"), high, cluster_wide, works;
    /// What a record's timestamp says: when the producer made it, or when the broker appended it.
    "log.message.timestamp.type": String, default("CreateTime"), one_of(&["CreateTime", "LogAppendTime"]), medium,
        cluster_wide, works;
    /// Old form of the next two: how far a timestamp may be from the broker's clock in either direction.
    "log.message.timestamp.difference.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        cluster_wide, works;
    /// How far a timestamp may lie before the broker's clock.
    "log.message.timestamp.before.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        cluster_wide, works;
    /// How far a timestamp may lie after the broker's clock.
    "log.message.timestamp.after.max.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium,
        cluster_wide, works;
    /// Whether records are converted to the message formats before 2 for clients that fetch with versions before 4. Otherwise they
    /// get UNSUPPORTED_VERSION.
    "log.message.downconversion.enable": Boolean, default("true"), low, cluster_wide, works;
    /// KRaft: a broker that cannot report a failed log dir in this time ends.
    "log.dir.failure.timeout.ms": Long, default("30000"), at_least(1), unit("ms"), low, obsolete;
    /// How long after the start retention, flusher and cleaner first run.
    "log.initial.task.delay.ms": Long, default("30000"), at_least(0), unit("ms"), low, internal, inert;
    /// Whether compaction runs.
    "log.cleaner.enable": Boolean, default("true"), medium, works;
    /// Threads that compact.
    "log.cleaner.threads": Int, default("1"), at_least(0), unit("threads"), medium, cluster_wide, inert;
    /// Bytes that compaction may read and write in a second.
    "log.cleaner.io.max.bytes.per.second": Double, default("1.7976931348623157E308"), unit("bytes/s"), medium,
        cluster_wide, works;
    /// Memory for the keys of the logs being compacted, over all threads.
    "log.cleaner.dedupe.buffer.size": Long, default("134217728"), unit("bytes"), medium, cluster_wide, works;
    /// Memory for the records being compacted, over all threads.
    "log.cleaner.io.buffer.size": Int, default("524288"), at_least(0), unit("bytes"), medium, cluster_wide, works;
    /// How full the table of keys may get.
    "log.cleaner.io.buffer.load.factor": Double, default("0.9"), medium, cluster_wide, works;
    /// How long an idle cleaner waits.
    "log.cleaner.backoff.ms": Long, default("15000"), at_least(0), unit("ms"), medium, cluster_wide, works;
    /// Share of a log that must be dirty before it is compacted.
    "log.cleaner.min.cleanable.ratio": Double, default("0.5"), between_doubles(0.0, 1.0), medium, cluster_wide, works;
    /// How long compaction keeps the mark of a deleted key.
    "log.cleaner.delete.retention.ms": Long, default("86400000"), at_least(0), unit("ms"), medium, cluster_wide,
        works;
    /// How long a record is safe from compaction.
    "log.cleaner.min.compaction.lag.ms": Long, default("0"), at_least(0), unit("ms"), medium, cluster_wide, works;
    /// How long a record may at most wait for compaction.
    "log.cleaner.max.compaction.lag.ms": Long, default("9223372036854775807"), at_least(1), unit("ms"), medium,
        cluster_wide, works;
    /// How long the last sequence of an idle idempotent producer is remembered.
    "producer.id.expiration.ms": Int, default("86400000"), at_least(1), unit("ms"), low, cluster_wide, works;
    /// How often idle producers are looked for.
    "producer.id.expiration.check.interval.ms": Int, default("600000"), at_least(1), unit("ms"), low, internal, works;
}
