"""Whether a command line needs a shell, and how it is run by one.

A vassal's command has no shell. The shell that runs a program should be replaced by it (``exec``),
because it would get the signals that are meant for the program.
"""

import re
import shlex
from typing import Final, NamedTuple

from ...monitors import shell_words

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# The first words of commands that are no programs, so exec cannot run them.
_NO_PROGRAM: Final = re.compile(
    r"(\.|:|source|cd|eval|exec|exit|export|set|trap|ulimit|umask|unset|wait"
    r"|if|while|until|for|case|do|done|then|else|fi|esac|\{|\}|!)(\s|$)"
)
_OPEN: Final = re.compile(r"`|\$\{[^}]*$")  # a blank behind these may be within a word
_LEXEME: Final = re.compile(
    r"""(?P<single>'[^']*') | (?P<double>"(?:[^"\\]|\\.)*") | (?P<escaped>\\.)
    | (?P<redirect>[0-9]*[<>]{1,2}(?:&-|&[0-9])?) | (?P<then>&&|;|\n) | (?P<other>\|\|?|&|[()])
    | (?P<variable>[$`]) | (?P<pattern>[*?\[]|(?<!\S)~|(?<!\S)\#) | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


class Command(NamedTuple):
    """A command without a shell, variables that stood before it, and how it differs."""

    text: str
    variables: tuple[tuple[str, str], ...] = ()
    says: str = ""

    @property
    def assignments(self) -> str:
        """The variables as words of a command line."""
        return shlex.join(f"{name}={value}" for name, value in self.variables)


def command(line: str) -> Command:
    """The command that does what a shell would do with this line. Raises ValueError."""
    kinds = {found.lastgroup for found in _LEXEME.finditer(line)}
    quoted = any(
        re.search(r"[$`]", found[0])
        for found in _LEXEME.finditer(line)
        if found.lastgroup == "double"
    )
    if quoted or kinds & {"redirect", "then", "other", "variable", "pattern"}:
        return _by_shell(line, kinds)
    words = shell_words.split(line)
    variables = _variables(line)
    if _has_home(variables) or _NO_PROGRAM.match(line[len(variables) :]):
        return _by_shell(line, kinds)
    count = 0
    while count < len(words) and _ASSIGNMENT.match(words[count]):
        count += 1
    if not count:
        return Command(line)
    pairs = [word.partition("=") for word in words[:count]]
    return Command(
        shlex.join(words[count:]),
        tuple((name, value) for name, _, value in pairs),
        "the variables before it are environment now",
    )


def _by_shell(line: str, kinds: set[str | None]) -> Command:
    """Run a line by ``sh -c``, with ``exec`` before its last command where that is possible."""
    if "other" in kinds:
        return Command(
            f"sh -c {shlex.quote(line)}",
            says="a shell runs it and gets the signals, as there is no last command to exec",
        )
    ends = [found.end() for found in _LEXEME.finditer(line) if found.lastgroup == "then"]
    at = ends[-1] if ends else 0
    before, last = line[:at], line[at:].strip()
    blank = " " if before and not before.endswith((" ", "\n")) else ""
    variables = _variables(last)
    program = last[len(variables) :]
    if program.startswith("exec "):
        return Command(f"sh -c {shlex.quote(line)}", says="a shell runs it")
    if not program or _NO_PROGRAM.match(program) or _OPEN.search(variables):
        return Command(f"sh -c {shlex.quote(line)}", says="a shell runs it and gets signals")
    return Command(
        f"sh -c {shlex.quote(f'{before}{blank}{variables}exec {program}')}",
        says="a shell runs it, and the program then replaces the shell",
    )


def _variables(line: str) -> str:
    """The assignments that a command begins with, and the blanks behind them.

    The shell splits no value of these. As words of env(1) it would.
    """
    at = 0
    for found in _LEXEME.finditer(f"{line} "):
        if found["plain"] is None or not found[0].isspace():
            continue
        if found.start() > at and not _ASSIGNMENT.match(line[at:]):
            break
        at = found.end()
    return line[:at]


def _has_home(variables: str) -> bool:
    """Whether the shell puts a home in place of a ``~`` in these assignments.

    It does so behind the ``=`` and behind each colon, as in ``PATH=~/a:~/b``.
    """
    return any(
        found[0] == "~" and variables[found.start() - 1] in "=:"
        for found in _LEXEME.finditer(variables)
    )
