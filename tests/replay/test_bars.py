"""A deploy that may not run breaks a vassal, but no process dies of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journal_builder import Builder, building
from support.replaying import asking

ask = asking()
TOLD = "it has no section [uwsgi]"


def stopped(b: Builder) -> None:
    """Its process is stopped for a config that may not run."""
    b.up("a.ini", b"good = 1\n")  # 3, 4, 5
    b.at += 120 * 10**9
    b.changed("a.ini", b"bad = 1\n", bar=TOLD)  # 6
    b.exited("a.ini", signal=15)  # 7: as ordered


def again(b: Builder) -> None:
    stopped(b)
    b.changed("a.ini", b"bad = 2\n", bar=TOLD)  # 8


def repaired(b: Builder) -> None:
    again(b)
    b.changed("a.ini", b"good = 2\n")  # 9
    b.spawned("a.ini")
    b.accepting("a.ini")
    b.of_attempt("vassal_loyal", "a.ini")


def loop(b: Builder) -> None:
    """It dies of a deploy, and the repair may not run."""
    b.up("a.ini", b"good = 1\n")  # 3, 4, 5
    b.at += 120 * 10**9
    b.changed("a.ini", b"bad = 1\n")  # 6
    b.exited("a.ini", code=1)  # 7
    b.changed("a.ini", b"bad = 2\n", bar=TOLD)  # 8


def policy(b: Builder) -> None:
    """The policy of the day bars it, as it has no user in tyrant mode."""
    b.start(tyrant=True)
    b.added("a.ini", b"good = 1\n")


CASES: dict[str, tuple[Callable[[Builder], None], tuple[int, int], str, str]] = {
    "stopped": (stopped, (0, 1), "barred: broken by 6, last good 3", "**barred:** may not run"),
    "again": (again, (0, 2), "barred 2 times, 1 deploy: broken by 6", "**barred:** may not run"),
    "repaired": (repaired, (0, 2), "repairs 8 ✗ 9 ✓", "**barred:** may not run"),
    "loop": (loop, (1, 1), "1 death, barred, 1 deploy: broken by 6", "**deaths:** 1, and barred:"),
    "policy": (policy, (0, 1), "barred: broken by", "**barred:** may not run"),
}


@pytest.mark.parametrize(("story", "counts", "line", "fact"), CASES.values(), ids=list(CASES))
def test_a_bar_is_no_death(
    tmp_path: Path,
    story: Callable[[Builder], None],
    counts: tuple[int, int],
    line: str,
    fact: str,
) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        if story is not policy:
            builder.start()
        story(builder)
    told: Any = json.loads(ask(path, "why", "a.ini", "--json").stdout)["break"]
    assert (told["deaths"], told["bars"]) == counts
    assert line in ask(path, "why", "a.ini").stdout
    assert fact in ask(path, "incident", "a.ini").stdout
