"""The table of ``emperor-ctl list``."""

from typing import Any

import pytest
from emperord.daemon.cli.vassals import table

VASSAL: dict[str, Any] = {
    "name": "a.ini", "phase": "ready", "pid": 7, "deaths": 0, "uptime_s": 3.2, "running": "c" * 64,
    "config": "c" * 64, "reason": None, "monitor": "dir:///v",
    "since": "2026-11-24T06:31:03.532123456Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("sources", "shown"),
    [
        ({"dir:///v": "dir:v"}, None),
        ({"dir:///v": "dir:v", "pg://x": "pg:x"}, "dir:v"),
        ({"pg://x": "pg:x"}, "dir:///v"),  # a vassal of a source that this daemon does not have
        ({}, "dir:///v"),  # a daemon of a former version names none
    ],
    ids=["one", "two", "former", "unnamed"],
)
def test_sources_are_a_column_where_there_are_several(
    sources: dict[str, str], shown: str | None
) -> None:
    head, line = table([VASSAL], sources)
    assert ("SOURCE" in head) == (shown is not None)
    assert shown is None or line.split()[-1] == shown
