"""Several journals at once: names of hosts, one order by time, and times instead of numbers."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.replay.hosts import merged, sources
from emperord.replay.main import SEVERAL, cli
from journal_builder import SECOND, building
from support.subcommands import subcommands


def run(paths: list[str], *arguments: str) -> Result:
    journals = [word for path in paths for word in ("--journal", path)]
    return CliRunner().invoke(cli, [*journals, *arguments])


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two hosts. The second one began half a second after the first."""
    folder = tmp_path_factory.mktemp("hosts")
    found = []
    for number, name in enumerate(("web1", "web2")):
        path = str(folder / f"{name}.db")
        with building(path) as builder:
            builder.at += number * SECOND // 2
            builder.start()
            builder.up("a.ini")
            builder.up(f"{name}.ini")
        found.append(path)
    return found


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (("a.db",), [(None, "a.db")]),
        (("web=a.db",), [(None, "a.db")]),
        (("a.db", "b.db"), [("a", "a.db"), ("b", "b.db")]),
        (("one=x/j.db", "two=y/j.db"), [("one", "x/j.db"), ("two", "y/j.db")]),
        (("x/j.db", "y/j.db"), [("x/j", "x/j.db"), ("y/j", "y/j.db")]),
        (("./a=b/j.db", "c.db"), [("j", "./a=b/j.db"), ("c", "c.db")]),
        (("h=a=b.db", "c.db"), [("h", "a=b.db"), ("c", "c.db")]),
    ],
)
def test_names_of_hosts(told: tuple[str, ...], expected: list[tuple[str | None, str]]) -> None:
    assert [each[:2] for each in sources(told)] == expected


def test_a_file_that_is_there_is_no_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.db").touch()
    found = [each[:2] for each in sources(("a=b.db", "c.db"))]
    assert found == [("a=b", "a=b.db"), ("c", "c.db")]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (("a.db", "a.db"), "names a journal twice"),
        (("h=a.db", "h=b.db"), "names two journals alike"),
    ],
)
def test_names_that_are_taken(told: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sources(told)


def test_things_come_by_time() -> None:
    streams = [("a", [(1, "x"), (4, "y")]), ("b", [(2, "z"), (4, "w")])]
    assert list(merged(streams)) == [("a", "x"), ("b", "z"), ("a", "y"), ("b", "w")]


def test_events_of_both_come_in_one_order(paths: list[str]) -> None:
    found = [json.loads(line) for line in run(paths, "events", "--json").stdout.splitlines()]
    assert [each["host"] for each in found] == ["web1", "web2"] * 8
    assert [each["at"] for each in found] == sorted(each["at"] for each in found)


def test_one_journal_has_no_column_of_hosts(paths: list[str]) -> None:
    (first, *_) = run(paths[:1], "events", "--json").stdout.splitlines()
    assert "host" not in json.loads(first)
    assert run(paths[:1], "events").stdout.startswith("       1  2026-11-24")


@pytest.mark.parametrize(
    ("arguments", "hosts"),
    [
        (("events",), ["web1", "web2"] * 8),
        (("events", "web2.ini"), ["web2"] * 3),
        (("around", "2026-11-24T06:00:01Z", "0.4s"), ["web1"]),
        (("around", "2026-11-24T06:00:01Z", "1s"), ["web1", "web2", "web1"]),
        (("history",), ["HOST", *["web1", "web2"] * 2]),
        (("history", "--since", "2026-11-24T06:00:06.2Z"), ["HOST", "web2"]),
    ],
    ids=" ".join,
)
def test_lines_name_their_host(
    paths: list[str], arguments: tuple[str, ...], hosts: list[str]
) -> None:
    result = run(paths, *arguments)
    assert [line.split()[0] for line in result.stdout.splitlines()] == hosts, result.stderr


def test_a_report_of_both(paths: list[str]) -> None:
    rows = list(csv.DictReader(run(paths, "report", "-o", "csv").stdout.splitlines()))
    assert [(row["scope"], row["host"], row["vassal"]) for row in rows] == [
        ("fleet", "", ""),
        ("host", "web1", ""),
        ("host", "web2", ""),
        ("vassal", "web1", "a.ini"),
        ("vassal", "web1", "web1.ini"),
        ("vassal", "web2", "a.ini"),
        ("vassal", "web2", "web2.ini"),
    ]
    assert [row["deploys"] for row in rows] == ["4", "2", "2", "1", "1", "1", "1"]


@pytest.mark.parametrize("name", [name for name in subcommands(cli) if name not in SEVERAL])
def test_the_others_read_one_journal(paths: list[str], name: str) -> None:
    result = run(paths, name)
    assert result.exit_code == 2
    assert f"{name} reads one journal" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("events", "--since", "@3"), ("history", "--until", "@3"), ("around", "@3"), ("around", "3"),
     ("report", "--since", "@3")],
    ids=" ".join,
)  # fmt: skip
def test_a_number_says_no_time_of_several(paths: list[str], arguments: tuple[str, ...]) -> None:
    result = run(paths, *arguments)
    assert (result.exit_code, "write a time" in result.stderr) == (2, True)


def test_a_name_that_none_knows(paths: list[str]) -> None:
    result = run(paths, "events", "web3.ini")
    assert (result.exit_code, "no vassal web3.ini was ever known" in result.stderr) == (1, True)
