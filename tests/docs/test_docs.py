"""The documents are true: generated pages are current, links lead somewhere, names are real."""

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from emperord.daemon.ctl import cli as emperor_ctl
from emperord.daemon.main import main as emperor
from emperord.monitors.registry import SCHEMES
from emperord.replay.main import cli as emperor_replay

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_command_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "commands", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["emperor", "emperor-ctl", "emperor-replay"])
def test_the_command_reference_is_what_the_commands_say(name: str) -> None:
    """As they are installed: the words of --help, and the name in a usage error."""
    command = Path(sys.executable).parent / name
    environ = {**os.environ, "COLUMNS": "200"}

    def say(option: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, option], capture_output=True, text=True, check=False, env=environ
        )

    assert f"```text\n{say('--help').stdout}```" in (ROOT / "docs" / "commands.md").read_text()
    mistaken = say("--no-such-option")
    assert mistaken.returncode == 2
    assert f"Usage: {name} [OPTIONS]" in mistaken.stderr
    assert f"Try '{name} --help' for help." in mistaken.stderr


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_source_is_in_the_table_of_sources(scheme: str) -> None:
    rows = (ROOT / "docs" / "sources.md").read_text().splitlines()
    (row,) = (row for row in rows if f"`{scheme}://`" in row and row.endswith(".md) |"))
    _, _, _, way, latency, page, _ = row.split("|")
    assert "push" in way
    assert re.fullmatch(r" \d+ ms ", latency)
    target = re.search(r"\]\((.+)\)", page)
    assert target is not None
    assert f"{scheme}://" in (ROOT / "docs" / target[1]).read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_are_named_exist(page: Path) -> None:
    """Every --option in the text of a page, its examples aside, is ours or plainly another's."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    commands = (emperor, emperor_ctl, emperor_replay)
    ours = {option for command in commands for option in _options(command)}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert named - ours - OF_OTHERS == set()


# Options of other programs that pages name: uWSGI's, pip's, sqlite-utils' and our tools'.
OF_OTHERS = frozenset(("--emperor", "--ini", "--xml", "--yaml", "--json", "--emperor-magic-exec",
    "--plugin", "--check", "--set", "--hops", "--rewrite", "--strict"))  # fmt: skip


def _options(command: click.Command) -> list[str]:
    found = [name for parameter in command.params for name in (*parameter.opts, "--help")]
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            found += _options(inner)
    return found


def test_the_package_brings_its_licence() -> None:
    installed = metadata.distribution("emperord")
    assert installed.metadata["License-Expression"] == "MIT"
    text = installed.read_text("licenses/LICENSE")
    assert text is not None
    assert text == (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License")


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    for tool in ("tools/demo", "tools/test"):
        assert tool in readme
        assert (ROOT / tool).stat().st_mode & 0o111


def test_tests_that_are_named_are_there() -> None:
    named = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"`(tests/[a-z_/]+\.py)`", page.read_text())
    }
    assert len(named) > 20
    assert {(page, path) for page, path in named if not (ROOT / path).exists()} == set()
