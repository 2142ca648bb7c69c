import pytest

from harness.cluster import Cluster


@pytest.fixture
def cluster(folder, request):
    """Kafka's brokers when the tests are to be checked against it."""
    made = []

    def make(*kinds, **properties):
        kind = request.config.getoption("--broker")
        made.append(Cluster(folder / "cluster", kinds or (kind,) * 3, **properties))
        return made[-1]

    yield make
    for each in made:
        each.end()
