"""Completion in shells: files, and names that are looked up when the user presses Tab.

click asks a parameter's ``shell_complete`` for what may stand at its place. A look-up has half a
second, because the user waits for it. A look-up that fails or takes longer completes nothing, and
writes nothing: its text would land in the line that the user types.

A name is offered only if each shell takes it for one plain word. The scripts of click insert names
unquoted in bash, so a vassal named ``$(reboot)`` would otherwise be a command.
"""

import re
import threading
from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

LIMIT: Final = 0.5  # seconds for a look-up
# A hyphen in front would make it an option.
_PLAIN: Final = re.compile(r"[\w./@+%:][\w./@+%:,-]*")
_PATHS: Final = ("PATH", "FILE", "DIR")


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The shell's own files."""
    return [CompletionItem(incomplete, type="file")]


def is_path(parameter: click.Parameter) -> bool:
    """Whether the value of an option is a path, by the word that its help has for it."""
    words = re.split(r"[^A-Z]+", parameter.metavar or "")
    return any(word in _PATHS for word in words)


def looked_up(look: Callable[[click.Context], Iterable[str]]) -> Completer:
    """A completer that offers the names that ``look`` returns, without those that are there."""

    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        told = ctx.params.get(parameter.name or "")
        there = told if isinstance(told, tuple) else ()
        return [
            CompletionItem(name)
            for name in _within(LIMIT, lambda: look(ctx))
            if name.startswith(incomplete) and name not in there and _PLAIN.fullmatch(name)
        ]

    return complete


def one_of(names: Iterable[str]) -> Completer:
    """A completer that offers some of these."""
    return looked_up(lambda _: names)


def _within(seconds: float, look: Callable[[], Iterable[str]]) -> list[str]:
    """The names that a look-up returns, none if it fails or needs longer."""
    found = list[str]()

    def run() -> None:
        try:
            names = list(look())
        except Exception:
            return
        found.extend(names)

    # A daemon thread: the process ends without it while it still waits for an answer.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return [] if thread.is_alive() else found
