"""A real ZooKeeper server (Debian's 3.8) on a port and in a folder of its own."""

import socket

from kazoo.client import KazooClient

from harness.process import Process, free_port, until


class ZooKeeper(Process):
    def __init__(self, folder, port=None, settings=(), options=()):
        """`settings` are further lines of its configuration, `options` further ones of the JVM."""
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        (folder / "zookeeper").mkdir(parents=True, exist_ok=True)
        config = folder / "zookeeper.cfg"
        config.write_text(
            f"tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ndataDir={folder}/zookeeper\n"
            f"clientPort={self.port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=*\n" + "".join(f"{line}\n" for line in settings)
        )
        super().__init__(
            "ZooKeeper",
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *options, "-cp", "/usr/share/java/*",
             "org.apache.zookeeper.server.quorum.QuorumPeerMain", config],
            folder / "zookeeper.log",
        )

    def start(self):
        super().start()
        return self.serving()

    def serving(self):
        until(30, lambda: self._four_letters(b"ruok") == b"imok", lambda: f"ZooKeeper serves\n{self.tail()}")
        return self

    def client(self):
        """A started kazoo client; the caller stops it."""
        client = KazooClient(self.address)
        client.start()
        return client

    def tree(self, root="/"):
        """Every znode below `root` outside of /zookeeper, as {path: (data, version, is ephemeral)}."""
        client, found, pending = self.client(), {}, [root]
        while pending:
            path = pending.pop()
            data, status = client.get(path)
            found[path] = (data, status.version, status.ephemeralOwner != 0)
            pending += [f"{path.rstrip('/')}/{child}" for child in client.get_children(path) if path != "/" or child != "zookeeper"]
        client.stop()
        client.close()
        return found

    def _four_letters(self, word):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(word)
                return connection.recv(64)
        except OSError:
            return b""
