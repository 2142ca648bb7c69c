//! Listeners, sockets, connections.

use super::keys;

keys! {
    /// Where the broker listens: comma-separated `NAME://host:port`. No host means every interface; port 0 lets the
    /// system choose. Dohle opens and closes listeners only at a restart.
    "listeners": String, default("PLAINTEXT://:9092"), high, per_broker, works;
    /// What clients and brokers are told to connect to, as `NAME://host:port`. Unset: the listeners, with this
    /// machine's name where they have no host.
    "advertised.listeners": String, high, per_broker, works;
    /// Which security protocol a listener's name stands for: comma-separated `NAME:PROTOCOL`.
    "listener.security.protocol.map": String,
        default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), low, per_broker,
        works;
    /// Listener kept for requests of the controller.
    "control.plane.listener.name": String, high, inert;
    /// Listener that brokers use among themselves. Unset: the one of `security.inter.broker.protocol`. Not both may
    /// be set.
    "inter.broker.listener.name": String, medium, works;
    /// Security protocol between brokers, which names the listener for it.
    "security.inter.broker.protocol": String, default("PLAINTEXT"),
        one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), medium, works;
    /// Listeners that open before the authorizer is ready.
    "early.start.listeners": String, high, inert;
    /// Send buffer of a connection (SO_SNDBUF): more of it for clients far away. -1: as the system decides, without
    /// a bound.
    "socket.send.buffer.bytes": Int, default("393216"),
        not_as_kafka("102400", "a single connection reads a third faster; without a bound all read half as fast under BBR"),
        unit("bytes"), high, works;
    /// Receive buffer of a connection (SO_RCVBUF). -1: as the system decides.
    "socket.receive.buffer.bytes": Int, default("-1"),
        not_as_kafka("102400", "a fixed size stops the system from fitting the buffer to each connection: batches of 1 MiB come in pieces"),
        unit("bytes"), high, works;
    /// Largest request a connection may send. A larger one closes it before anything is read into memory.
    "socket.request.max.bytes": Int, default("104857600"), at_least(1), unit("bytes"), high, works;
    /// Connections the system may hold before the broker accepts them. The system has a limit of its own,
    /// `net.core.somaxconn`.
    "socket.listen.backlog.size": Int, default("1024"),
        not_as_kafka("50", "a burst of clients after a restart must not be dropped"), at_least(1),
        unit("connections"), medium, works;
    /// Connections one address may have open. More are closed at once.
    "max.connections.per.ip": Int, default("1000"),
        not_as_kafka("2147483647", "one address cannot use up what all share"), at_least(0), unit("connections"),
        medium, cluster_wide, works;
    /// Exceptions to `max.connections.per.ip`: comma-separated `address:connections`.
    "max.connections.per.ip.overrides": String, default(""), medium, cluster_wide, works;
    /// Connections the broker holds open, over all listeners; `listener.name.NAME.max.connections` bounds one. The
    /// inter-broker listener is never refused.
    "max.connections": Int, default("10000"),
        not_as_kafka("2147483647", "so many connections fit the memory and file limits of a small machine"),
        at_least(0), unit("connections"), medium, cluster_wide, works;
    /// Connections the broker takes in per second, over all listeners; a second's worth may come at once. More wait their
    /// turn.
    "max.connection.creation.rate": Int, default("500"),
        not_as_kafka("2147483647", "a storm of reconnects must not starve those already connected"), at_least(0),
        unit("connections/s"), medium, cluster_wide, works;
    /// A connection without a request for this long is closed. -1: never.
    "connections.max.idle.ms": Long, default("600000"), unit("ms"), medium, works;
    /// How long a failed authentication waits before its connection is closed.
    "connection.failed.authentication.delay.ms": Int, default("100"), at_least(0), unit("ms"), low, inert;
    /// Requests that may wait for a free thread. Dohle bounds each connection instead, and stops reading a socket
    /// that has too many.
    "queued.max.requests": Int, default("500"), at_least(1), unit("requests"), high, inert;
    /// Memory that requests being read or answered may take together; when it is used up, sockets are not read. -1:
    /// no limit.
    "queued.max.request.bytes": Long, default("268435456"),
        not_as_kafka("-1", "memory stays bounded whatever clients send"), unit("bytes"), medium, works;
    /// Kafka's socket threads. Dohle runs event loops instead: `dohle.arbiters`.
    "num.network.threads": Int, default("3"), at_least(1), unit("threads"), high, cluster_wide, obsolete;
    /// Threads of the disk pool: fsync, cold reads, recovery.
    "num.io.threads": Int, default("8"), at_least(1), unit("threads"), high, cluster_wide, works;
    /// Threads for background work.
    "background.threads": Int, default("10"), at_least(1), unit("threads"), high, cluster_wide, inert;
    /// How long a request to another broker may take.
    "request.timeout.ms": Int, default("30000"), unit("ms"), high, inert;
    /// How long connecting to another broker may take at first; doubles with each failure.
    "socket.connection.setup.timeout.ms": Long, default("10000"), unit("ms"), medium, inert;
    /// Upper bound of `socket.connection.setup.timeout.ms`.
    "socket.connection.setup.timeout.max.ms": Long, default("30000"), unit("ms"), medium, inert;
    /// Partitions one DescribeTopicPartitions answer carries. Brokers in ZooKeeper mode do not serve that request.
    "max.request.partition.size.limit": Int, default("2000"), at_least(1), unit("partitions"), medium, obsolete;
    /// Incremental fetch sessions remembered for clients. Without a slot a client fetches in full.
    "max.incremental.fetch.session.cache.slots": Int, default("1000"), at_least(0), unit("sessions"), medium, works;
    /// Upper bound of one fetch answer, whatever the client asks for. The first batch is served even when it is
    /// larger.
    "fetch.max.bytes": Int, default("57671680"), at_least(1024), unit("bytes"), medium, works;
}
