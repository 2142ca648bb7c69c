"""franz-go's own integration tests that need no transactions. Apache Kafka 3.9.1 passes all of them, but for those of KIP-848, which it
does not offer."""

import re

import pytest

from harness.broker import Broker
from harness.paths import TOOLS
from harness.process import run

TESTS = """
TestAddRemovePartitions TestClient_Produce TestClient_ProduceLargeMessages TestConsumeRegex TestDirectPartitionPurge
TestHookPollStart TestIssue325 TestIssue337 TestIssue434 TestIssue648 TestIssue769 TestIssue810 TestIssue831
TestIssueProduceSyncManualPartitionNegativeDoesNotPanic TestPauseIssue489 TestPauseIssueOct2023 TestPing TestPooling
""".split()
GROUPS = "TestGroupETL TestGroupSimple TestIssue1034 TestIssue523 TestIssue865".split()


@pytest.fixture(scope="session")
def kgo():
    [binary] = TOOLS.glob("kgo-*.test") or pytest.fail("franz-go's tests are missing: integration/setup/install says why")
    return binary


def outcomes(broker, kgo, test):
    """What became of each sub-test. In a process of its own, so that one that hangs stops no other."""
    done = run([kgo, "-test.v", "-test.count=1", "-test.timeout=150s", "-test.run", f"^{test}$"], seconds=170, check=False,
               env={"KGO_SEEDS": broker.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": "50000", "KGO_LOG_LEVEL": "none"})
    found = {name: outcome for outcome, name in re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.M)}
    assert done.returncode == 0 and found, done.stdout[-3000:]
    return found


def passes(broker, kgo, test):
    """A sub-test that skips counts as failed."""
    # What is beyond Kafka 3.9 may be left out; below it may not.
    found = {name: outcome for name, outcome in outcomes(broker, kgo, test).items() if not (outcome == "SKIP" and "/848" in name)}
    assert set(found.values()) == {"PASS"}, found


@pytest.mark.parametrize("test", TESTS)
def test_kgo(broker, kgo, test):
    passes(broker, kgo, test)


@pytest.mark.on("zookeeper")
@pytest.mark.parametrize("test", GROUPS)
def test_kgo_groups(broker, kgo, test):
    passes(broker, kgo, test)


@pytest.fixture(scope="module")
def both_protocols(session_folder):
    broker = Broker("dohle", session_folder / "both-protocols", None, {"group.coordinator.rebalance.protocols": "classic,consumer"})
    yield broker.start()
    broker.kill()


# The simple one looks whether the broker has the protocol before it has asked it, unless another test of the same process did.
@pytest.mark.dohle
@pytest.mark.parametrize(("test", "new"), [
    ("TestGroupETL", {"range/848", "sticky/848", "sticky/848/static"}), ("(TestAddRemovePartitions|TestGroupSimple)", {"848"})])
def test_kgo_groups_of_both_protocols(both_protocols, kgo, test, new):
    found = outcomes(both_protocols, kgo, test)
    assert set(found.values()) == {"PASS"}, found
    assert new == {name.partition("/")[2] for name in found if "848" in name}, found
