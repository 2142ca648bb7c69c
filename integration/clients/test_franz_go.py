"""franz-go's own integration tests that need no transactions; Apache Kafka 3.9.1 passes all of them."""

import re

import pytest

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


def passes(broker, kgo, test):
    """In a process of its own, so that one that hangs stops no other; a sub-test that skips counts as failed."""
    done = run([kgo, "-test.v", "-test.count=1", "-test.timeout=150s", "-test.run", f"^{test}$"], seconds=170, check=False,
               env={"KGO_SEEDS": broker.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": "50000", "KGO_LOG_LEVEL": "none"})
    outcomes = re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.M)
    # What is beyond Kafka 3.9 may be left out.
    outcomes = [outcome for outcome, name in outcomes if not (outcome == "SKIP" and "/848" in name)]
    assert done.returncode == 0 and set(outcomes) == {"PASS"}, done.stdout[-3000:]


@pytest.mark.parametrize("test", TESTS)
def test_kgo(broker, kgo, test):
    passes(broker, kgo, test)


@pytest.mark.on("zookeeper")
@pytest.mark.parametrize("test", GROUPS)
def test_kgo_groups(broker, kgo, test):
    passes(broker, kgo, test)
