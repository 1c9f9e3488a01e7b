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
from support.subcommands import subcommands

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("tool", ["commands", "completions", "manpages"])
def test_what_is_made_from_the_commands_is_current(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, "--check"],
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
    "--plugin", "--unshallow", "--offline", "--kills", "--scripts", "--sample", "--jobs",
    "--requests", "--cut-over", "--socket-unit", "--bind", "--preload", "--fd", "--workers",
    "--check", "--set", "--hops", "--rewrite", "--strict",
    "--peers", "--peer", "--row", "--quick", "--growth", "--hour", "--verify", "--ten-million",
    "--write",
    "--history-rewrite", "--history-shrunk"))  # fmt: skip


def _options(command: click.Command) -> list[str]:
    found = [name for parameter in command.params for name in (*parameter.opts, "--help")]
    for inner in subcommands(command).values():
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


def test_the_quick_tests_are_there() -> None:
    """Those that tools/test runs on the lowest versions, and on the newest Python."""
    (listed,) = re.findall(r"^quick=\(.*?\)$", (ROOT / "tools" / "test").read_text(), re.M | re.S)
    script = f'{listed}; printf "%s\n" "${{quick[@]}}"'
    shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    named = shell.stdout.split()
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_index_lists_every_page() -> None:
    rows = re.findall(
        r"^\| \[[^]]+\]\(([^)]+)\) \|", (ROOT / "docs" / "index.md").read_text(), re.M
    )
    listed = [(ROOT / "docs" / row).resolve() for row in rows]
    assert sorted(listed) == sorted(set(PAGES) - {ROOT / "docs" / "index.md"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_of_links_are_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    targets = {(page.parent / path if path else page, anchor) for path, anchor in links}
    assert [anchor for target, anchor in targets if anchor not in _anchors(target)] == []


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:journal|monitors|daemon|replay|tests|tools)/[a-z0-9_/.-]+)`", page.read_text()
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_examples_can_be_run(page: Path) -> None:
    """Each of ours in a block of a page: it is there, and has the subcommand and the options."""
    wrong = []
    for words in _commands_of(page):
        name = Path(words[0]).name
        if words[0].startswith("tools/"):
            if not (ROOT / words[0]).stat().st_mode & 0o111:
                wrong.append(words)
        elif name in COMMANDS:
            command: click.Command = COMMANDS[name]
            inner = [word for word in words[1:] if word in subcommands(command)]
            if isinstance(command, click.Group) and not inner:
                wrong.append(words)
            options = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
            if options - set(_options(command)):
                wrong.append(words)
    assert wrong == []


COMMANDS: dict[str, click.Command] = {
    "emperor": emperor,
    "emperor-ctl": emperor_ctl,
    "emperor-replay": emperor_replay,
    "replay": emperor_replay,  # an alias in README.md
}


def _commands_of(page: Path) -> list[list[str]]:
    """The commands of the console and shell blocks, as words."""
    found = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line.startswith("$ ")]
        plain = [line for line in lines if kind == "sh" or line.startswith(("tools/", "emperor "))]
        found += [
            words
            for line in prompted or plain
            for part in re.split(r"\s(?:&&|\|)\s", line.partition(" #")[0])
            if (words := part.split())
        ]
    return found


def test_modules_that_comments_name_are_there() -> None:
    code = [path for part in ("daemon", "journal", "monitors", "replay", "tests", "tools")
            for path in (ROOT / part).rglob("*.py")]  # fmt: skip
    there = {f"/{path.relative_to(ROOT)}" for path in code}
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in code
        for name in re.findall(r"``([\w/]+\.py)``", path.read_text())
    }
    assert len(named) > 50
    assert {each for each in named if not any(f.endswith(f"/{each[1]}") for f in there)} == set()
