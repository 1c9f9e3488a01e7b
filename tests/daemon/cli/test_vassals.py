"""The table of ``emperor-ctl list``."""

from typing import Any

import pytest
from emperord.daemon.cli import terminal
from emperord.daemon.cli.vassals import FIELDS, table
from emperord.daemon.client import choosing
from emperord.daemon.core.fleet import PHASES

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


REFUSED: dict[str, Any] = {"seq": 9, "at": "2026-11-24T06:31:03Z", "reason": "no such plugin"}
TOLD: dict[str, Any] = {
    **VASSAL,
    "loyal": True, "listens": True, "restarts": 3, "last_exit_s": 7.0, "config": "d" * 64,
    "last_exit": {"how": "SIGKILL", "whose": "not by emperord", "at": "2026-11-24T06:31:03Z"},
    "not_before": "2026-11-24T06:31:09Z", "due": "reload", "in_line": 3, "reason": "because",
    "hold": {"uid": 0, "loginuid": 7, "at": "2026-11-24T06:31:03Z", "seq": 4},
    "refused": REFUSED, "rolled_back": None, "check": None, "rollout": None,
    "candidate": {"phase": "settling", "attempt": 5},
}  # fmt: skip


class Noted(dict[str, Any]):
    """A record that notes which of its fields were asked for."""

    asked: set[str] = set()  # of all of them

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


@pytest.mark.parametrize("width", [None, 80, 200], ids=["pipe", "narrow", "wide"])
def test_a_list_asks_for_the_fields_that_it_tells(
    width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "width", lambda: width)
    vassals = [
        Noted({**TOLD, "phase": phase, "rolled_back": back, "refused": None if back else REFUSED})
        for phase in PHASES
        for back in (None, REFUSED)
    ]
    sources = {"dir:///v": "dir:v", "pg://x": "pg:x"}
    whole = list(table(vassals, sources))
    for key in choosing.ORDERS:
        choosing.ordered(vassals, key)
    choosing.select(vassals, sources, ["a.ini"], ["ready"], "dir:v")
    assert Noted.asked <= {*FIELDS, *choosing.FIELDS}
    parts = [{k: each.get(k) for k in FIELDS if each.get(k) is not None} for each in vassals]
    assert list(table(parts, sources)) == whole


def test_fields_that_are_null_may_be_missing() -> None:
    empty = {"name": "a.ini", "monitor": "dir:///v", "phase": "queued"}
    nulls = {**dict.fromkeys((*FIELDS, *choosing.FIELDS)), **empty}
    assert list(table([empty], {})) == list(table([nulls], {}))
    for key in choosing.ORDERS:
        assert choosing.ordered([empty], key) == [empty]
