"""An ensemble that is protected: logins, TLS, and access lists on what the broker writes (`zookeeper.set.acl`)."""

import pytest
from kazoo.exceptions import NoAuthError
from kazoo.security import Permissions

from harness import admin
from harness.process import free_port, run
from harness.records import Batch
from harness.zookeeper import ZooKeeper

pytestmark = pytest.mark.dohle  # Kafka takes Java key stores and a JAAS file instead

JAAS = 'Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_kafka="secret"; };'
SASL = ("authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",)


@pytest.fixture
def ensemble(folder):
    """Makes a ZooKeeper with these settings, and ends it with the test."""
    made = []

    def make(settings=(), options=()):
        made.append(ZooKeeper(folder, settings=settings, options=options).start())
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def certificates(folder):
    """PEM files of an authority, of a server on 127.0.0.1 and of a client: chain and key in one file each."""
    openssl = lambda *arguments: run(["openssl", *arguments], cwd=folder)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")

    def identity(name):
        extensions = folder / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", extensions, "-out", f"{name}.crt")
        both = folder / f"{name}.pem"
        both.write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())
        return both

    return folder / "ca.pem", identity("server"), identity("broker")


def secure_port(ca, server):
    """Settings of a TLS port that wants a certificate of its clients, and the port."""
    port = free_port()
    return port, (
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory", f"secureClientPort={port}",
        "secureClientPortAddress=127.0.0.1", f"ssl.keyStore.location={server}", f"ssl.trustStore.location={ca}", "ssl.clientAuth=need")


def works(broker):
    broker.create_topic("t", 2)
    with broker.connect() as connection:
        assert admin.produce(connection, "t", Batch([b"v"]).encode()) == (0, 0)


def is_protected(zookeeper):
    """Others may read what the broker wrote, but not write it."""
    stranger = zookeeper.client()
    try:
        for path in ["/brokers/topics/t", "/controller_epoch", "/config/topics/t", "/brokers/topics/t/partitions/0/state"]:
            data, _ = stranger.get(path)
            assert data
            by_others = [acl for acl in stranger.get_acls(path)[0] if acl.id.scheme == "world"]
            assert [acl.perms for acl in by_others] == [Permissions.READ], path
            with pytest.raises(NoAuthError):
                stranger.set(path, data)
        with pytest.raises(NoAuthError):
            stranger.create("/brokers/ids/7", b"{}")
    finally:
        stranger.stop()
        stranger.close()


@pytest.mark.parametrize("login", ["dohle.zookeeper.sasl", "dohle.zookeeper.digest"])
def test_what_a_login_writes_is_its_own(brokers, ensemble, folder, login):
    jaas = folder / "jaas.conf"
    jaas.write_text(JAAS)
    zookeeper = ensemble(SASL, [f"-Djava.security.auth.login.config={jaas}"])
    broker = brokers(zookeeper=zookeeper, properties={login: "kafka:secret", "zookeeper.set.acl": "true"}).start()
    works(broker)
    is_protected(zookeeper)
    broker.stop()
    broker.start()
    works_again = broker.create_topic("u")
    assert f"/brokers/topics/{works_again}" in zookeeper.tree("/brokers")


def test_a_wrong_password_is_said(brokers, ensemble, folder):
    jaas = folder / "jaas.conf"
    jaas.write_text(JAAS)
    zookeeper = ensemble(SASL, [f"-Djava.security.auth.login.config={jaas}"])
    broker = brokers(zookeeper=zookeeper, properties={"dohle.zookeeper.sasl": "kafka:mistaken", "zookeeper.connection.timeout.ms": 5000})
    assert broker.launch().exit_code(30) != 0
    said = broker.log.read_text()
    assert "auth" in said.lower() and zookeeper.address in said and "mistaken" not in said, said


def test_tls_with_certificates_on_both_sides(brokers, ensemble, certificates):
    ca, server, identity = certificates
    port, settings = secure_port(ca, server)
    zookeeper = ensemble(settings)
    secure = {"zookeeper.ssl.client.enable": "true", "zookeeper.ssl.truststore.location": ca, "zookeeper.ssl.truststore.type": "PEM",
              "zookeeper.ssl.keystore.location": identity, "zookeeper.ssl.keystore.type": "PEM", "zookeeper.set.acl": "true"}
    broker = brokers(zookeeper=f"127.0.0.1:{port}", properties=secure).start()
    works(broker)
    is_protected(zookeeper)


def test_an_unknown_authority_is_refused(brokers, ensemble, certificates):
    ca, server, identity = certificates
    port, settings = secure_port(ca, server)
    ensemble(settings)
    other = {"zookeeper.ssl.client.enable": "true", "zookeeper.ssl.truststore.location": identity, "zookeeper.ssl.truststore.type": "PEM",
             "zookeeper.connection.timeout.ms": 3000}
    broker = brokers(zookeeper=f"127.0.0.1:{port}", properties=other).launch()
    assert broker.exit_code(30) != 0
    assert "zookeeper.ssl.truststore.location" in broker.log.read_text()
