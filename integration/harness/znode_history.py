"""Everything that was ever written to a ZooKeeper, read from its transaction logs, and what must hold of it."""

import json
import re

from harness.process import run

# Within a transaction log as ZooKeeper's own tool prints it: the controller epoch that is set, or a partition's state that is made or set.
WRITTEN = re.compile(
    r"(?:setData|create2?)\W[^/;]*/controller_epoch\W+?(?P<epoch>\d+)"
    r"|/brokers/topics/(?P<topic>[^/\s,]+)/partitions/(?P<partition>\d+)/state[^{;]*(?P<state>\{[^{}]*\})")


def check(zookeeper):
    """That partition states were written by the controller of their time alone, and no leader epoch had two leaders. How many states and
    controllers there were."""
    controller, states, known = 0, 0, {}
    for found in WRITTEN.finditer(_log_of(zookeeper)):
        if found["epoch"]:
            epoch = int(found["epoch"])
            assert epoch in (controller, controller + 1), f"controller epoch {epoch} comes after {controller}"
            controller = epoch
            continue
        states += 1
        state, key = json.loads(found["state"]), (found["topic"], found["partition"])
        assert state["controller_epoch"] == controller, f"{key} is written by a controller of the past, the newest is {controller}: {state}"
        assert state["leader"] in (-1, *state["isr"]), f"the leader of {key} is not in sync: {state}"
        before = known.get(key, {"leader_epoch": -1})
        assert before["leader_epoch"] <= state["leader_epoch"], f"{key}: {before}, then {state}"
        if before["leader_epoch"] == state["leader_epoch"]:
            assert before["leader"] == state["leader"], f"{key} has two leaders in one epoch: {before}, then {state}"
        known[key] = state
    assert states and controller, "the log cannot be read"
    return states, controller


def _log_of(zookeeper):
    logs = sorted((zookeeper.data / "version-2").glob("log.*"), key=lambda log: int(log.suffix[1:], 16))
    command = ["java", "-cp", "/usr/share/java/*", "org.apache.zookeeper.server.persistence.TxnLogToolkit", "-d"]
    return "".join(run([*command, log], errors="replace").stdout for log in logs)
