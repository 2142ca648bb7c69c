"""Leaders and controllers that sleep for longer than their session; `bench/pauses` does the same for longer."""

import pytest

from harness.pauses import Pauses


@pytest.fixture
def pauses(folder, kind):
    made = Pauses(folder / "cluster", kind)
    yield made
    made.five.end()


@pytest.mark.timeout(400)  # Kafka takes minutes
def test_who_wakes_up_acknowledges_nothing_and_writes_nothing(pauses):
    print(pauses.run(12))
    assert pauses.asked > 0
