//! ZooKeeper.

use super::keys;

keys! {
    /// ZooKeeper servers, `host:port,host:port/chroot`. Unset: one broker runs alone on a coordinator of its own,
    /// kept in its data folder.
    "zookeeper.connect": String, high, works;
    /// ZooKeeper takes the broker for dead after this long without a sign of life.
    "zookeeper.session.timeout.ms": Int, default("18000"), unit("ms"), high, works;
    /// How long the start waits for ZooKeeper. Unset: `zookeeper.session.timeout.ms`.
    "zookeeper.connection.timeout.ms": Int, unit("ms"), high, works;
    /// Whether the znodes that the broker makes may be changed by its login alone: `dohle.zookeeper.sasl`,
    /// `dohle.zookeeper.digest`, or the certificate in `zookeeper.ssl.keystore.location`.
    "zookeeper.set.acl": Boolean, default("false"), high, works;
    /// Requests sent to ZooKeeper before the first is answered.
    "zookeeper.max.in.flight.requests": Int, default("10"), at_least(1), unit("requests"), high, inert;
    /// Whether the connection to ZooKeeper uses TLS.
    "zookeeper.ssl.client.enable": Boolean, default("false"), medium, works;
    /// Java class of ZooKeeper's client sockets.
    "zookeeper.clientCnxnSocket": String, medium, obsolete;
    /// File with the certificate and key shown to ZooKeeper. Dohle reads PEM.
    "zookeeper.ssl.keystore.location": String, medium, works;
    /// Password of that file.
    "zookeeper.ssl.keystore.password": Password, medium, inert;
    /// Format of that file. Dohle reads PEM.
    "zookeeper.ssl.keystore.type": String, medium, works;
    /// File with the certificates that ZooKeeper's must be signed by. Dohle reads PEM.
    "zookeeper.ssl.truststore.location": String, medium, works;
    /// Password of that file.
    "zookeeper.ssl.truststore.password": Password, medium, inert;
    /// Format of that file. Dohle reads PEM.
    "zookeeper.ssl.truststore.type": String, medium, works;
    /// TLS version spoken first.
    "zookeeper.ssl.protocol": String, default("TLSv1.2"), low, inert;
    /// TLS versions allowed.
    "zookeeper.ssl.enabled.protocols": List, low, inert;
    /// TLS cipher suites allowed.
    "zookeeper.ssl.cipher.suites": List, low, inert;
    /// `HTTPS` checks that ZooKeeper's certificate names its host, which Dohle always does.
    "zookeeper.ssl.endpoint.identification.algorithm": String, default("HTTPS"), low, inert;
    /// Whether revocation lists are asked.
    "zookeeper.ssl.crl.enable": Boolean, default("false"), low, inert;
    /// Whether revocation is asked by OCSP.
    "zookeeper.ssl.ocsp.enable": Boolean, default("false"), low, inert;
    /// Starts the move from ZooKeeper to KRaft, which Dohle does not take part in.
    "zookeeper.metadata.migration.enable": Boolean, default("false"), high, refused;
    /// Batch size of that move.
    "zookeeper.metadata.migration.min.batch.size": Int, default("200"), at_least(1), unit("records"), medium,
        internal, obsolete;
}
