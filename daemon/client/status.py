"""``emperor-ctl status``: how the daemon is, and what wants attention."""

import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import click

from ...journal import times
from ...monitors.names import shown
from ..cli import commandline, terminal
from ..core.step_text import steps_text
from .asking import ask
from .format import WHOLE, as_json, as_text, others_text, print_json

ATTENTION: Final = 3  # the exit code
MOST: Final = 10  # entries of one kind that are told
_ALL: Final = {"barred": "emperor-ctl list", "throttled": "emperor-ctl list"}


@click.command("status", cls=commandline.Command)
@as_json
@click.pass_obj
def command(path: str, as_json: bool) -> None:
    """How the daemon is, and what wants attention. Exits 3 if anything does."""
    answer = ask(path, {"do": "status"})["status"]
    # A daemon of a former version knows of no attention.
    wanting = answer.get("attention", [])
    if as_json:
        print_json(answer)
    else:
        commandline.page()
        for line in lines(answer, wanting):
            print(line)
    if wanting:
        sys.exit(ATTENTION)


def lines(answer: dict[str, Any], wanting: list[dict[str, Any]]) -> Iterator[str]:
    """A status for people: the verdict first, the facts, and at the end what wants attention."""
    yield headline(answer, wanting)
    for key, value in answer.items():
        if key != "attention" and not (terminal.is_terminal() and _says_nothing(key, value)):
            most = None if key == "monitors" else MOST
            told = steps_text(value) or "none" if key == "due" else as_text(value, most)
            told = local(value) if key == "at" else told
            yield f"{key.replace('_', ' ') + ':':16} {told}"
    yield f"{'attention:':16} {'' if wanting else 'none'}".rstrip()
    for line in brief(wanting):
        yield f"  {terminal.painted(line, 'bad')}"


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a fact is as it always is, so that a terminal has more room for the others."""
    return bool(value) if key == "keeper" else not value or key == "protocol"


def headline(answer: dict[str, Any], wanting: list[dict[str, Any]]) -> str:
    """One line that says whether all is well."""
    count = sum(answer["vassals"].values())
    fleet = f"{count:,} vassal{'' if count == 1 else 's'}"
    if answer.get("recovers"):
        fleet += ", and the daemon still looks which of them run"
    if not wanting:
        return terminal.painted(f"all is well: {fleet}", "good")
    kinds = ", ".join(
        f"{len(list(group)):,} {what}" for what, group in groupby(wanting, key=itemgetter("what"))
    )
    return terminal.painted(f"not well: {kinds}; {fleet}", "bad")


def local(at: str | None) -> str:
    """A time of the daemon: local on a terminal, else as it came."""
    if at is None or not terminal.is_terminal():
        return as_text(at)
    return terminal.clock(times.parse(at))


def brief(wanting: list[dict[str, Any]]) -> Iterator[str]:
    """The lines for people: some of each kind, and how many others there are."""
    for what, group in groupby(wanting, key=itemgetter("what")):
        entries = list(group)
        yield from map(_in_words, entries[:MOST])
        others = len(entries) - MOST
        if others > 0:
            yield f"and {others_text(others)}: {what}; {_ALL.get(what, WHOLE)} has all"


def _in_words(wanting: dict[str, Any]) -> str:
    """One entry of what wants attention, as a line."""
    whose = wanting["vassal"] or wanting["monitor"]
    text = wanting["what"] if whose is None else f"{whose}: {wanting['what']}"
    if wanting["since"] is not None:
        text += f" since {local(wanting['since'])}"
    return shown(text if wanting["reason"] is None else f"{text}: {wanting['reason']}")
