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

from typing import Any, Final, Literal

from ...journal.events import Event
from . import rules
from .fleet import Fleet, Vassal

EXILE: Final = 26  # a vassal that exits so says that it must not be started again
_SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000

Verdict = Literal["exiled", "reloaded", "excused", "finished", "loyal", "succeeded", "blamed"]


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


def succeeded(vassal: Vassal, body: Any) -> bool:
    """Whether its exit code is one of its success codes."""
    codes = vassal.aim.settings.get("success-exit-codes", "0")
    return body.code is not None and str(body.code) in codes.replace(",", " ").split()


def _ended_by_reload(fleet: Fleet, vassal: Vassal, event: Event) -> bool:
    """Whether the reload that it has not confirmed ended it.

    uWSGI may take long over its requests before it ends in place of loading anew
    (exit-on-reload), and confirms a reload in the end. A program confirms none, so only for as long
    as a stop may take does its end count as one of the reload.
    """
    body: Any = event.body
    if vassal.reload_at is None:
        return False
    confirms = vassal.speaks and vassal.control
    if not confirms and event.at > vassal.reload_at + int(fleet.policy.mercy * _SECOND):
        return False
    unknown = body.code is None and body.signal is None  # its parent is neither daemon nor keeper
    return body.reload or unknown or succeeded(vassal, body)


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
