"""Real ZooKeeper servers (Debian's 3.8) on ports and in folders of their own: one, or an ensemble."""

import socket

from kazoo.client import KazooClient

from harness.process import Process, free_port, until


class ZooKeeper(Process):
    def __init__(self, folder, port=None, settings=(), options=(), machine=None):
        """`settings` are further lines of its configuration, `options` further ones of the JVM."""
        self.port, self.host = port or free_port(), machine.address if machine else "127.0.0.1"
        self.address = f"{self.host}:{self.port}"
        self.data = folder / "zookeeper"
        self.data.mkdir(parents=True, exist_ok=True)
        config = folder / "zookeeper.cfg"
        config.write_text(
            f"tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ndataDir={self.data}\n"
            f"clientPort={self.port}\nclientPortAddress={self.host}\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=*\n" + "".join(f"{line}\n" for line in settings)
        )
        super().__init__(
            "ZooKeeper",
            [*(machine.enter if machine else ()), "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *options, "-cp", "/usr/share/java/*",
             "org.apache.zookeeper.server.quorum.QuorumPeerMain", config],
            folder / "zookeeper.log",
        )

    def launch(self):
        """Starts the process and does not wait for it to serve."""
        return super().start()

    def start(self):
        self.launch()
        return self.serving()

    def serving(self):
        until(30, lambda: self._four_letters(b"ruok") == b"imok", lambda: f"ZooKeeper serves\n{self.tail()}")
        return self

    def client(self):
        return client_of(self.address)

    def tree(self, root="/"):
        return tree_of(self.address, root)

    def leads(self):
        """Whether it is the leader of its ensemble, as far as it knows."""
        return self.alive() and b"Mode: leader" in self._four_letters(b"srvr")

    def _four_letters(self, word):
        try:
            with socket.create_connection((self.host, self.port), 2) as connection:
                connection.sendall(word)
                return connection.recv(4096)
        except OSError:
            return b""


class Ensemble:
    """Three servers that elect a leader among themselves; stands wherever one ZooKeeper does."""

    def __init__(self, folder, machines=(None,) * 3):
        hosts = [machine.address if machine else "127.0.0.1" for machine in machines]
        votes = [f"server.{number}={host}:{free_port()}:{free_port()}" for number, host in enumerate(hosts, 1)]
        self.servers = []
        for number, machine in enumerate(machines, 1):
            place = folder / f"zookeeper-{number}"
            self.servers.append(ZooKeeper(place, settings=("initLimit=20", "syncLimit=6", *votes), machine=machine))
            (self.servers[-1].data / "myid").write_text(str(number))
        self.address = ",".join(server.address for server in self.servers)

    def start(self):
        for server in self.servers:
            server.launch()
        return self.serving()

    def serving(self):
        """Waits until there is a leader, and all that run follow it."""
        until(30, lambda: self.leader() is not None, "the ensemble has a leader")
        for server in self.servers:
            if server.alive():
                server.serving()
        return self

    def leader(self):
        return next((server for server in self.servers if server.leads()), None)

    def client(self):
        return client_of(self.address)

    def tree(self, root="/"):
        return tree_of(self.address, root)

    def kill(self):
        for server in self.servers:
            server.resume()
            server.kill()


def client_of(address):
    """A started kazoo client; the caller stops it."""
    client = KazooClient(address)
    client.start()
    return client


def tree_of(address, root="/"):
    """Every znode below `root` outside of /zookeeper, as {path: (data, version, is ephemeral)}."""
    client, found, pending = client_of(address), {}, [root]
    while pending:
        path = pending.pop()
        data, status = client.get(path)
        found[path] = (data, status.version, status.ephemeralOwner != 0)
        pending += [f"{path.rstrip('/')}/{child}" for child in client.get_children(path) if path != "/" or child != "zookeeper"]
    client.stop()
    client.close()
    return found
