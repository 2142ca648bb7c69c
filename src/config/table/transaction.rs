//! Transactions.

use super::keys;

keys! {
    /// In-sync replicas that `__transaction_state` needs.
    "transaction.state.log.min.isr": Int, default("2"), at_least(1), unit("replicas"), high, inert;
    /// Batch size in which a coordinator reads transactions back.
    "transaction.state.log.load.buffer.size": Int, default("5242880"), at_least(1), unit("bytes"), high, inert;
    /// Replicas of `__transaction_state`.
    "transaction.state.log.replication.factor": Short, default("3"), at_least(1), unit("replicas"), high, inert;
    /// Partitions of `__transaction_state`. Cannot change later.
    "transaction.state.log.num.partitions": Int, default("50"), at_least(1), unit("partitions"), high, inert;
    /// Segment size of `__transaction_state`.
    "transaction.state.log.segment.bytes": Int, default("104857600"), at_least(1), unit("bytes"), high, inert;
    /// Whether a partition asks the coordinator if a transaction contains it (KIP-890).
    "transaction.partition.verification.enable": Boolean, default("true"), low, cluster_wide, inert;
    /// How long an idle transactional id is remembered.
    "transactional.id.expiration.ms": Int, default("604800000"), at_least(1), unit("ms"), high, inert;
    /// Longest time-out a producer may ask for a transaction.
    "transaction.max.timeout.ms": Int, default("900000"), at_least(1), unit("ms"), high, inert;
    /// How often timed out transactions are looked for.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int, default("10000"), at_least(1), unit("ms"),
        low, inert;
    /// How often expired transactional ids are looked for.
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int, default("3600000"), at_least(1), unit("ms"),
        low, inert;
}
