"""deploy/: the unit is valid, and the command lines of unit, image and compose file start a broker.

This machine has no container engine, so hosts, folders and ports of a command line are replaced by local ones, and nothing else."""

import json
import re

import pytest
import yaml

from harness import admin
from harness.paths import DOHLE, REPOSITORY
from harness.process import Process, free_port, run, until
from harness.protocol import Connection

DEPLOY = REPOSITORY / "deploy"
pytestmark = pytest.mark.dohle


def test_the_unit_is_valid(folder):
    """systemd-analyze verify wants the binary where the unit says, so that line alone points to ours."""
    unit = folder / "dohle.service"
    unit.write_text((DEPLOY / "dohle.service").read_text().replace("/usr/bin/dohle", str(DOHLE)))
    verified = run(["systemd-analyze", "verify", "--man=no", unit], check=False)
    said = [line for line in (verified.stdout + verified.stderr).splitlines() if "dohle.service" in line]
    assert said == [], verified.stderr


def test_the_unit_confines_the_broker(folder):
    """The exposure that systemd itself computes is low."""
    unit = folder / "dohle.service"
    unit.write_text((DEPLOY / "dohle.service").read_text())
    shown = run(["systemd-analyze", "security", "--offline=yes", "--no-pager", unit], check=False)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", shown.stdout)
    assert level and float(level[1]) < 3, shown.stdout[-500:] + shown.stderr


def unit_command():
    return re.search(r"^ExecStart=/usr/bin/dohle (.*)$", (DEPLOY / "dohle.service").read_text(), re.M)[1].split()


def image():
    """{instruction: the argument of its last occurrence} of the image that is shipped."""
    return dict(line.split(" ", 1) for line in (DEPLOY / "Dockerfile").read_text().splitlines() if re.match(r"[A-Z]+ ", line))


def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def serve(command, folder, port):
    """Runs `dohle` with this command line until it answers on `port`, then ends it as the service manager does."""
    broker = Process("dohle", [DOHLE, *command], folder / "broker.log", cwd=folder).start()

    def ready():
        assert broker.alive(), broker.tail()
        try:
            with Connection(port, seconds=2) as connection:
                return admin.brokers(connection)
        except (OSError, EOFError):
            return False

    try:
        identities = until(30, ready, broker.tail)
        assert broker.stop() in (0, 143)
        return identities
    finally:
        broker.kill()


def test_the_units_command_line_starts_a_broker(folder):
    """With the shipped server.properties; only its listener and folder are local ones."""
    verb, file = unit_command()
    assert (verb, file) == ("start", "/etc/dohle/server.properties")
    port, local = free_port(), folder / "server.properties"
    local.write_text((REPOSITORY / "config" / "server.properties").read_text() + f"\nlisteners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={folder}/data\n")
    assert len(serve([verb, local], folder, port)) == 1


def test_the_image_runs_unprivileged_and_its_command_line_starts_a_broker(folder):
    built = image()
    assert built["USER"] not in ("root", "0", "0:0") and built["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(built["ENTRYPOINT"]) == ["/usr/bin/dohle"]
    port = free_port()
    command = [part.replace("9092", str(port)).replace("0.0.0.0", "127.0.0.1").replace("/var/lib/dohle", str(folder)) for part in json.loads(built["CMD"])]
    assert len(serve(command, folder, port)) == 1


@pytest.mark.parametrize("number", range(3))
def test_each_brokers_command_line_of_the_compose_file_starts_it(zookeeper, folder, number):
    service = services()[f"broker{number}"]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    inside, outside = free_port(), free_port()
    swaps = [("zookeeper1:2181,zookeeper2:2181,zookeeper3:2181", zookeeper.address), ("19092", str(inside)), (str(9092 + number), str(outside)),
             ("0.0.0.0", "127.0.0.1"), (f"broker{number}:", "localhost:"), ("/var/lib/dohle", str(folder))]
    command = service["command"]
    for old, new in swaps:
        assert any(old in part for part in command), f"{old} stands in the command line"
        command = [part.replace(old, new) for part in command]
    assert serve(command, folder, outside) == [number]
