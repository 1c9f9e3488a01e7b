"""Wrong decisions about rollouts that few seeds would meet, each in a script of its own."""

import pytest
from emperord.daemon.loop.shell import Shell

from .canaries import planted
from .rollout_canaries import STAGED
from .shrink import trouble


@pytest.mark.parametrize("bug", STAGED)
def test_a_staged_wrong_decision_is_caught(bug: str) -> None:
    decide, rule, script = STAGED[bug]
    with planted(decide):
        found = trouble(script, Shell)
    assert found is not None
    assert found.rule == rule
    assert trouble(script, Shell) is None
