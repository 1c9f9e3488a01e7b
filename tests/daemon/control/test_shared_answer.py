"""The answer to ``list`` is made once for clients that ask at the same time."""

import json
from typing import Any

from emperord.daemon.control.shared_answer import SharedAnswer
from support.waiting import until


class Fleet:
    """A fleet that counts how often it is told."""

    def __init__(self) -> None:
        self.told = 0

    def record(self) -> dict[str, Any]:
        self.told += 1
        return {"told": self.told}


def test_it_is_shared_until_something_is_recorded() -> None:
    fleet = Fleet()
    answer = SharedAnswer(fleet.record)
    first = answer.line(7)
    assert json.loads(first) == {"ok": True, "told": 1}
    assert answer.line(7) is first
    assert json.loads(answer.line(8)) == {"ok": True, "told": 2}


def test_it_is_not_shared_for_long() -> None:
    """Times since a start or an end go on without an event."""
    answer = SharedAnswer(Fleet().record)
    first = answer.line(7)
    until(lambda: answer.line(7) is not first, "it is made anew")
