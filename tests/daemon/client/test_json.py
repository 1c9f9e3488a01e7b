"""JSON of emperor-ctl: each shape is in docs/control.md, and is as that page has it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.ctl import cli
from support.asking import asked
from support.followers import Follower
from support.kept import Emperor
from support.subcommands import subcommands
from support.vassals import SLEEPER, program

from ..conftest import QUICK

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "control.md").read_text()
_TABLE = PAGE.partition("## JSON of emperor-ctl")[2].partition("\n## ")[0]
# The words of the page on the JSON of each command.
SHAPES = {
    name: row.split(" | ")[1]
    for row in _TABLE.splitlines()
    if row.startswith("| `")
    for name in re.findall(r"`([a-z]+)`", row.split(" | ")[0])
}
NAMED = frozenset(re.findall(r"`([a-z_0-9]+)`", PAGE) + re.findall(r"\"([a-z_]+)\":", PAGE))


def keys(command: str) -> set[str]:
    """The keys that the page names for a command."""
    return set(re.findall(r"`([a-z_]+)`", SHAPES[command]))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    with Emperor(tmp_path_factory.mktemp("json"), *QUICK) as emperor:
        (emperor.vassals / "a.ini").write_text(SLEEPER)
        (emperor.vassals / "barred.ini").write_text(program("/nowhere"))
        emperor.start()
        emperor.up("a.ini")
        emperor.phase("barred.ini", "barred")
        yield emperor
        emperor.stop()


def objects(emperor: Emperor, *words: str, code: int = 0) -> list[dict[str, Any]]:
    done = emperor.ctl(*words, "--json")
    assert done.returncode == code, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_command_with_json_is_on_the_page() -> None:
    having = {
        name
        for name, command in subcommands(cli).items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert set(SHAPES) == having


@pytest.mark.parametrize("do", ["restart", "reload", "stop", "start", "wait"])
def test_a_verb(fleet: Emperor, do: str) -> None:
    (told,) = objects(fleet, do, "a.ini")
    assert set(told) == keys(do) - {"error", "log"}
    assert told["name"] == "a.ini"


@pytest.mark.parametrize("do", ["retry", "wait"])
def test_a_verb_that_fails(fleet: Emperor, do: str) -> None:
    (told,) = objects(fleet, do, "barred.ini", code=1)
    assert set(told) == keys(do)
    assert (told["name"], told["phase"]) == ("barred.ini", "barred")


def test_many_are_an_object_a_line(fleet: Emperor) -> None:
    told = objects(fleet, "wait", "a.ini", "barred.ini", code=1)
    assert {each["name"]: "error" in each for each in told} == {"a.ini": False, "barred.ini": True}


@pytest.mark.parametrize(
    ("words", "code"),
    [(("reopen",), 0), (("check",), 1), (("upgrade",), 0)],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_object(fleet: Emperor, words: tuple[str, ...], code: int) -> None:
    told = asked(fleet, *words, code=code)
    if words == ("check",):
        assert set(told["data"][0]) | set(told) == keys("check")
    else:
        assert set(told) == keys(words[0])


def test_an_upgrade_that_is_not_waited_for_tells_nothing(fleet: Emperor) -> None:
    seq = fleet.last_seq()
    assert asked(fleet, "upgrade", "--no-wait") == {}
    fleet.next_ready(seq)


def test_the_top(fleet: Emperor) -> None:
    told = asked(fleet, "top", "--once")
    assert set(told[0]) == keys("top")


def test_lines_of_a_log(fleet: Emperor) -> None:
    log = fleet.logs / "a.ini.log"
    log.with_name("a.ini.log.1").write_bytes(b"older\n")
    log.write_bytes(b"\xff \x1b[2J\nno end")
    told = objects(fleet, "logs", "a.ini", "-n", "3")
    assert {key for each in told for key in each} == keys("logs")
    assert [each["vassal"] for each in told] == ["a.ini"] * 3
    assert [(each["part"], each["at"], each["text"]) for each in told] == [
        (1, None, "older"),
        (0, None, "\\xff \x1b[2J"),
        (0, None, "no end"),
    ]
    assert fleet.ctl("logs", "a.ini", "--json", "--raw").returncode == 2


def test_lines_of_a_log_that_is_followed(fleet: Emperor) -> None:
    log = fleet.logs / "a.ini.log"
    log.write_bytes(b"before\n")
    began = datetime.now(UTC)
    with Follower(fleet, "logs", "-f", "-n", "1", "--json", "a.ini") as follower:
        before = follower.until(b"\n")
        assert json.loads(before)["at"] is None
        with log.open("ab") as file:
            file.write(b"new\n")
        told = json.loads(
            follower.until_true(lambda text: text.count(b"\n") == 2, "new").splitlines()[1]
        )
    assert (told["vassal"], told["part"], told["text"]) == ("a.ini", 0, "new")
    assert began < datetime.fromisoformat(told["at"]) < datetime.now(UTC)


def _all_keys(value: Any, of_others: tuple[str, ...]) -> Iterator[str]:
    """All keys in a value; of objects whose keys are names of others, none."""
    for each in value if isinstance(value, list) else []:
        yield from _all_keys(each, of_others)
    for key, inner in value.items() if isinstance(value, dict) else []:
        yield key
        if key not in of_others:
            yield from _all_keys(inner, of_others)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("status",), 3), (("list",), 0), (("show", "a.ini"), 0), (("explain", "a.ini"), 0)],
    ids=["status", "list", "show", "explain"],
)
def test_each_key_is_named_on_the_page(fleet: Emperor, words: tuple[str, ...], code: int) -> None:
    told = asked(fleet, *words, code=code)
    by_names = ("vassals", "sources", "outages") if words == ("status",) else ("sources",)
    assert set(_all_keys(told, by_names)) <= NAMED
