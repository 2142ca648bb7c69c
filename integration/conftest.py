"""Fixtures of the black-box tests.

`--broker dohle` (the default) runs them against target/release/dohle on its embedded coordinator and on a real ZooKeeper;
`--broker kafka` runs the same tests against Apache Kafka 3.9, which says whether a test is right.
"""

import contextlib
import itertools
import os
import shutil
import signal

import pytest

from harness import admin, paths
from harness.broker import Broker
from harness.process import run
from harness.zookeeper import ZooKeeper


def pytest_addoption(parser):
    parser.addoption("--broker", choices=("dohle", "kafka"), default="dohle", help="the broker under test")
    parser.addoption("--all", action="store_true", help="the long suites too")


def pytest_configure():
    """A run that is told to end still ends what it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Leaves out, by name, what this run does not ask for; the summary counts it as deselected."""
    kind, everything = config.getoption("--broker"), config.getoption("--all")
    unwanted = [
        item for item in items
        if (item.get_closest_marker("long") and not everything) or (item.get_closest_marker("dohle") and kind == "kafka")
    ]
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]


def pytest_generate_tests(metafunc):
    if "coordination" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("on")
        kinds = list(only.args) if only else ["embedded", "zookeeper"]
        if metafunc.config.getoption("--broker") == "kafka":
            kinds = ["zookeeper"]
        metafunc.parametrize("coordination", kinds, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        item.config.stash.setdefault(_failed, set()).add(item.nodeid)
        item.stash[_failed_here] = True
    return report


_failed, _failed_here = pytest.StashKey(), pytest.StashKey()
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kind(request):
    """The broker under test: "dohle" or "kafka"."""
    return request.config.getoption("--broker")


@pytest.fixture(scope="session")
def session_folder(request):
    folder = paths.WORK / "tests" / f"{request.config.getoption('--broker')}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    if not request.config.stash.get(_failed, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(request, session_folder):
    """A folder of this test alone, kept when it fails."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:80]
    folder = session_folder / f"{name}-{next(_numbers)}"
    folder.mkdir()
    yield folder
    if not request.node.stash.get(_failed_here, False):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_zookeeper(session_folder):
    server = ZooKeeper(session_folder).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_broker(request, kind, coordination, session_folder):
    """One broker for all tests that leave it as they found it, per kind of coordination."""
    address = None
    if coordination == "zookeeper":
        address = f"{request.getfixturevalue('shared_zookeeper').address}/shared"
    broker = Broker(kind, session_folder / f"shared-{coordination}", address, {
        "auto.create.topics.enable": "false", "message.max.bytes": 2_000_000, "log.segment.bytes": 64 << 20,
        "replica.high.watermark.checkpoint.interval.ms": 1000, "max.connections.per.ip": 5000})
    broker.start()
    try:
        # A broker that cannot do this fails every test at once. It is there when a run side by side comes back to this coordination.
        with broker.connect(seconds=60) as connection:
            assert admin.try_create_topic(connection, "first")[0] in (0, 36)
        yield broker
        if kind == "dohle" and broker.alive():
            # Whatever was sent to it, every partition can be read.
            offsets = run([paths.DOHLE, "offset", "--bootstrap-server", broker.bootstrap], check=False)
            errors = [line for line in broker.log.read_text(errors="replace").splitlines() if " ERROR " in line]
            assert offsets.returncode == 0, "\n".join([offsets.stderr, *errors[-30:]])
    finally:
        broker.kill()


@pytest.fixture
def broker(shared_broker):
    """The shared broker, alive before the test and after it."""
    if not shared_broker.alive():
        shared_broker.start()
    before = shared_broker.pid
    yield shared_broker
    assert shared_broker.alive() and shared_broker.pid == before, f"the broker died:\n{shared_broker.tail()}"


@pytest.fixture
def topic(broker):
    """A new topic of one partition on the shared broker."""
    return broker.create_topic(new_name("topic"))


@pytest.fixture
def crowd(broker):
    """Opens many connections to the shared broker, and closes them with the test, however it ends."""
    with contextlib.ExitStack() as open_ones:
        yield lambda count, **options: [open_ones.enter_context(broker.connect(**options)) for _ in range(count)]


def new_name(prefix):
    return f"{prefix}-{next(_numbers)}"


@pytest.fixture
def name():
    """Makes names that no other test uses."""
    return new_name


@pytest.fixture
def zookeeper(folder):
    """A ZooKeeper of this test alone."""
    server = ZooKeeper(folder).start()
    yield server
    server.resume()
    server.kill()


@pytest.fixture
def brokers(request, kind, folder):
    """Makes brokers of this test alone, of the kind under test if not said otherwise, and ends them with the test.

    Without a `zookeeper` the broker runs on the test's `coordination`, where the test asks for that, else embedded;
    Apache Kafka gets a ZooKeeper of its own."""
    made = []

    def make(kind=kind, zookeeper=None, properties=None, at=None, **options):
        coordination = request.getfixturevalue("coordination") if "coordination" in request.fixturenames else "embedded"
        if zookeeper is None and (kind == "kafka" or coordination == "zookeeper"):
            zookeeper = request.getfixturevalue("zookeeper")
        address = zookeeper.address if isinstance(zookeeper, ZooKeeper) else zookeeper
        broker = Broker(kind, at or folder / f"broker-{len(made)}", address, properties, **options)
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.resume()
        broker.kill()
