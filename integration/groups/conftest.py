import pytest

from cluster.conftest import cluster
from groups.members import QUICK
from harness.broker import Broker

__all__ = ["cluster"]


@pytest.fixture(scope="module")
def quick(request, session_folder):
    """A broker with the settings QUICK and those that its file calls QUICKER."""
    folder = session_folder / request.module.__name__.rpartition(".")[2]
    broker = Broker("dohle", folder, None, {**QUICK, **getattr(request.module, "QUICKER", {})})
    broker.start()
    yield broker
    broker.kill()
