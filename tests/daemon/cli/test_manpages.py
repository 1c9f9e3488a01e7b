"""Man pages: of every command, current, well formed, and installed where man looks for them."""

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from emperord.daemon.ctl import cli as emperor_ctl
from emperord.daemon.main import main as emperor
from emperord.replay.main import cli as emperor_replay
from support.programs import installed
from support.subcommands import subcommands

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "man" / "man1"
PROGRAMS: dict[str, click.Command] = {
    "emperor": emperor,
    "emperor-ctl": emperor_ctl,
    "emperor-replay": emperor_replay,
}


def commands() -> Iterator[tuple[str, click.Context]]:
    """The name of each page, and its command."""
    for program, command in PROGRAMS.items():
        context = click.Context(command, info_name=program)
        yield program, context
        for name, inner in subcommands(command).items():
            yield f"{program}-{name}", click.Context(inner, info_name=name, parent=context)


PAGES = dict(commands())


def test_the_pages_are_current_and_installed() -> None:
    argv = [sys.executable, str(ROOT / "tools" / "manpages"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text() for path in (ROOT / "share/man/man1").iterdir()}
    assert pages.keys() == {f"{name}.1" for name in PAGES}
    assert {name: (INSTALLED / name).read_text() for name in pages} == pages


def test_mandoc_finds_no_fault() -> None:
    mandoc = installed("mandoc")
    argv = [mandoc, "-Tlint", "-Wstyle", *map(str, sorted(INSTALLED.glob("emperor*.1")))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    # Without a date the pages change only when a command does.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
    assert done.stdout != ""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_the_help_says(name: str) -> None:
    mandoc = installed("mandoc")
    argv = [mandoc, "-Tutf8", "-Owidth=200", str(INSTALLED / f"{name}.1")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    page = _words(re.sub(".\b", "", done.stdout))
    context = PAGES[name]
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            assert _words(" ".join(record)) in page
    assert _words((context.command.help or "").replace("\b", "")) in page
    for inner in subcommands(context.command):
        assert f"{name}-{inner}(1)" in page


def _words(text: str) -> str:
    return " ".join(text.split())
