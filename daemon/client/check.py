"""``emperor-ctl check``: one line, exit code and performance data for monitoring systems.

Form, ranges and exit codes are those of the Monitoring Plugins guidelines: 0 OK, 1 WARNING,
2 CRITICAL, 3 UNKNOWN. A daemon that does not answer is CRITICAL. A wrong command line, or a user
who may not ask, is UNKNOWN.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import click

from ...monitors.names import shown
from ..cli import commandline
from ..cli.option_types import duration
from ..core.fleet import PHASES
from . import asking
from .format import as_json as json_option
from .format import print_json

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


class Datum(NamedTuple):
    """Performance data of one label."""

    label: str
    value: float
    warning: str = ""
    critical: str = ""
    most: int | None = None
    unit: str = ""

    def __str__(self) -> str:
        value = f"{self.value:.3f}" if self.unit else f"{self.value}"
        limits = f"{self.warning};{self.critical};0"
        most = "" if self.most is None else f";{self.most}"
        return f"{self.label}={value}{self.unit};{limits}{most}"

    def record(self) -> dict[str, Any]:
        """For programs: ranges as they were given, null where there is none."""
        return {
            "label": self.label,
            "value": round(self.value, 3),
            "unit": self.unit or None,
            "warning": self.warning or None,
            "critical": self.critical or None,
            "min": 0,
            "max": self.most,
        }


class Failed(Exception):
    """Nothing is known of the fleet. ``code`` says how bad that is."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@contextlib.contextmanager
def wrong_words_are_unknown(words: Sequence[str]) -> Iterator[None]:
    """Have an error of usage be UNKNOWN, in one line or as JSON as ``words`` ask for."""
    try:
        yield
    except click.UsageError as error:
        _end(UNKNOWN, error.format_message(), (), as_json="--json" in words)


class _Plugin(commandline.Command):
    """A command of which a wrong command line is UNKNOWN."""

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **kwargs: Any
    ) -> click.Context:
        with wrong_words_are_unknown(tuple(args)):
            return super().make_context(info_name, args, *more, **kwargs)


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
@json_option
@click.pass_obj
def command(
    path: str, warning: Range, critical: Range | None, timeout: float, as_json: bool
) -> None:
    """One line and an exit code for monitoring systems.

    They are those of Monitoring Plugins. 0 OK; 1 WARNING; 2 CRITICAL: no daemon answers,
    its journal or keeper is lost, a source cannot be read. 3 UNKNOWN: a wrong command line, or this
    user may not ask. Vassals are down that are barred, throttled after a death, or hang at their
    start or reload. A RANGE is that of Monitoring Plugins: 10 alerts above 10, 5:10 outside of
    these, @5:10 inside.
    """
    begun = time.monotonic()
    try:
        status = _status(path, begun + timeout)
    except Failed as failed:
        _end(failed.code, str(failed), (), as_json=as_json)
    wanting = status.get("attention", [])
    down = [each for each in wanting if each["what"] in DOWN]
    worst = max(_levels(wanting, len(down), warning, critical))
    count = sum(status["vassals"].values())
    text = "; ".join(_texts(wanting, len(down), count))
    data = list(_data(status, len(down), warning, critical, time.monotonic() - begun))
    _end(worst, text, data, as_json=as_json)


def _status(path: str, until: float) -> dict[str, Any]:
    """The status of the daemon, or of the next one if it is being replaced. Raises Failed."""
    while True:
        left = max(0.1, until - time.monotonic())
        try:
            answer = asking.exchanged(path, {"do": "status"}, left)
        except asking.Unanswered as error:
            code = UNKNOWN if error.code == asking.REFUSED else CRITICAL
            raise Failed(code, str(error)) from None
        # A daemon that still recovers does not know yet which vassals have ended.
        recovers = answer is not None and answer.get("status", {}).get("recovers")
        if answer is not None and not (recovers and time.monotonic() < until):
            break
        if time.monotonic() > until:
            raise Failed(CRITICAL, f"the daemon at {shown(path)} ended before it answered")
        time.sleep(_AGAIN)
    if not answer["ok"]:
        raise Failed(UNKNOWN, str(answer.get("error")))
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
) -> Iterator[Datum]:
    """Performance data: the labels are the same whatever the state, so that graphs go on."""
    phases: Mapping[str, int] = status["vassals"]
    count = sum(phases.values())
    yield Datum("down", down, warning.text, "" if critical is None else critical.text, count)
    yield Datum("vassals", count)
    for phase in PHASES:
        yield Datum(phase, phases.get(phase, 0), most=count)
    yield Datum("attention", len(status.get("attention", [])))
    yield Datum("unrecorded", status.get("unrecorded", 0))
    yield Datum("time", took, unit="s")


def _end(code: int, text: str, data: Sequence[Datum], *, as_json: bool) -> NoReturn:
    """End with the one line, or as JSON. A bar in the line would begin the performance data."""
    if as_json:
        told = {"state": _NAMES[code], "code": code, "text": shown(text)}
        print_json({**told, "data": [each.record() for each in data]})
    else:
        line = f"EMPEROR {_NAMES[code]} - {shown(text).replace('|', '/')}"
        print(f"{line} | {' '.join(map(str, data))}" if data else line)
    sys.exit(code)
