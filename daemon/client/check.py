"""``emperor-ctl check``: one line, exit code and performance data for monitoring systems.

Form, ranges and exit codes are those of the Monitoring Plugins guidelines: 0 OK, 1 WARNING,
2 CRITICAL, 3 UNKNOWN. A daemon that does not answer is CRITICAL. A wrong command line, or a user
who may not ask, is UNKNOWN.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import click

from ...monitors.names import shown
from ..cli import commandline
from ..cli.option_types import duration
from ..core.fleet import PHASES
from . import asking

OK: Final = 0
WARNING: Final = 1
CRITICAL: Final = 2
UNKNOWN: Final = 3
_NAMES: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
# Troubles by the words of ``control/attention.py``. Others than these are a WARNING.
DOWN: Final = ("barred", "throttled", "hanging")
GRAVE: Final = ("estranged", "paused", "keeper died", "unreachable")
_MOST: Final = 3  # troubles of a kind that are named
_LONGEST: Final = 100  # characters of one
_AGAIN: Final = 0.1  # seconds until the next daemon is asked


class Range(NamedTuple):
    """A range of the guidelines: ``10``, ``10:``, ``~:10``, ``10:20``, ``@10:20``."""

    text: str
    least: float
    most: float
    inside: bool  # whether numbers inside alert, and not those outside

    def alerts(self, number: float) -> bool:
        return (self.least <= number <= self.most) == self.inside


def range_(text: str) -> Range:
    """A range, as a ``type`` of ``click.option``."""
    start, colon, end = text.removeprefix("@").rpartition(":")
    try:
        least = -math.inf if start == "~" else float(start) if start else 0.0
        most = float(end) if end else math.inf
        if not (end or colon) or math.isnan(least + most) or least > most:
            raise ValueError(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no range; write 10 (more than 10 alert), 10: (fewer), 5:10, or @5:10"
        ) from None
    return Range(text, least, most, text.startswith("@"))


class _Plugin(commandline.Command):
    """A command of which a wrong command line is UNKNOWN, in one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            _end(UNKNOWN, error.format_message())


@click.command("check", cls=_Plugin)
@click.option(
    "-w", "--warning", type=range_, metavar="RANGE", default="0", show_default=True,
    help="WARNING when so many vassals are down.",
)  # fmt: skip
@click.option(
    "-c", "--critical", type=range_, metavar="RANGE", help="CRITICAL when so many are down."
)
@click.option(
    "-t", "--timeout", type=duration(), metavar="DURATION", default="10s", show_default=True,
    help="How long to wait for the daemon.",
)  # fmt: skip
@click.pass_obj
def command(path: str, warning: Range, critical: Range | None, timeout: float) -> None:
    """One line for monitoring systems, with the exit codes of their plugins.

    0 OK; 1 WARNING; 2 CRITICAL: no daemon answers, its journal or keeper is lost, a source cannot
    be read; 3 UNKNOWN: a wrong command line, or this user may not ask. Vassals are down that are
    barred, throttled after a death, or hang at their start. A RANGE is that of Monitoring Plugins:
    10 alerts above 10, 5:10 outside of these, @5:10 inside.
    """
    begun = time.monotonic()
    status = _status(path, begun + timeout)
    wanting = status.get("attention", [])
    down = [each for each in wanting if each["what"] in DOWN]
    worst = max(_levels(wanting, len(down), warning, critical))
    count = sum(status["vassals"].values())
    text = "; ".join(_texts(wanting, len(down), count))
    data = " ".join(_data(status, len(down), warning, critical, time.monotonic() - begun))
    _end(worst, text, data)


def _status(path: str, until: float) -> dict[str, Any]:
    """The status of the daemon, or of the next one if it is being replaced."""
    while True:
        left = max(0.1, until - time.monotonic())
        try:
            answer = asking.exchanged(path, {"do": "status"}, left)
        except asking.Unanswered as error:
            _end(UNKNOWN if error.code == asking.REFUSED else CRITICAL, str(error))
        if answer is not None:
            break
        if time.monotonic() > until:
            _end(CRITICAL, f"the daemon at {shown(path)} ended before it answered")
        time.sleep(_AGAIN)
    if not answer["ok"]:
        _end(UNKNOWN, str(answer.get("error")))
    status: dict[str, Any] = answer["status"]
    return status


def _levels(
    wanting: Sequence[dict[str, Any]], down: int, warning: Range, critical: Range | None
) -> Iterator[int]:
    yield OK
    for each in wanting:
        if each["what"] not in DOWN:
            yield CRITICAL if each["what"] in GRAVE else WARNING
    if warning.alerts(down):
        yield WARNING
    if critical is not None and critical.alerts(down):
        yield CRITICAL


def _texts(wanting: Sequence[dict[str, Any]], down: int, count: int) -> Iterator[str]:
    """The troubles in words, the gravest first."""
    others = [each for each in wanting if each["what"] not in DOWN]
    for each in sorted(others, key=lambda each: each["what"] not in GRAVE)[:_MOST]:
        yield _in_words(each)
    if len(others) > _MOST:
        yield f"{len(others) - _MOST} other troubles"
    yield f"{down} of {count} vassals down" if down else f"{count} vassals, none down"
    named = [each for each in wanting if each["what"] in DOWN]
    yield from map(_in_words, named[:_MOST])
    if down > _MOST:
        yield f"{down - _MOST} others down"


def _in_words(trouble: dict[str, Any]) -> str:
    whose = trouble["vassal"] or trouble["monitor"]
    text = trouble["what"] if whose is None else f"{whose} {trouble['what']}"
    told = text if trouble["reason"] is None else f"{text} ({trouble['reason']})"
    told = shown(told)
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 3]}..."


def _data(
    status: dict[str, Any], down: int, warning: Range, critical: Range | None, took: float
) -> Iterator[str]:
    """Performance data: the labels are the same whatever the state, so that graphs go on."""
    phases = status["vassals"]
    count = sum(phases.values())
    limits = f"{warning.text};{'' if critical is None else critical.text}"
    yield f"down={down};{limits};0;{count}"
    yield f"vassals={count};;;0"
    for phase in PHASES:
        yield f"{phase}={phases.get(phase, 0)};;;0;{count}"
    yield f"attention={len(status.get('attention', []))};;;0"
    yield f"unrecorded={status.get('unrecorded', 0)};;;0"
    yield f"time={took:.3f}s;;;0"


def _end(code: int, text: str, data: str = "") -> NoReturn:
    """End with the one line. A bar in it would begin the performance data."""
    line = f"EMPEROR {_NAMES[code]} - {shown(text).replace('|', '/')}"
    print(f"{line} | {data}" if data else line)
    sys.exit(code)
