"""Deaths: what follows when the process of a vassal has ended and no end of it was ordered.

    exiled     exit code 26: the program asked not to be started again
    reloaded   it ended of a reload that was ordered: a restart that was asked for
    excused    no daemon saw it, or another config than the wanted one ran
    finished   it ended, and its ``restart`` setting wants no other start
    loyal      it had served a request
    succeeded  a success exit code, after it had run for as long as the first throttle
    blamed     none of these: its next start waits, twice as long each time

The order is that of precedence. A success within the first throttle counts as a death. Otherwise a
program that ends well at once, again and again, would be started once a second for ever.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from ...journal.events import Event
from . import rules
from .fleet import Fleet, Vassal

EXILE: Final = 26  # a vassal that exits so says that it must not be started again
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000

Verdict = Literal["exiled", "reloaded", "excused", "finished", "loyal", "succeeded", "blamed"]
Result = Literal["failed", "well", "reloaded"]


def judge(fleet: Fleet, vassal: Vassal, event: Event) -> Verdict:
    """Judge an ``exited`` of the vassal's attempt that the fold did not order."""
    body: Any = event.body
    if body.code == EXILE and not vassal.due:
        return "exiled"
    if _ended_by_reload(fleet, vassal, event):
        return "reloaded"
    if body.away or vassal.due or not vassal.control:
        return "excused"
    if _wants_no_other(vassal, body):
        if not vassal.aim.socket:
            return "finished"
        if succeeded(vassal, body):
            return "succeeded"  # the next client starts it, whatever it wants
    if vassal.loyal:
        return "loyal"
    if rules.holds(fleet, rules.SUCCESS) and succeeded(vassal, body) and _ran(fleet, vassal, event):
        return "succeeded"
    return "blamed"


def is_restart(vassal: Vassal, body: Any, verdict: Verdict) -> bool:
    """Whether it died and is to be started again. One that ended well did not die."""
    if body.away:
        return False
    return verdict == "blamed" or (verdict in ("loyal", "excused") and not succeeded(vassal, body))


def result_of(fleet: Fleet, vassal: Vassal, event: Event) -> Result:
    """How an ``exited`` that ``judge`` can judge is told; the fleet is that before the event.

    ``failed`` holds for one that no daemon saw, too: no restart counts then, but its code is known.
    """
    verdict = judge(fleet, vassal, event)
    if verdict == "reloaded":
        return "reloaded"
    failed = verdict in ("exiled", "blamed") or not succeeded(vassal, event.body)
    return "failed" if failed else "well"


def succeeded(vassal: Vassal, body: Any) -> bool:
    """Whether its exit code is one of its success codes."""
    return is_success(vassal.aim.settings, body.code)


def is_success(settings: Mapping[str, str], code: int | None) -> bool:
    """Whether these settings of a config name an exit code as a success."""
    codes = settings.get("success-exit-codes", "0")
    return code is not None and str(code) in codes.replace(",", " ").split()


def _ended_by_reload(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether the reload that it has not confirmed ended it."""
    if vassal.reload_at is None:
        return False
    mercy = None if vassal.speaks and vassal.control else fleet.policy.mercy
    return is_of_reload(event, vassal.reload_at, mercy, vassal.aim.settings)


def is_of_reload(
    event: Event, since: int, mercy: float | None, settings: Mapping[str, str]
) -> bool:
    """Whether an ``exited`` is that of a reload which was ordered and not confirmed ``since``.

    ``mercy`` is None for uWSGI. It may take long over its requests before it ends in place of
    loading anew (exit-on-reload), and confirms a reload in the end. A program confirms none. So its
    end counts as one of the reload for ``mercy`` seconds only, as long as a stop may take.
    """
    body: Any = event.body
    if mercy is not None and event.at > since + int(mercy * _SECOND):
        return False
    unknown = body.code is None and body.signal is None  # its parent is neither daemon nor keeper
    return body.reload or unknown or is_success(settings, body.code)


def _wants_no_other(vassal: Vassal, body: Any) -> bool:
    """Whether its settings want no other start after this end."""
    restart = vassal.aim.settings.get("restart", "always")
    return restart == "no" or (restart == "on-failure" and succeeded(vassal, body))


def _ran(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether it ran for as long as the first throttle."""
    began = event.at if vassal.launched is None else vassal.launched
    return event.at - began >= fleet.policy.throttle * _MILLISECOND


def how_it_died(body: Any) -> str:
    """The end of a process in words."""
    if body.signal is not None:
        return f"killed by signal {body.signal}"
    return "died, nobody knows how" if body.code is None else f"exit code {body.code}"
