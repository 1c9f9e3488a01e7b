"""Pages whose commands are run: console blocks, a shell for them, and how output is compared."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

_SAID = "== the command has ended with "
# `wait` says it where it asks before the daemon has seen the file, as on a machine that stalls.
_EARLY = re.compile(r"emperor-ctl: there is no vassal \S+; waiting for it")


class Command(NamedTuple):
    """A command of a page, with a here-document if it has one, and the lines that it prints."""

    text: str
    expected: list[str]


def commands(text: str) -> list[Command]:
    """The commands of all console blocks."""
    found: list[Command] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            first, _, rest = part.partition("\n")
            if "<<'END'" in first:
                document, _, rest = rest.partition("\nEND\n")
                first += f"\n{document}\nEND"
            found.append(Command(first, rest.splitlines()))
    return found


def sections(text: str) -> dict[str, list[Command]]:
    """The commands below each heading of the second level."""
    parts = [part.partition("\n") for part in f"\n{text}".split("\n## ")[1:]]
    return {title: commands(body) for title, _, body in parts}


class Shell:
    """A bash that goes on from one command to the next, and ends with all that it has started.

    A page says "sleep 1" where a person waits. Here that is a twentieth of it.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], here: Mapping[str, str]) -> None:
        self._here = here  # the page's words, and those of this machine
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**environ, "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"},
        )
        self.run("sleep() { command sleep 0.05; }")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, command: str) -> tuple[str, int]:
        """The output of a command, and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for word, ours in self._here.items():
            command = command.replace(word, ours)
        self._process.stdin.write(f"{command}\necho '{_SAID}'$?\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            before, mark, code = line.partition(_SAID)
            said += before
            if mark:
                return said, int(code)
        raise AssertionError(f"the shell has ended: {said}")

    def follow(self, steps: Sequence[Command], *, codes: Sequence[int] = (0,)) -> None:
        """Run commands of a page, and compare what they print with what it says."""
        for command, expected in steps:
            said, code = self.run(command)
            assert code in codes, (command, said)
            check(command, said, expected)


def check(command: str, said: str, expected: Sequence[str]) -> None:
    """Each line that the page shows is there, in this order. Numbers and digests may differ."""
    lines = [line for line in said.splitlines() if not _EARLY.fullmatch(line)]
    rest: Iterator[str] = iter(lines)
    for line in expected:
        if line != "...":
            pattern = re.escape(normal(line)).replace(re.escape("..."), ".*")
            assert any(re.fullmatch(pattern, normal(each)) for each in rest), (command, line, said)
    assert "..." in expected or len(lines) == len(expected), (command, said)


def normal(line: str) -> str:
    """A line without what differs from one run to the next."""
    text = re.sub(r"\b[0-9a-f]{12,}\b", "H", line)
    return " ".join(re.sub(r"\d+(\.\d+)?", "N", text).split())
