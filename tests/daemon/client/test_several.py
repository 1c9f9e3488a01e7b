"""emperor-ctl show and explain of several vassals, and of one whose name looks like a pattern."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.asking import asked, refused
from support.kept import Emperor
from support.vassals import SLEEPER

from ..conftest import QUICK

STARRED = "web[1].ini"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emperor]:
    folder = tmp_path_factory.mktemp("several")
    with Emperor(folder, *QUICK) as emperor:
        for name in ("app-1.ini", "app-2.ini", STARRED):
            (emperor.vassals / name).write_text(SLEEPER)
        emperor.start()
        emperor.up("app-1.ini", "app-2.ini", STARRED)
        yield emperor
        emperor.stop()


@pytest.mark.parametrize("command", ["show", "explain"])
def test_names_and_patterns(fleet: Emperor, command: str) -> None:
    def names(*words: str) -> list[str]:
        told = asked(fleet, command, *words)
        assert isinstance(told, list)
        return [each["name"] for each in told]

    assert names("app-*") == ["app-1.ini", "app-2.ini"]
    assert names("app-2*") == ["app-2.ini"]
    assert names("app-2.ini", STARRED) == ["app-2.ini", STARRED]
    for one in ("app-1.ini", STARRED):
        assert asked(fleet, command, one)["name"] == one
    assert refused(fleet, command, "app-1.ini", "x*") == "no vassal fits x*"
    assert fleet.ctl(command).returncode == 2


@pytest.mark.parametrize(
    ("command", "title"), [("show", "name:            "), ("explain", "")], ids=["show", "explain"]
)
def test_they_stand_apart(fleet: Emperor, command: str, title: str) -> None:
    first, second = fleet.ctl(command, "app-*").stdout.split("\n\n")
    assert first.startswith(f"{title}app-1.ini")
    assert second.startswith(f"{title}app-2.ini")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("app-*", "app-* is a pattern, which fits 2 vassals; name one of them"),
        ("app-1*", "app-1* is a pattern, which fits a vassal; name one of them"),
        ("x*", "no vassal fits x*"),
    ],
)
def test_a_request_about_one_vassal_takes_no_pattern(fleet: Emperor, name: str, error: str) -> None:
    def answer(do: str) -> Any:
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as stream:
            client.connect(str(fleet.control))
            client.sendall(json.dumps({"do": do, "name": name}).encode() + b"\n")
            return json.loads(stream.readline())

    for do in ("show", "explain", "stop"):
        assert answer(do) == {"ok": False, "error": error}
