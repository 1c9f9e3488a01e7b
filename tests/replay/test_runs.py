"""``runs``: which config each vassal ran, from when to when, and how long another was wanted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.journal import chain
from journal_builder import building
from support.incidents import known, told

OLD, NEW = b"[uwsgi]\nsays = old\n", b"[uwsgi]\nsays = new\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start(max_starting=1)  # 1, 2
        builder.up("a.ini", OLD)  # 3, 4, 5
        builder.up("b.ini", OLD)  # 6, 7, 8
        builder.changed("a.ini", NEW)  # 9
        builder.changed("b.ini", NEW)  # 10: waits
        builder.accepting("a.ini", after=30)  # 11: b.ini is told to reload
        builder.accepting("b.ini")  # 12
        builder.exited("b.ini", code=1)  # 13
    return path


def rows(path: str, *words: str) -> list[tuple[Any, ...]]:
    return [
        (run["vassal"], run["config"], run["since_seq"], run["until_seq"], run["behind_s"])
        for run in known(path, "runs", *words)
    ]


old, new = chain.digest(OLD), chain.digest(NEW)
ALL = [
    ("a.ini", old, 3, 11, 31.0),
    ("b.ini", old, 6, 12, 31.0),
    ("a.ini", new, 11, None, 0.0),
    ("b.ini", new, 12, 13, 0.0),
]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param((), ALL, id="all"),
        pytest.param(("a.ini",), [ALL[0], ALL[2]], id="of one vassal"),
        pytest.param(("b*",), [ALL[1], ALL[3]], id="of a pattern"),
        pytest.param(("--behind",), ALL[:2], id="while another was wanted"),
        pytest.param(("--config", new[:8]), ALL[2:], id="one config"),
        pytest.param(("--since", "@13"), [ALL[2], ALL[3]], id="since"),
        pytest.param(("--until", "@5"), [("a.ini", old, 3, None, 0.0)], id="until"),
    ],
)
def test_which_config_ran_when(
    path: str, words: tuple[str, ...], found: list[tuple[Any, ...]]
) -> None:
    told_ = rows(path, *words)
    assert [row[:2] + row[3:] for row in told_] == [row[:2] + row[3:] for row in found]
    if "--since" not in words:  # a run may have begun before the events that are read
        assert told_ == found


def test_times_of_a_run(path: str) -> None:
    first = known(path, "runs")[0]
    assert (first["since"], first["until"]) == (
        "2026-11-24T06:00:03.000000000Z", "2026-11-24T06:00:40.000000000Z",
    )  # fmt: skip
    assert first["lasted_s"] == 37.0
    assert first["wanted"] == new
    line = told(path, "runs").splitlines()[1]
    assert line.split() == [
        "a.ini", old[:12], "2026-11-24", "06:00:03.000", "2026-11-24", "06:00:40.000", "37s",
        "31s", new[:12],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("until", "lasted", "behind"),
    [
        pytest.param("2026-11-24T06:00:30Z", [27, 24], [21, 20], id="between two events"),
        pytest.param("@10", [7, 4], [1, 0], id="an event"),
        pytest.param("2026-11-24T06:00:41.5Z", [37, 35, 1.5, 0.5], [31, 31, 0, 0], id="before one"),
        pytest.param("2026-11-25", [37, 35, 2, 1], [31, 31, 0, 0], id="behind the last event"),
    ],
)
def test_what_lasts_is_counted_to_the_end_of_the_period(
    path: str, until: str, lasted: list[float], behind: list[float]
) -> None:
    found = known(path, "runs", "--until", until)
    assert [run["lasted_s"] for run in found] == lasted
    assert [run["behind_s"] for run in found] == behind


def test_nothing_ran(path: str) -> None:
    assert told(path, "runs", "--config", "ffff", code=1) == ""
    assert known(path, "runs", "--config", "ffff") == []


def test_the_old_config_midway_through_a_change(incident: Callable[[str], str]) -> None:
    journal = incident("rolling")
    behind = known(journal, "runs", "--behind")
    lasts = [run for run in behind if run["until"] is None]
    assert len(behind) == 50
    assert len(lasts) == 44
    assert all(run["behind_s"] > 0 for run in behind)
