"""A rolling restart that no client notices; `bench/rolling` does ten of them."""

import pytest

from harness.rolling import Rolling


@pytest.fixture
def rolling(folder, kind):
    made = Rolling(folder, kind)
    yield made
    made.end()


def test_no_client_notices_a_rolling_restart(rolling):
    print(rolling.run(1))
