"""``emperor-replay`` as a command: real processes, exit codes, pipes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.replay.main import cli
from journal_builder import building, busy_fleet
from support import warm
from support.subcommands import subcommands

COMMAND = [sys.executable, "-P", "-m", "emperord.replay.main"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("command") / "journal.db")
    with building(path, group=500) as builder:
        busy_fleet(builder, 6000, 20)
        builder.added("bücher.ini", "name = bücher\n".encode())
        builder.event("daemon_stopped")
    return path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return warm.run([*COMMAND, *arguments], {**os.environ, **environment})


COMMANDS = [
    ["state"],
    ["state", "--json"],
    ["state", "--full"],
    ["state", "-o", "csv"],
    ["state", "--diff", "@100"],
    ["history", "-o", "wide"],
    ["history", "-o", "jsonl"],
    ["history", "-o", "csv"],
    ["events", "-o", "json"],
    ["events", "-o", "csv"],
    ["history"],
    ["history", "app00*", "-n", "5"],
    ["events", "--boot", "0", "-n", "5"],
    ["history", "app003.ini", "--since", "-999w", "--json"],
    ["events"],
    ["events", "--json"],
    ["report"],
    ["report", "--json"],
    ["report", "-o", "csv"],
    ["runs"],
    ["runs", "--json"],
    ["simulate", "--set", "throttle=5s"],
    ["why", "app003.ini"],
    ["why", "app003.ini", "--json"],
    ["graph", "app003.ini"],
    ["graph", "app003.ini", "-o", "svg"],
    ["incident", "app003.ini"],
    ["incident", "app003.ini", "--json"],
    ["show", "app003.ini"],
    ["diff", "app003.ini"],
    ["diff", "app003.ini", "@100", "-0s"],
    ["search", "turn = 3"],
    ["around", "100", "+-5s"],
    ["blame", "app003.ini"],
    ["bisect", "app003.ini", "--line", "turn"],
    ["undo", "3"],
    ["export-configs", "--sql"],
    ["state", "app00*"],
    ["why", "app00[34].ini"],
    ["verify"],
]


@pytest.mark.few(6)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_ends_well_and_leaves_no_trace(path: str, arguments: list[str]) -> None:
    folder = Path(path).parent

    def fingerprint() -> dict[str, str]:
        return {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()
        }

    before = fingerprint()
    result = run("--journal", path, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout
    assert fingerprint() == before


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_any_locale(path: str, locale: str) -> None:
    environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = run("--journal", path, "state", "--json", **environment)
    assert result.returncode == 0, result.stderr
    names = [vassal["name"] for vassal in json.loads(result.stdout)["vassals"]]
    assert "bücher.ini" in names
    result = run("--journal", path, "show", "bücher.ini", **environment)
    assert result.stdout == "name = bücher\n"
    assert run("--journal", path, "state", **environment).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("around", "@100"), ("diff", "app003.ini"), ("events",), ("graph",), ("history",),
        ("incident",), ("report",), ("show",), ("state",), ("timeline",), ("why",),
        ("why", "app003.ini"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_name_that_is_not_utf_8_is_of_no_vassal(path: str, words: tuple[str, ...]) -> None:
    result = run("--journal", path, *words, os.fsdecode(b"b\xff\xe9d.ini"))
    assert (result.returncode, result.stdout) == (1, "")
    error = r"there is no vassal b\xff\xe9d.ini: its name is not UTF-8"
    assert result.stderr == f"emperor-replay: {error}\n"


def test_no_colour_and_no_progress_without_a_terminal(path: str) -> None:
    for arguments in (["state"], ["verify"], ["history"]):
        result = run("--journal", path, *arguments)
        assert "\x1b" not in result.stdout + result.stderr
        assert "\r" not in result.stdout + result.stderr


def test_the_journal_of_the_environment(path: str, tmp_path: Path) -> None:
    assert run("verify", EMPEROR_JOURNAL=path).returncode == 0
    missing = str(tmp_path / "none.db")
    result = run("--journal", missing, "verify", EMPEROR_JOURNAL=path)
    assert result.returncode == 3
    assert result.stderr == (
        f"emperor-replay: {missing}: there is no such file; give the right --journal\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *(([], 2), (["nonsense"], 2), (["--help"], 0), (["why"], 2), (["verify", "x"], 2)),
        (["--journal", "", "state"], 2),
    ],
    ids=str,
)
def test_usage(arguments: list[str], code: int) -> None:
    result = run(*arguments)
    assert result.returncode == code
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", sorted(subcommands(cli)))
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"], prog_name="emperor-replay")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 4


def test_what_is_no_journal_is_one_line_for_every_command(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello\n" * 200)
    for arguments in {arguments[0]: arguments for arguments in COMMANDS}.values():
        result = run("--journal", str(text), *arguments)
        assert result.returncode == 3
        assert result.stdout == ""
        assert result.stderr == (
            f"emperor-replay: {text}: not an SQLite database, so not a journal;"
            " give the right --journal\n"
        )


def test_a_path_is_shown_on_one_line(tmp_path: Path) -> None:
    result = run("--journal", str(tmp_path / "a\nb\u202e"), "state")
    assert result.returncode == 3
    said = f"emperor-replay: {tmp_path}/a\\nb\\u202e: there is no such file; give the right"
    assert result.stderr == f"{said} --journal\n"
