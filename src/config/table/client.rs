//! The keys of clients: what all of them share, and what producers, consumers and the admin client add.
//!
//! Names, types, defaults and ranges are Kafka 3.9's (`ProducerConfig`, `ConsumerConfig`, `AdminClientConfig`). A key that is not
//! `works` is taken at its default only.

use super::keys;

/// Beginnings of Kafka's keys for TLS and SASL, which this client does not speak.
pub(super) const SECURITY: &[&str] = &["ssl.", "sasl."];

/// Of every client.
pub(super) mod common {
    use super::keys;

    keys! {
        /// Brokers to ask first, as `host:port`. The others are learnt from them.
        "bootstrap.servers": List, default(""), high, works;
        /// What the broker's log and quotas call this client.
        "client.id": String, default(""), medium, works;
        /// How long an answer may take.
        "request.timeout.ms": Int, default("30000"), at_least(0), unit("ms"), medium, works;
        /// How long connecting may take at first.
        "socket.connection.setup.timeout.ms": Long, default("10000"), at_least(0), unit("ms"), medium, works;
        /// How long connecting may take at most: it doubles with each failure in a row.
        "socket.connection.setup.timeout.max.ms": Long, default("30000"), at_least(0), unit("ms"), medium, works;
        /// How long to wait before connecting again to a broker that did not answer. Doubles, with jitter.
        "reconnect.backoff.ms": Long, default("50"), at_least(0), unit("ms"), low, works;
        /// The longest of these waits.
        "reconnect.backoff.max.ms": Long, default("1000"), at_least(0), unit("ms"), low, works;
        /// How long to wait before asking again what was refused for now. Doubles, with jitter.
        "retry.backoff.ms": Long, default("100"), at_least(0), unit("ms"), low, works;
        /// The longest of these waits.
        "retry.backoff.max.ms": Long, default("1000"), at_least(0), unit("ms"), low, works;
        /// How old metadata may be.
        "metadata.max.age.ms": Long, default("300000"), at_least(0), unit("ms"), low, works;
        /// The socket's send buffer; -1 leaves it to the system.
        "send.buffer.bytes": Int, default("131072"), at_least(-1), unit("bytes"), medium, works;
        /// How to use a host name with several addresses.
        "client.dns.lookup": String, default("use_all_dns_ips"), one_of(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]), medium, refused;
        /// What to do when no known broker answers.
        "metadata.recovery.strategy": String, default("none"), one_of_any_case(&["REBOOTSTRAP", "NONE"]), low, refused;
        /// How connections are secured.
        "security.protocol": String, default("PLAINTEXT"), one_of_any_case(&["SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"]), medium, refused;
        /// Java's security providers.
        "security.providers": String, low, obsolete;
        /// Java's metric reporters.
        "metric.reporters": List, default(""), low, obsolete;
        /// Whether JMX is one of them.
        "auto.include.jmx.reporter": Boolean, default("true"), low, obsolete;
        /// Samples of a metric.
        "metrics.num.samples": Int, default("2"), at_least(1), low, obsolete;
        /// Which metrics are kept.
        "metrics.recording.level": String, default("INFO"), one_of(&["INFO", "DEBUG", "TRACE"]), low, obsolete;
        /// How long a sample is.
        "metrics.sample.window.ms": Long, default("30000"), at_least(0), unit("ms"), low, obsolete;
    }
}

/// Of a producer.
pub(super) mod producer {
    use super::keys;

    keys! {
        /// Whose acknowledgement a record needs: `all` in-sync replicas, `1` for the leader, `0` for nobody.
        "acks": String, default("all"), one_of(&["all", "-1", "0", "1"]), low, works;
        /// Bytes of a batch before compression.
        "batch.size": Int, default("16384"), at_least(0), unit("bytes"), medium, works;
        /// Bytes that all records that wait or are on the way may take.
        "buffer.memory": Long, default("33554432"), at_least(0), unit("bytes"), high, works;
        /// How batches are compressed.
        "compression.type": String, default("none"), one_of(&["none", "gzip", "snappy", "lz4", "zstd"]), high, works;
        /// The level of gzip; -1 is its own default.
        "compression.gzip.level": Int, default("-1"), valid(Valid::GzipLevel), medium, works;
        /// The level of lz4. Another than the default is refused: lz4 is always written at its fastest.
        "compression.lz4.level": Int, default("9"), between(1, 17), medium, inert;
        /// The level of zstd.
        "compression.zstd.level": Int, default("3"), between(-131_072, 22), medium, works;
        /// How long it may take from handing a record over to the report on it. At least `linger.ms` and `request.timeout.ms`.
        "delivery.timeout.ms": Int, default("120000"), at_least(0), unit("ms"), medium, works;
        /// Whether retries never write a record twice. Needs `acks=all`, retries, and at most 5 requests in flight.
        "enable.idempotence": Boolean, default("true"), low, works;
        /// How long a batch waits for more records.
        "linger.ms": Long, default("0"), at_least(0), unit("ms"), medium, works;
        /// How long handing a record over may wait for metadata and for memory.
        "max.block.ms": Long, default("60000"), at_least(0), unit("ms"), medium, works;
        /// Requests on the way to one broker.
        "max.in.flight.requests.per.connection": Int, default("5"), at_least(1), unit("requests"), low, works;
        /// Bytes of one request, and of one record uncompressed.
        "max.request.size": Int, default("1048576"), at_least(0), unit("bytes"), medium, works;
        /// Whether records without a key rather go to partitions whose brokers are quick.
        "partitioner.adaptive.partitioning.enable": Boolean, default("true"), low, works;
        /// How long a partition's batches may wait before it gets no more records without a key; 0 for ever.
        "partitioner.availability.timeout.ms": Long, default("0"), at_least(0), unit("ms"), low, works;
        /// Whether records with a key are placed like those without.
        "partitioner.ignore.keys": Boolean, default("false"), medium, works;
        /// How often a batch is sent again.
        "retries": Int, default("2147483647"), between(0, 2_147_483_647), low, works;
        /// The socket's receive buffer; -1 leaves it to the system.
        "receive.buffer.bytes": Int, default("32768"), at_least(-1), unit("bytes"), medium, works;
        /// How long metadata of a topic is kept that nobody writes to.
        "metadata.max.idle.ms": Long, default("300000"), at_least(5000), unit("ms"), low, refused;
        /// How long a connection may rest.
        "connections.max.idle.ms": Long, default("540000"), unit("ms"), medium, refused;
        /// Whether metrics are sent to the broker.
        "enable.metrics.push": Boolean, default("true"), low, obsolete;
        /// The name of a transactional producer.
        "transactional.id": String, valid(Valid::NonEmpty), low, refused;
        /// How long a transaction may take.
        "transaction.timeout.ms": Int, default("60000"), unit("ms"), low, refused;
        /// A Java class.
        "key.serializer": Class, high, obsolete;
        /// A Java class.
        "value.serializer": Class, high, obsolete;
        /// A Java class.
        "partitioner.class": Class, medium, obsolete;
        /// Java classes.
        "interceptor.classes": List, default(""), low, obsolete;
    }

    use crate::config::key::Valid;
}

/// Of a consumer.
pub(super) mod consumer {
    use super::keys;

    keys! {
        /// The group it is a member of.
        "group.id": String, high, works;
        /// The name of a static member.
        "group.instance.id": String, valid(Valid::NonEmpty), medium, works;
        /// How the group shares partitions, most wanted first: `range`, `roundrobin`, `sticky`, `cooperative-sticky`, or
        /// Kafka's classes of these names.
        "partition.assignment.strategy": List,
            default("org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor"),
            medium, works;
        /// `classic`, or the consumer protocol of KIP-848.
        "group.protocol": String, default("classic"), one_of_any_case(&["CONSUMER", "CLASSIC"]), high, works;
        /// The broker's assignor in the consumer protocol; without, the broker chooses.
        "group.remote.assignor": String, medium, works;
        /// Silent for longer, it counts as dead. In the consumer protocol the broker says so.
        "session.timeout.ms": Int, default("45000"), at_least(1), unit("ms"), high, works;
        /// How often it says that it lives. Less than `session.timeout.ms`. In the consumer protocol the broker says so.
        "heartbeat.interval.ms": Int, default("3000"), at_least(1), unit("ms"), high, works;
        /// How long the application may take between two calls for records before its partitions go to others.
        "max.poll.interval.ms": Int, default("300000"), at_least(1), unit("ms"), medium, works;
        /// Records given at once.
        "max.poll.records": Int, default("500"), at_least(1), unit("records"), medium, refused;
        /// Whether offsets are committed by themselves.
        "enable.auto.commit": Boolean, default("true"), medium, works;
        /// How often.
        "auto.commit.interval.ms": Int, default("5000"), at_least(0), unit("ms"), low, works;
        /// Where to begin without a committed offset, or with one that is out of range.
        "auto.offset.reset": String, default("latest"), one_of(&["latest", "earliest", "none"]), medium, works;
        /// Which records of transactions are given.
        "isolation.level": String, default("read_uncommitted"), one_of(&["read_committed", "read_uncommitted"]), medium, works;
        /// The rack this consumer is in, to read from a replica near by.
        "client.rack": String, default(""), low, works;
        /// Bytes of one answer, and of what is read ahead.
        "fetch.max.bytes": Int, default("52428800"), at_least(0), unit("bytes"), medium, works;
        /// How long a broker may hold an answer back.
        "fetch.max.wait.ms": Int, default("500"), at_least(0), unit("ms"), low, works;
        /// Until it has so many bytes.
        "fetch.min.bytes": Int, default("1"), at_least(0), unit("bytes"), high, works;
        /// Bytes of one partition in an answer.
        "max.partition.fetch.bytes": Int, default("1048576"), at_least(0), unit("bytes"), high, works;
        /// Whether batches are checked against their CRC.
        "check.crcs": Boolean, default("true"), low, works;
        /// Whether brokers may make topics that are subscribed to.
        "allow.auto.create.topics": Boolean, default("true"), medium, works;
        /// Whether a pattern passes over internal topics.
        "exclude.internal.topics": Boolean, default("true"), medium, works;
        /// How long an operation may be tried again.
        "default.api.timeout.ms": Int, default("60000"), at_least(0), unit("ms"), medium, works;
        /// The socket's receive buffer; -1 leaves it to the system.
        "receive.buffer.bytes": Int, default("65536"), at_least(-1), unit("bytes"), medium, works;
        /// How long a connection may rest.
        "connections.max.idle.ms": Long, default("540000"), unit("ms"), medium, refused;
        /// Whether metrics are sent to the broker.
        "enable.metrics.push": Boolean, default("true"), low, obsolete;
        /// A Java class.
        "key.deserializer": Class, high, obsolete;
        /// A Java class.
        "value.deserializer": Class, high, obsolete;
        /// Java classes.
        "interceptor.classes": List, default(""), low, obsolete;
    }

    use crate::config::key::Valid;
}

/// Of an admin client.
pub(super) mod admin {
    use super::keys;

    keys! {
        /// How long an operation may be tried again.
        "default.api.timeout.ms": Int, default("60000"), at_least(0), unit("ms"), medium, works;
        /// How often an operation is tried again.
        "retries": Int, default("2147483647"), between(0, 2_147_483_647), low, refused;
        /// The socket's receive buffer; -1 leaves it to the system.
        "receive.buffer.bytes": Int, default("65536"), at_least(-1), unit("bytes"), medium, works;
        /// How long a connection may rest.
        "connections.max.idle.ms": Long, default("300000"), unit("ms"), medium, refused;
        /// Controllers of a KRaft cluster.
        "bootstrap.controllers": List, default(""), high, obsolete;
        /// Whether metrics are sent to the broker.
        "enable.metrics.push": Boolean, default("false"), low, obsolete;
    }
}
