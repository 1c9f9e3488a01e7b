"""The texts for events and vassals. JSON is elsewhere, and has no such texts."""

import shutil
import signal
import sys
from collections.abc import Iterable
from typing import Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.actions import Action
from ..daemon.core.ends import HANGS
from ..daemon.loop.event_log import jump_text
from ..journal import events as e
from ..monitors.names import shown
from .clocks import exact


def essence(body: e.Body) -> str:
    """An event's body in a few words."""
    match body:
        case e.Announced():
            return _announced(body)
        case e.Exited():
            return how_it_ended(body)
        case e.Restored():
            return f"the text of config {short(body.config)} is there again as it was recorded"
        case e.Rejected():
            return f"{shown(body.name)}: {shown(body.reason)}"
        case e.Doubted():
            some = ", ".join(shown(name) for name in body.missing[:3])
            more = ", ..." if len(body.missing) > 3 else ""
            return f"{len(body.missing)} of {body.known} are missing: {some}{more}"
        case e.Spawned():
            taken = ", taken over: it ran already" if body.mark is not None else ""
            return f"pid {body.pid}{taken}"
        case e.JournalAdopted():
            return _adopted(body)
        case e.JournalForked():
            return f"a copy of journal {shown(body.identity[:16])} goes its own way"
        case e.JournalArchived():
            return f"events {body.first} to {body.through} went to {shown(body.file)}"
        case e.SpawnFailed():
            return f"{shown(body.reason)} ({body.fault})"
        case e.VassalFailed():
            return f"an error of the daemon in {shown(body.place)}: {shown(body.reason)}"
        case e.HeartbeatLost():
            return HANGS if body.asked else f"silent for {body.silent:g} s"
        case e.HealthLost():
            return f"failed checks in a row: {body.failures}"
        case e.TimeoutExtended():
            return f"{body.seconds:g} s at most"
        case e.Adopted():
            # uWSGI ends itself when the socket to its emperor closes.
            lost = "" if body.control else ", its control socket was lost with the last daemon"
            return f"pid {body.pid}{lost}"
        case e.DeadlinePassed():
            return exact(body.deadline)
        case e.DaemonStarted():
            former = "" if body.before is None else f"; the one before {ending(body.before)}"
            return f"version {shown(body.version)}, pid {body.pid}{former}"
        case e.OfKeeper():
            return f"pid {body.pid}"
        case e.PressureObserved():
            return f"cpu {body.cpu}, memory {body.memory}, io {body.io}"
        case e.Checkpoint():
            return f"states {shown(body.digest[:16])} (projection {body.v})"
        case e.ClockJumped():
            return jump_text(body).removeprefix("clock jumped ")
        case e.OperatorRequested():
            return f"{body.asked} by {operator(body)}{_reason(body.reason)}"
        case e.RequestRefused():
            return _refused(body)
    return shown(getattr(body, "reason", ""))


def _announced(body: e.Announced) -> str:
    spec = body.spec
    told = [f"config {short(spec.config)}"] if spec.config else []
    told += [shown(body.change)] if body.change else []
    told += [f"on demand at {shown(spec.socket)}"] if spec.socket else []
    told += [f"may not run: {shown(spec.bar)}"] if spec.bar else []
    told += ["its budget is spent: the text is not recorded"] if body.over_budget else []
    return ", ".join(told)


def _adopted(body: e.JournalAdopted) -> str:
    how = "went on" if body.file is None else f"restored {shown(body.file)}"
    told = _reason(body.told)
    by = operator(body)
    return f"{how} by {by}, after event {body.seq} was durable: {shown(body.reason)}{told}"


def ending(before: e.Before) -> str:
    """How a daemon ended, for how long there was none, and its version."""
    how = {
        "told": "stopped as it was told to",
        "replaced": "was replaced",
        "killed": f"was killed by signal {before.signal}",
        "failed": f"ended with code {before.code}",
        "rebooted": "ended when the machine did, which has booted since",
        "unknown": "ended unseen",
    }[before.how]
    away, silent = before.away, before.silent / 1e9
    gone = f"{away / 1e9:.3f} s before" if away is not None else f"at most {silent:.3f} s before"
    version = f", version {shown(before.version)}" if before.version else ""
    return f"{how}, {gone}{version}"


def _refused(body: e.RequestRefused) -> str:
    asked = f"{shown(body.request)} {shown(body.name)}".rstrip()
    others = f" (and {body.others} more of this user)" if body.others else ""
    said = f"{asked} by {operator(body)}{_reason(body.reason)}"
    return f"{said}: {shown(body.error)}{others}"


def operator(body: e.OperatorRequested | e.RequestRefused | e.JournalAdopted) -> str:
    """The operator behind a request: users, the command, or the signal."""
    by = "an unknown user" if body.uid is None else f"uid {body.uid}"
    if body.loginuid not in (None, body.uid):
        by += f" (logged in as uid {body.loginuid})"
    if body.command:
        return f"{by} with '{shown(body.command)}' (pid {body.pid})"
    via = getattr(body, "via", "")
    return f"{by} via {shown(via)}" if via else by


def _reason(text: str) -> str:
    return f", reason: {shown(text)}" if text else ""


def how_it_ended(body: e.Exited) -> str:
    """The end of a process."""
    if body.signal is not None:
        try:
            how = f"killed by signal {body.signal} ({signal.Signals(body.signal).name})"
        except ValueError:
            how = f"killed by signal {body.signal}"
    else:
        how = "nobody knows how" if body.code is None else f"exit code {body.code}"
    if body.reload:
        return f"{how}, of the reload that was ordered"
    return f"{how}, while no daemon was there" if body.away else how


def orders(actions: Iterable[Action], about: str | None) -> str:
    """Orders: ``spawn``, or ``spawn other.ini`` where one is not about ``about``."""
    return ", ".join(
        action.do if action.vassal == about else f"{action.do} {shown(action.vassal)}"
        for action in actions
    )


_actions: Final = msgspec.json.Decoder(list[Action])


def decode_actions(text: str) -> list[Action]:
    """Recorded actions; none where the text is no actions of this version."""
    if text == "[]":
        return []
    try:
        return _actions.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, TypeError):
        return []


class Progress:
    """A line on a terminal's stderr that says how far it has got; nothing elsewhere."""

    def __init__(self) -> None:
        self.on = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self.on:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r" + f"event {done} of {total}"[:width])
            sys.stderr.flush()

    def done(self) -> None:
        """Take the line away."""
        if self.on:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
