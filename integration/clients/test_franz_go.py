"""franz-go's own integration tests that need no transactions; Apache Kafka 3.9.1 passes all of them."""

import re

import pytest

from harness.paths import TOOLS
from harness.process import run

TESTS = """
TestAddRemovePartitions TestClient_Produce TestClient_ProduceLargeMessages TestConsumeRegex TestDirectPartitionPurge
TestHookPollStart TestIssue325 TestIssue337 TestIssue434 TestIssue648 TestIssue769 TestIssue810 TestIssue831
TestIssueProduceSyncManualPartitionNegativeDoesNotPanic TestPauseIssue489 TestPauseIssueOct2023 TestPing TestPooling
TestGroupETL/cooperative-sticky TestGroupETL/range TestGroupSimple/classic TestIssue1034 TestIssue523/roundrobin TestIssue523/sticky
TestIssue865
""".split()


@pytest.fixture(scope="session")
def kgo():
    [binary] = TOOLS.glob("kgo-*.test") or pytest.fail("franz-go's tests are missing: integration/setup/install says why")
    return binary


@pytest.mark.parametrize("test", TESTS)
def test_kgo(broker, kgo, test):
    """In a process of its own, so that one that hangs stops no other; a sub-test that skips counts as failed."""
    done = run([kgo, "-test.v", "-test.count=1", "-test.timeout=150s", "-test.run", "/".join(f"^{part}$" for part in test.split("/"))], seconds=170, check=False,
               env={"KGO_SEEDS": broker.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": "50000", "KGO_LOG_LEVEL": "none"})
    outcomes = re.findall(r"^ *--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.M)
    assert done.returncode == 0 and outcomes and {outcome for outcome, _ in outcomes} == {"PASS"}, done.stdout[-3000:]
