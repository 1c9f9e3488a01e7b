"""A daemon that starts vassals on demand."""

import pytest
from support.daemon import Daemon
from support.on_demand import BESIDE

from ...conftest import MakeDaemon


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    return make_daemon(*BESIDE, "--throttle", "200")
