"""``emperor-ctl rollout``: the changes that are carried out a few at a time.

The daemon is asked again and again, so a client that waits outlives a daemon that is killed or
replaced.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import click

from ...monitors.names import shown
from ..cli import terminal
from ..cli.commandline import Command
from ..cli.name_arguments import text_of
from .asking import NO_DAEMON, REFUSED, accepted, answer, ask, complain, end
from .completing import SOURCES
from .format import as_json as json_option
from .format import print_json
from .orders import timeout_option
from .progress import Bar
from .status import local

_AGAIN: Final = 0.25  # seconds
_SHOWN: Final = 5  # failures that are told
_ENDED: Final = ("held", "aborted")  # states in which nothing goes on by itself


@click.command("rollout", cls=Command)
@click.argument("what", metavar="[continue|abort]", required=False,
                type=click.Choice(("continue", "abort")))  # fmt: skip
@click.option(
    "--monitor", metavar="M", callback=text_of, shell_complete=SOURCES,
    help="Only of this source: its URL or short name.",
)  # fmt: skip
@click.option("--reason", metavar="TEXT", default="", help="Why: it is recorded.")
@timeout_option
@click.option("--no-wait", is_flag=True, help="Do not wait: say how it is now.")
@json_option
@click.pass_obj
def command(
    path: str, what: str | None, monitor: str | None, reason: str, timeout: float, no_wait: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """How far the changes of --rollout are. Waits for their end.

    continue: those that are held back, as others failed before them, have their turn after all.
    abort: those that wait keep their former configs until their source changes them again.

    Exits with 1 where some failed or are held back, and when the time is over. With --no-wait it
    is 1 only where some have failed by now.
    """
    only = {} if monitor is None else {"monitor": monitor}
    late, told = False, None if as_json else Told()
    if what is not None:
        more = {"reason": reason} if reason else {}
        if what == "continue":
            _note_failures(told, ask(path, {"do": "rollout", **only}))
        ask(path, {"do": f"rollout_{what}", **only, **more})
    state = ask(path, {"do": "rollout", **only})
    _note_old(told, state)
    if not no_wait:
        state, late = _followed(path, only, state, timeout, told)
    if as_json:
        print_json(state)
    else:
        for line in lines(state, told):
            print(line)
    if late:
        end(REFUSED, f"the rollout still goes on after {timeout:.3g} s")
    sys.exit(REFUSED if _is_bad(state) else 0)


def _note_failures(told: "Told | None", state: dict[str, Any]) -> None:
    """Those that have failed before an operator continues are no news afterwards."""
    if told is not None:
        for each in state["rollouts"]:
            for name in each["failed"]:
                told.is_new(each, name)


def _note_old(told: "Told | None", state: dict[str, Any]) -> None:
    if told is not None:
        told.old = {each["seq"] for each in state["closed"]}


def _under_way(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in state["rollouts"] if each["state"] == "open" or each["changing"]]


def _followed(
    path: str, only: dict[str, Any], state: dict[str, Any], timeout: float, told: "Told | None"
) -> tuple[dict[str, Any], bool]:
    """The state when nothing goes on any more, and whether the time was over before that."""
    until = time.monotonic() + timeout
    with Bar("rollout:") as bar:
        silent = False
        while _under_way(state):
            _draw(bar, state, told)
            if time.monotonic() >= until:
                return state, True
            time.sleep(_AGAIN)
            reply = answer(path, {"do": "rollout", **only})
            if reply is not None:
                state, silent = accepted(reply), False
            elif not silent:
                silent = True
                complain("the daemon has ended; waiting for the next one")
            if silent and time.monotonic() >= until:
                end(NO_DAEMON, "the daemon has ended, and no other came")
    return state, False


def _draw(bar: Bar, state: dict[str, Any], told: "Told | None") -> None:
    going = _under_way(state)
    settled = sum(each["done"] + len(each["failed"]) for each in going)
    bar.show(settled, sum(each["total"] for each in going))
    for each in going if told is not None else ():
        for name, reason in each["failed"].items():
            if told is not None and told.is_new(each, name):
                bar.line(f"{shown(name)}: failed: {shown(reason)}")


class Told:
    """The failures that were told while the command waited, or were known before.

    ``old`` are the rollouts that were over when the command began.
    """

    def __init__(self) -> None:
        self._keys: set[tuple[int, str]] = set()
        self.old: set[int] = set()

    def is_new(self, rollout: dict[str, Any], name: str) -> bool:
        """Whether it was not told yet; from now on it is."""
        key = rollout["seq"], name
        if key in self._keys:
            return False
        self._keys.add(key)
        return True


def _is_bad(state: dict[str, Any]) -> bool:
    """Whether some failed or are held back; of closed rollouts the last one of a source counts."""
    busy = {each["monitor"] for each in state["rollouts"]}
    closed = [each for each in state["closed"] if each["monitor"] not in busy]
    return any(each["failed"] or each["state"] in _ENDED for each in (*state["rollouts"], *closed))


def lines(state: dict[str, Any], told: Told | None = None) -> Iterator[str]:
    """The rollouts for people; where none is there, the last one of each source."""
    told = Told() if told is None else told
    for each in state["rollouts"]:
        yield from _of_one(each, state["sources"], told)
    busy = {each["monitor"] for each in state["rollouts"]}
    closed = [each for each in state["closed"] if each["monitor"] not in busy]
    if not state["rollouts"] and not closed:
        yield "no rollout is under way"
    for each in closed:
        yield from _of_one(each, state["sources"], told)


def _of_one(each: dict[str, Any], sources: dict[str, str], told: Told) -> Iterator[str]:
    source = sources.get(each["monitor"]) or each["monitor"]
    style = "bad" if each["failed"] or each["state"] in _ENDED else "good"
    text = f"rollout {each['seq']} of {shown(source)}: {_state_text(each)}"
    if each["seq"] in told.old:
        text += f" (over since {local(each['ended'][:19] + 'Z')})"
    yield terminal.painted(text, style)
    failed = [item for item in each["failed"].items() if told.is_new(each, item[0])]
    for name, reason in failed[:_SHOWN]:
        yield f"  {shown(name)}: {shown(reason)}"
    if len(failed) > _SHOWN:
        more = len(failed) - _SHOWN
        yield f"  and {more} other{'' if more == 1 else 's'}"


def _state_text(each: dict[str, Any]) -> str:
    done, total, failed = each["done"], each["total"], len(each["failed"])
    waiting = len(each.get("waiting", ()))
    parts = [f"{done} of {total} done"]
    if failed:
        parts.append(f"{failed} failed")
    if changing := len(each.get("changing", ())):
        parts.append(f"{changing} changing")
    if each["state"] == "held":
        parts.append(f"{waiting} held back ('emperor-ctl rollout continue' or abort)")
    elif each["state"] == "aborted":
        parts.append(f"aborted, {waiting} held back" if waiting else "aborted")
    elif waiting:
        parts.append(f"{waiting} waiting")
    return ", ".join(parts)
