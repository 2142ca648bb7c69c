//! Quotas and metrics.

use super::keys;

keys! {
    /// Windows over which client quotas are measured.
    "quota.window.num": Int, default("11"), at_least(1), unit("windows"), low, inert;
    /// Length of one such window.
    "quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), low, inert;
    /// Windows over which replication quotas are measured.
    "replication.quota.window.num": Int, default("11"), at_least(1), unit("windows"), low, works;
    /// Length of one such window.
    "replication.quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), low, works;
    /// Windows over which moves between log dirs are measured.
    "alter.log.dirs.replication.quota.window.num": Int, default("11"), at_least(1), unit("windows"), low, works;
    /// Length of one such window.
    "alter.log.dirs.replication.quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), low, works;
    /// Windows over which topic creation and deletion is measured.
    "controller.quota.window.num": Int, default("11"), at_least(1), unit("windows"), low, inert;
    /// Length of one such window.
    "controller.quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), low, inert;
    /// Java class that decides quotas. Dohle loads no Java classes.
    "client.quota.callback.class": Class, low, refused;
    /// Samples kept for Kafka's own metrics.
    "metrics.num.samples": Int, default("2"), at_least(1), unit("samples"), low, obsolete;
    /// Window of one sample.
    "metrics.sample.window.ms": Long, default("30000"), at_least(1), unit("ms"), low, obsolete;
    /// Java classes that report metrics.
    "metric.reporters": List, default(""), low, cluster_wide, obsolete;
    /// Which of Kafka's own metrics are kept.
    "metrics.recording.level": String, default("INFO"), low, obsolete;
    /// Whether metrics are shown through JMX.
    "auto.include.jmx.reporter": Boolean, default("true"), low, obsolete;
    /// Java classes that report old metrics.
    "kafka.metrics.reporters": List, default(""), low, obsolete;
    /// How often those are asked.
    "kafka.metrics.polling.interval.secs": Int, default("10"), at_least(1), unit("s"), low, obsolete;
    /// Most bytes of metrics a client may push (KIP-714).
    "telemetry.max.bytes": Int, default("1048576"), at_least(1), unit("bytes"), low, inert;
}
