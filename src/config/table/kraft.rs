//! KRaft and tiered storage, which a broker on ZooKeeper has no use for.

use super::keys;
use crate::config::key::Valid;

keys! {
    /// Roles of a KRaft node. Dohle coordinates through ZooKeeper.
    "process.roles": List, default(""), one_of(&["broker", "controller"]), high, refused;
    /// KRaft's name of `broker.id`; when both are set they must be the same.
    "node.id": Int, default("-1"), high, works;
    /// KRaft: how long a broker may try to register.
    "initial.broker.registration.timeout.ms": Int, default("60000"), unit("ms"), medium, obsolete;
    /// KRaft: how often a broker reports.
    "broker.heartbeat.interval.ms": Int, default("2000"), unit("ms"), medium, obsolete;
    /// KRaft: how long a broker may be silent.
    "broker.session.timeout.ms": Int, default("9000"), unit("ms"), medium, obsolete;
    /// KRaft: listeners of the controllers.
    "controller.listener.names": String, high, obsolete;
    /// KRaft: SASL mechanism to the controllers.
    "sasl.mechanism.controller.protocol": String, default("GSSAPI"), high, obsolete;
    /// KRaft: folder of the metadata log.
    "metadata.log.dir": String, high, obsolete;
    /// KRaft: segment size of the metadata log.
    "metadata.log.segment.bytes": Int, default("1073741824"), at_least(12), unit("bytes"), high, obsolete;
    /// KRaft: lower bound of that.
    "metadata.log.segment.min.bytes": Int, default("8388608"), at_least(12), unit("bytes"), high, internal, obsolete;
    /// KRaft: segment age of the metadata log.
    "metadata.log.segment.ms": Long, default("604800000"), unit("ms"), high, obsolete;
    /// KRaft: bytes between two snapshots.
    "metadata.log.max.record.bytes.between.snapshots": Long, default("20971520"), at_least(1), unit("bytes"), high,
        obsolete;
    /// KRaft: time between two snapshots.
    "metadata.log.max.snapshot.interval.ms": Long, default("3600000"), at_least(0), unit("ms"), high, obsolete;
    /// KRaft: size of the metadata log.
    "metadata.max.retention.bytes": Long, default("104857600"), unit("bytes"), high, obsolete;
    /// KRaft: age of the metadata log.
    "metadata.max.retention.ms": Long, default("604800000"), unit("ms"), high, obsolete;
    /// KRaft: how often an idle controller writes.
    "metadata.max.idle.interval.ms": Int, default("500"), at_least(0), unit("ms"), low, obsolete;
    /// KRaft: how long the start may take.
    "server.max.startup.time.ms": Long, default("9223372036854775807"), at_least(0), unit("ms"), medium, internal,
        obsolete;
    /// KRaft: eligible leader replicas (KIP-966).
    "eligible.leader.replicas.enable": Boolean, default("false"), high, obsolete;
    /// KRaft: API versions not released.
    "unstable.api.versions.enable": Boolean, default("false"), high, internal, obsolete;
    /// KRaft: feature versions not released.
    "unstable.feature.versions.enable": Boolean, default("false"), high, internal, obsolete;
    /// KRaft: the voters.
    "controller.quorum.voters": List, default(""), high, obsolete;
    /// KRaft: where the voters are found.
    "controller.quorum.bootstrap.servers": List, default(""), high, obsolete;
    /// KRaft: wait before an election.
    "controller.quorum.election.timeout.ms": Int, default("1000"), unit("ms"), high, obsolete;
    /// KRaft: how long the leader may be silent.
    "controller.quorum.fetch.timeout.ms": Int, default("2000"), unit("ms"), high, obsolete;
    /// KRaft: longest wait between elections.
    "controller.quorum.election.backoff.max.ms": Int, default("1000"), unit("ms"), high, obsolete;
    /// KRaft: how long writes are collected.
    "controller.quorum.append.linger.ms": Int, default("25"), unit("ms"), medium, obsolete;
    /// KRaft: how long a request may take.
    "controller.quorum.request.timeout.ms": Int, default("2000"), unit("ms"), medium, obsolete;
    /// KRaft: wait between two requests.
    "controller.quorum.retry.backoff.ms": Int, default("20"), unit("ms"), low, obsolete;
    /// Tiered storage, which Dohle does not have.
    "remote.log.storage.system.enable": Boolean, default("false"), medium, refused;
    /// Tiered storage: prefix of the storage plugin's keys.
    "remote.log.storage.manager.impl.prefix": String, default("rsm.config."), valid(Valid::NonEmpty), medium,
        obsolete;
    /// Tiered storage: prefix of the metadata plugin's keys.
    "remote.log.metadata.manager.impl.prefix": String, default("rlmm.config."), valid(Valid::NonEmpty), medium,
        obsolete;
    /// Tiered storage: class of the storage plugin.
    "remote.log.storage.manager.class.name": String, valid(Valid::NonEmpty), medium, obsolete;
    /// Tiered storage: where that class is.
    "remote.log.storage.manager.class.path": String, medium, obsolete;
    /// Tiered storage: class of the metadata plugin.
    "remote.log.metadata.manager.class.name": String,
        default("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        valid(Valid::NonEmpty), medium, obsolete;
    /// Tiered storage: where that class is.
    "remote.log.metadata.manager.class.path": String, medium, obsolete;
    /// Tiered storage: listener the metadata plugin connects to.
    "remote.log.metadata.manager.listener.name": String, valid(Valid::NonEmpty), medium, obsolete;
    /// Tiered storage: most custom metadata of a segment.
    "remote.log.metadata.custom.metadata.max.bytes": Int, default("128"), at_least(0), unit("bytes"), low, obsolete;
    /// Tiered storage: room for indexes of remote segments.
    "remote.log.index.file.cache.total.size.bytes": Long, default("1073741824"), at_least(1), unit("bytes"), low,
        cluster_wide, obsolete;
    /// Tiered storage: threads.
    "remote.log.manager.thread.pool.size": Int, default("10"), at_least(1), unit("threads"), medium, obsolete;
    /// Tiered storage: threads that copy.
    "remote.log.manager.copier.thread.pool.size": Int, default("-1"), at_least(-1), unit("threads"), medium, obsolete;
    /// Tiered storage: threads that delete.
    "remote.log.manager.expiration.thread.pool.size": Int, default("-1"), at_least(-1), unit("threads"), medium,
        obsolete;
    /// Tiered storage: how often it works.
    "remote.log.manager.task.interval.ms": Long, default("30000"), at_least(1), unit("ms"), low, obsolete;
    /// Tiered storage: first wait after a failure.
    "remote.log.manager.task.retry.backoff.ms": Long, default("500"), at_least(1), unit("ms"), low, internal,
        obsolete;
    /// Tiered storage: longest wait after a failure.
    "remote.log.manager.task.retry.backoff.max.ms": Long, default("30000"), at_least(1), unit("ms"), low, internal,
        obsolete;
    /// Tiered storage: random part of that wait.
    "remote.log.manager.task.retry.jitter": Double, default("0.2"), between_doubles(0.0, 0.5), low, internal,
        obsolete;
    /// Tiered storage: threads that read.
    "remote.log.reader.threads": Int, default("10"), at_least(1), unit("threads"), medium, obsolete;
    /// Tiered storage: reads that may wait.
    "remote.log.reader.max.pending.tasks": Int, default("100"), at_least(1), unit("reads"), medium, obsolete;
    /// Tiered storage: how long segments stay local. -2: `log.retention.ms`.
    "log.local.retention.ms": Long, default("-2"), at_least(-2), unit("ms"), medium, cluster_wide, obsolete;
    /// Tiered storage: how much stays local. -2: `log.retention.bytes`.
    "log.local.retention.bytes": Long, default("-2"), at_least(-2), unit("bytes"), medium, cluster_wide, obsolete;
    /// Tiered storage: bytes copied in a second.
    "remote.log.manager.copy.max.bytes.per.second": Long, default("9223372036854775807"), at_least(1),
        unit("bytes/s"), medium, cluster_wide, obsolete;
    /// Tiered storage: windows of that measure.
    "remote.log.manager.copy.quota.window.num": Int, default("11"), at_least(1), unit("windows"), medium, obsolete;
    /// Tiered storage: length of one window.
    "remote.log.manager.copy.quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), medium, obsolete;
    /// Tiered storage: bytes fetched in a second.
    "remote.log.manager.fetch.max.bytes.per.second": Long, default("9223372036854775807"), at_least(1),
        unit("bytes/s"), medium, cluster_wide, obsolete;
    /// Tiered storage: windows of that measure.
    "remote.log.manager.fetch.quota.window.num": Int, default("11"), at_least(1), unit("windows"), medium, obsolete;
    /// Tiered storage: length of one window.
    "remote.log.manager.fetch.quota.window.size.seconds": Int, default("1"), at_least(1), unit("s"), medium, obsolete;
    /// Tiered storage: how long a fetch may wait.
    "remote.fetch.max.wait.ms": Int, default("500"), at_least(1), unit("ms"), medium, cluster_wide, obsolete;
}
