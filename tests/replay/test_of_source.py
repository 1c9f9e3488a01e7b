"""``--monitor`` of commands that answer for vassals: those of one source, and no others."""

import json
from pathlib import Path
from typing import Any

import pytest
from journal_builder import MONITOR, OTHER, of_two_sources
from support.replaying import asking

ask = asking()


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "journal.db")
    with of_two_sources(path) as builder:
        for name, monitor in (("app.ini", MONITOR), ("shop.ini", OTHER), ("moved.ini", OTHER)):
            builder.added(name, b"workers = 4\n", monitor)
            builder.spawned(name)
            builder.accepting(name)
        builder.removed("moved.ini", OTHER)
        builder.of_attempt("exited", "moved.ini", signal=15, cause=builder.seq)
        builder.added("moved.ini", b"workers = 4\n", MONITOR)
        builder.spawned("moved.ini")
        builder.accepting("moved.ini")
        for monitor in (MONITOR, OTHER):
            builder.event("monitor_failed", monitor=monitor, reason="gone")
            builder.event("monitor_recovered", monitor=monitor)
    return path


def known(path: str, *arguments: str) -> Any:
    result = ask(path, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        pytest.param(("why", "*"), ["app.ini", "moved.ini"], id="why"),
        pytest.param(("graph", "*"), ["app.ini", "moved.ini"], id="graph"),
        pytest.param(("graph", "a*", "moved.ini"), ["app.ini", "moved.ini"], id="graph-names"),
        pytest.param(("search", "workers"), ["app.ini", "moved.ini"], id="search"),
        pytest.param(("search", "workers", "m*"), ["moved.ini"], id="search-names"),
        pytest.param(("search", "workers", "--now"), ["app.ini", "moved.ini"], id="search-now"),
    ],
)
@pytest.mark.parametrize("source", ["dir:vassals", MONITOR], ids=["name", "url"])
def test_only_its_vassals(
    path: str, command: tuple[str, ...], found: list[str], source: str
) -> None:
    told = known(path, *command, "--monitor", source, "--json")
    assert sorted(one["vassal"] for one in told) == found


def test_a_presence_is_of_the_source_that_brought_it(path: str) -> None:
    told = known(path, "search", "workers", "moved.ini", "--monitor", OTHER, "--json")
    assert [(one["monitor"], one["now"]) for one in told] == [(OTHER, False)]


def test_report(path: str) -> None:
    every = known(path, "report", "--json")
    its = known(path, "report", "--monitor", OTHER, "--json")
    assert [one["vassal"] for one in every["vassals"]] == ["app.ini", "moved.ini", "shop.ini"]
    assert its["vassals"] == [one for one in every["vassals"] if one["monitor"] == OTHER]
    assert [one["vassal"] for one in its["vassals"]] == ["shop.ini"]
    assert its["fleet"]["up_s"] == its["vassals"][0]["up_s"]


def test_timeline(path: str) -> None:
    lanes = known(path, "timeline", "--monitor", OTHER, "--json")["lanes"]
    assert [lane["vassal"] for lane in lanes] == [None, "moved.ini", "shop.ini"]
    texts = " ".join(mark["text"] for mark in lanes[0]["marks"])
    assert OTHER in texts
    assert MONITOR not in texts
    assert "daemon_started" in texts


@pytest.mark.parametrize(
    "command",
    [("why", "*"), ("graph", "*"), ("search", "workers"), ("report",), ("timeline", "--json")],
    ids=lambda command: command[0],
)
def test_a_source_that_was_never_known(path: str, command: tuple[str, ...]) -> None:
    result = ask(path, *command, "--monitor", "dir:nonsense")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no monitor dir:nonsense was ever known here" in result.stderr


@pytest.mark.parametrize("command", ["why", "graph"])
def test_a_vassal_that_another_source_has(path: str, command: str) -> None:
    result = ask(path, command, "app.ini", "--monitor", OTHER)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "dir:other never had app.ini" in result.stderr


def test_graph_of_several_names(path: str) -> None:
    told = known(path, "graph", "app.ini", "shop.ini", "--json")
    assert [one["vassal"] for one in told] == ["app.ini", "shop.ini"]
    assert ask(path, "graph", "app.ini", "shop.ini", "-o", "svg").exit_code == 2


def test_incident_of_several_names(path: str) -> None:
    told = ask(path, "incident", "shop.ini", "app.ini").stdout
    for name in ("app.ini", "shop.ini"):
        assert ask(path, "incident", name).stdout in told
