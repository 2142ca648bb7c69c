//! TLS, SASL, tokens and passwords.

use super::keys;

keys! {
    /// How long a SASL session lasts before the client must authenticate again. 0: for ever.
    "connections.max.reauth.ms": Long, default("0"), unit("ms"), medium, inert;
    /// Largest SASL request before authentication is complete.
    "sasl.server.max.receive.size": Int, default("524288"), unit("bytes"), medium, inert;
    /// Java security providers.
    "security.providers": String, low, obsolete;
    /// Java class that names the client of a connection.
    "principal.builder.class": Class,
        default("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"), medium, per_broker,
        obsolete;
    /// Whether clients must show a certificate.
    "ssl.client.auth": String, default("none"), one_of(&["required", "requested", "none"]), medium, per_broker, inert;
    /// Rules that turn a certificate's name into a principal.
    "ssl.principal.mapping.rules": String, default("DEFAULT"), low, inert;
    /// Whether a new certificate may have another distinguished name.
    "ssl.allow.dn.changes": Boolean, default("false"), low, inert;
    /// Whether a new certificate may lack alternative names of the old one.
    "ssl.allow.san.changes": Boolean, default("false"), low, inert;
    /// TLS version spoken first.
    "ssl.protocol": String, default("TLSv1.3"), medium, per_broker, inert;
    /// Java provider of TLS.
    "ssl.provider": String, medium, per_broker, obsolete;
    /// TLS versions allowed.
    "ssl.enabled.protocols": List, default("TLSv1.2,TLSv1.3"), medium, per_broker, inert;
    /// Format of the key store.
    "ssl.keystore.type": String, default("JKS"), medium, per_broker, inert;
    /// File with the broker's key and certificate.
    "ssl.keystore.location": String, medium, per_broker, inert;
    /// Password of that file.
    "ssl.keystore.password": Password, medium, per_broker, inert;
    /// Password of the key in it.
    "ssl.key.password": Password, medium, per_broker, inert;
    /// The key itself, as PEM.
    "ssl.keystore.key": Password, medium, per_broker, inert;
    /// The certificate chain itself, as PEM.
    "ssl.keystore.certificate.chain": Password, medium, per_broker, inert;
    /// Format of the trust store.
    "ssl.truststore.type": String, default("JKS"), medium, per_broker, inert;
    /// File with the certificates that are trusted.
    "ssl.truststore.location": String, medium, per_broker, inert;
    /// Password of that file.
    "ssl.truststore.password": Password, medium, per_broker, inert;
    /// The trusted certificates themselves, as PEM.
    "ssl.truststore.certificates": Password, medium, per_broker, inert;
    /// Java algorithm of the key manager.
    "ssl.keymanager.algorithm": String, default("SunX509"), medium, per_broker, obsolete;
    /// Java algorithm of the trust manager.
    "ssl.trustmanager.algorithm": String, default("PKIX"), medium, per_broker, obsolete;
    /// `https` checks that a certificate names the host; empty does not.
    "ssl.endpoint.identification.algorithm": String, default("https"), low, per_broker, inert;
    /// Java source of randomness.
    "ssl.secure.random.implementation": String, low, per_broker, obsolete;
    /// TLS cipher suites allowed.
    "ssl.cipher.suites": List, default(""), medium, per_broker, inert;
    /// Java class that makes TLS engines.
    "ssl.engine.factory.class": Class, low, per_broker, obsolete;
    /// SASL mechanism between brokers.
    "sasl.mechanism.inter.broker.protocol": String, default("GSSAPI"), medium, per_broker, inert;
    /// SASL mechanisms offered to clients.
    "sasl.enabled.mechanisms": List, default("GSSAPI"), medium, per_broker, inert;
    /// Java class that checks SASL credentials.
    "sasl.server.callback.handler.class": Class, medium, obsolete;
    /// Java class that gives SASL credentials.
    "sasl.client.callback.handler.class": Class, medium, obsolete;
    /// Rules that turn a Kerberos principal into a short name.
    "sasl.kerberos.principal.to.local.rules": List, default("DEFAULT"), medium, per_broker, inert;
    /// JAAS entry of a listener's mechanism.
    "sasl.jaas.config": Password, medium, per_broker, inert;
    /// Java class that logs in.
    "sasl.login.class": Class, medium, obsolete;
    /// Java class that gives the login its credentials.
    "sasl.login.callback.handler.class": Class, medium, obsolete;
    /// Kerberos name that brokers run as.
    "sasl.kerberos.service.name": String, medium, per_broker, inert;
    /// Path of kinit.
    "sasl.kerberos.kinit.cmd": String, default("/usr/bin/kinit"), medium, per_broker, obsolete;
    /// Share of a ticket's life after which it is renewed.
    "sasl.kerberos.ticket.renew.window.factor": Double, default("0.8"), medium, per_broker, inert;
    /// Random share added to that time.
    "sasl.kerberos.ticket.renew.jitter": Double, default("0.05"), medium, per_broker, inert;
    /// Shortest time between two renewals.
    "sasl.kerberos.min.time.before.relogin": Long, default("60000"), unit("ms"), medium, per_broker, inert;
    /// Share of a token's life after which it is renewed.
    "sasl.login.refresh.window.factor": Double, default("0.8"), medium, per_broker, inert;
    /// Random share added to that time.
    "sasl.login.refresh.window.jitter": Double, default("0.05"), medium, per_broker, inert;
    /// Shortest time between two renewals of a token.
    "sasl.login.refresh.min.period.seconds": Short, default("60"), unit("s"), medium, per_broker, inert;
    /// Time kept between the renewal and the end of a token.
    "sasl.login.refresh.buffer.seconds": Short, default("300"), unit("s"), medium, per_broker, inert;
    /// How long connecting to the token provider may take.
    "sasl.login.connect.timeout.ms": Int, unit("ms"), low, inert;
    /// How long reading from the token provider may take.
    "sasl.login.read.timeout.ms": Int, unit("ms"), low, inert;
    /// Longest wait between two logins.
    "sasl.login.retry.backoff.max.ms": Long, default("10000"), unit("ms"), low, inert;
    /// First wait between two logins.
    "sasl.login.retry.backoff.ms": Long, default("100"), unit("ms"), low, inert;
    /// Claim of a token that holds its scope.
    "sasl.oauthbearer.scope.claim.name": String, default("scope"), low, inert;
    /// Claim of a token that holds its subject.
    "sasl.oauthbearer.sub.claim.name": String, default("sub"), low, inert;
    /// Where tokens come from.
    "sasl.oauthbearer.token.endpoint.url": String, medium, inert;
    /// Where the keys that check tokens come from.
    "sasl.oauthbearer.jwks.endpoint.url": String, medium, inert;
    /// How often those keys are read again.
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long, default("3600000"), unit("ms"), low, inert;
    /// First wait after reading them failed.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long, default("100"), unit("ms"), low, inert;
    /// Longest wait after reading them failed.
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long, default("10000"), unit("ms"), low, inert;
    /// How far the provider's clock may be off.
    "sasl.oauthbearer.clock.skew.seconds": Int, default("30"), unit("s"), low, inert;
    /// Audiences a token may be made for.
    "sasl.oauthbearer.expected.audience": List, low, inert;
    /// Who must have issued a token.
    "sasl.oauthbearer.expected.issuer": String, low, inert;
    /// Old name of `delegation.token.secret.key`.
    "delegation.token.master.key": Password, medium, inert;
    /// Secret that signs delegation tokens, the same on all brokers.
    "delegation.token.secret.key": Password, medium, inert;
    /// How long a delegation token can be renewed.
    "delegation.token.max.lifetime.ms": Long, default("604800000"), at_least(1), unit("ms"), medium, inert;
    /// How long a delegation token lives without renewal.
    "delegation.token.expiry.time.ms": Long, default("86400000"), at_least(1), unit("ms"), medium, inert;
    /// How often expired tokens are removed.
    "delegation.token.expiry.check.interval.ms": Long, default("3600000"), at_least(1), unit("ms"), low, inert;
    /// Secret that encrypts passwords set while the broker runs.
    "password.encoder.secret": Password, medium, inert;
    /// Secret they were encrypted with before.
    "password.encoder.old.secret": Password, medium, inert;
    /// How the key is made from the secret.
    "password.encoder.keyfactory.algorithm": String, low, inert;
    /// Cipher of the passwords.
    "password.encoder.cipher.algorithm": String, default("AES/CBC/PKCS5Padding"), low, inert;
    /// Length of the key.
    "password.encoder.key.length": Int, default("128"), at_least(8), unit("bits"), low, inert;
    /// Rounds in which the key is made.
    "password.encoder.iterations": Int, default("4096"), at_least(1024), unit("rounds"), low, inert;
}
