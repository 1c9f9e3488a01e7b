"""The configs that the checker takes for approved, on histories that the real fold decides."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from emperord.daemon.core import target
from emperord.daemon.core.fleet import Vassal

from .history import History
from .trouble import Violation

SPEC: Final = "listen=:80 reload=replace"
# The change of a vassal that is replaced has failed, and its former instance runs.
REFUSED: Final = f"""
    policy max_starting=1
    daemon started
    daemon ready
    added a.ini {SPEC}
    accepting a.ini
    changed a.ini ts=2 {SPEC}
    exited a.ini code=26
"""
# As in seed 395565840: a start of a vassal that is up has no effect.
STARTED_WHILE_UP: Final = f"""
    {REFUSED}
    operator start a.ini
    daemon started
    exited a.ini attempt=1 away=yes
    daemon ready
"""
STARTED_WHILE_HELD: Final = f"""
    {REFUSED}
    operator stop a.ini
    exited a.ini attempt=1
    operator start a.ini
"""
STARTED_WHILE_IT_WAITS: Final = f"""
    {REFUSED}
    exited a.ini attempt=1 code=1
    operator start a.ini
"""
# A start has no effect either where it is queued for a slot.
STARTED_IN_THE_QUEUE: Final = f"""
    {REFUSED}
    added b.ini
    exited a.ini attempt=1 code=1
    deadline a.ini
    operator start a.ini
    accepting b.ini
"""
# A change that is being tried was not refused, so it is not tried again.
RETRIED_MIDWAY: Final = f"""
    daemon started
    daemon ready
    added a.ini {SPEC}
    accepting a.ini
    changed a.ini ts=2 {SPEC}
    operator retry a.ini
    exited a.ini attempt=1 code=1
    deadline a.ini
"""
# As in seed 395568311: a source that is given before claims it, and its preflight takes long.
CLAIMED: Final = """
    monitors a b
    daemon started
    daemon ready
    added a.ini from=b
    accepting a.ini
    operator reload a.ini
    changed a.ini ts=2 preflight=x from=a
    daemon started
    adopted a.ini
"""


def ran(history: History) -> list[str | None]:
    """The configs that it was started or reloaded with."""
    orders = history.script.actions
    return [
        each.config for each in orders if each.do in ("spawn", "reload") and each.vassal == "a.ini"
    ]


def not_tried_again(vassal: Vassal) -> None:
    """Have the fold take its refusal for a rollback."""
    assert vassal.refused is not None
    vassal.refused = msgspec.structs.replace(vassal.refused, rolled_back=True)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(STARTED_WHILE_UP, "c1", id="start while it is up"),
        pytest.param(STARTED_WHILE_HELD, "c2", id="start while it is held"),
        pytest.param(STARTED_WHILE_IT_WAITS, "c2", id="start while it waits after its death"),
        pytest.param(STARTED_IN_THE_QUEUE, "c1", id="start while it is queued"),
        pytest.param(RETRIED_MIDWAY, "c1", id="retry while it is tried"),
        pytest.param(CLAIMED, "c1", id="claimed by another source"),
    ],
)
def test_a_config_may_run(history: str, expected: str) -> None:
    assert ran(History(history))[-1] == expected


@pytest.mark.parametrize(
    ("history", "spoil"),
    [
        pytest.param(STARTED_WHILE_UP, target.settle, id="start while it is up"),
        pytest.param(STARTED_WHILE_HELD, not_tried_again, id="start while it is held"),
        pytest.param(RETRIED_MIDWAY, target.settle, id="retry while it is tried"),
    ],
)
def test_no_other_config_may_run(history: str, spoil: Callable[[Vassal], None]) -> None:
    """The fold decides the last line by a fleet that says the opposite."""
    *before, last = history.strip().splitlines()
    told = History("\n".join(before))
    spoil(told.script.fleet.vassals["a.ini"])
    with pytest.raises(Violation):
        told.feed(last.strip())
