"""Machines of one host that can be cut off from each other: network namespaces on one bridge, and packets that are dropped."""

import itertools
import os

from harness.process import WORKER, WORKERS, run

_numbers = itertools.count()


class Machine:
    """A namespace with an address of its own; `enter` goes before a command that shall run there."""

    def __init__(self, name, address):
        self.name, self.address, self.enter = name, address, ("ip", "netns", "exec", name)


class Network:
    """One bridge in a subnet of its own. The tests themselves are at its end too, as the clients' machine."""

    def __init__(self):
        self.name = f"d{os.getpid()}x{next(_numbers)}"
        self.machines = []
        bridge = run(["ip", "link", "add", self.name, "type", "bridge"], check=False)
        assert bridge.returncode == 0, f"network namespaces need root and iproute2: {bridge.stderr}"
        try:
            self.subnet = next(subnet for subnet in (f"10.231.{n}" for n in range(WORKER, 256, WORKERS)) if subnet not in _taken())
            self.clients = f"{self.subnet}.1"
            _ip("address", "add", f"{self.clients}/24", "dev", self.name)
            _ip("link", "set", self.name, "up")
        except BaseException:
            self.end()
            raise

    def machine(self):
        number = len(self.machines) + 10
        name = f"{self.name}-{number}"
        machine = Machine(name, f"{self.subnet}.{number}")
        _ip("netns", "add", name)
        self.machines.append(machine)
        _ip("link", "add", _outside(machine), "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", _outside(machine), "master", self.name, "up")
        for arguments in (("address", "add", f"{machine.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            _ip("-n", name, *arguments)
        return machine

    def deafen(self, machine, *others):
        """From now on it hears nothing of the others; they still hear it."""
        for other in others:
            run([*machine.enter, "iptables", "-w", "-I", "INPUT", "-s", other.address, "-j", "DROP"])

    def cut(self, machine, *others):
        """From now on it and the others do not hear each other."""
        self.deafen(machine, *others)
        for other in others:
            self.deafen(other, machine)

    def slow_down(self, machine, kilobits):
        """From now on no more than this reaches it in a second."""
        run(["tc", "qdisc", "add", "dev", _outside(machine), "root", "tbf", "rate", f"{kilobits}kbit", "burst", "16kb", "latency", "300ms"])

    def heal(self):
        for machine in self.machines:
            run(["tc", "qdisc", "delete", "dev", _outside(machine), "root"], check=False)
            run([*machine.enter, "iptables", "-w", "-F", "INPUT"])

    def end(self):
        for machine in self.machines:
            run(["ip", "netns", "delete", machine.name], check=False)
        run(["ip", "link", "delete", self.name], check=False)


def _outside(machine):
    """The end of its cable at the bridge."""
    return machine.name.replace("-", ".")


def _ip(*arguments):
    return run(["ip", *arguments])


def _taken():
    """The subnets of other runs, as the first three numbers of their addresses."""
    addresses = [line.split()[3] for line in _ip("-o", "-4", "address", "show").stdout.splitlines()]
    return {address.rpartition(".")[0] for address in addresses}
