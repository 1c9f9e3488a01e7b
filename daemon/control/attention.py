"""Troubles that want an operator's attention. With one of them ``emperor-ctl status`` exits 3.

A trouble is a state, not an event. It is found in the fleet and in the parts of the daemon each
time that a client asks. So it ends by itself when its cause does. Only what neither of them
remembers is noted from events (``Recent``): since when the journal pauses, and which vassals lack
their text.

``KINDS`` is the contract with monitoring systems. A new kind has a row in docs/control.md, and its
place in the order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Final, Protocol

from ...journal.events import Event
from ...journal.times import rfc3339
from ..core import budget
from ..core.fleet import Fleet, Vassal
from ..core.troubles import troubles
from ..host import altered

# The values of ``what``, in the order in which they are told.
KINDS: Final = (
    "estranged", "paused", "keeper died", "linked", "lost log",
    "no witness", "no archive", "no service", "clock", "own log", "logs shared", "logs full",
    "unreachable", "doubted", "over budget", "barred", "held back", "rejected", "refused",
    "rolled back",
    "throttled", "crashing", "hanging", "unhealthy", "not listening",
    "text altered", "log renamed", "flooding", "unknown process",
    "left process", "no cgroup", "no limits",
)  # fmt: skip
_WELL: Final = ("accepting", "ready", "reloading", "stopping", "queued", "listening")
# Phases whose reasons say how it came to them. That of one that is up may be a trouble.
_UNDER_WAY: Final = ("stopping", "queued", "listening")
KEEPER_DIED: Final = "nothing outlives this daemon until emperor is started once more"
# After one of these events the text is that of its source again, or the vassal is gone.
_TEXT_GIVEN: Final = (
    "config_restored", "vassal_added", "vassal_changed", "vassal_removed", "vassal_destroyed",
)  # fmt: skip


class Daemon(Protocol):
    """The daemon as far as its troubles are found in it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def recent(self) -> "Recent": ...

    @property
    def paused(self) -> str | None: ...

    @property
    def unrecorded(self) -> int: ...

    @property
    def journal_troubles(self) -> Mapping[str, str]: ...

    @property
    def doubted(self) -> Mapping[str, set[str]]: ...

    @property
    def altered(self) -> Set[str]: ...

    @property
    def deferred(self) -> Mapping[str, int]: ...

    @property
    def uncounted(self) -> Mapping[str, int]: ...

    def clock_trouble(self) -> tuple[int, str] | None: ...

    def renamed_logs(self) -> Mapping[str, str]: ...

    def log_troubles(self) -> Mapping[str, str]: ...

    def rejected(self) -> Mapping[str, tuple[int, str]]: ...

    def floods(self) -> Mapping[str, str]: ...

    def unjournaled(self) -> Iterable[tuple[str, int]]: ...

    def strays(self) -> Iterable[str]: ...

    def status_of(self, vassal: str) -> str | None: ...

    def is_cheap(self, vassal: Vassal) -> bool: ...

    def cgroup_troubles(self) -> Mapping[str, str]: ...

    def witness_trouble(self) -> tuple[int | None, str] | None: ...

    def archive_trouble(self) -> tuple[int | None, str] | None: ...

    def service_troubles(self) -> Mapping[str, tuple[int | None, str]]: ...


class Recent:
    """Events since this daemon started that the fleet does not remember."""

    def __init__(self) -> None:
        self.paused: int | None = None  # since when; times are UTC nanoseconds
        self.keeper_died: int | None = None
        self._doubts: dict[str, int] = {}
        # Vassals that were not reloaded for lack of their texts, which have not come since.
        self.without_text: set[str] = set()

    def note(self, event: Event) -> None:
        """Take in an event that is recorded."""
        if event.kind == "reload_failed" and event.vassal is not None:
            self.without_text.add(event.vassal)
        elif event.kind in _TEXT_GIVEN and event.vassal is not None:
            self.without_text.discard(event.vassal)
        if event.kind == "listing_doubted" and event.monitor is not None:
            self._doubts[event.monitor] = event.at

    def doubt(self, monitor: str) -> int | None:
        """When a listing of this monitor was doubted last."""
        return self._doubts.get(monitor)


def attention(daemon: Daemon, now: int) -> list[dict[str, Any]]:
    """All troubles, as the control socket tells them."""
    found = [*_of_daemon(daemon), *_of_monitors(daemon), *_of_accounts(daemon, now)]
    found += _of_rollouts(daemon.fleet)
    vassals = daemon.fleet.vassals
    without_text = daemon.altered | daemon.recent.without_text
    for name in sorted(name for name, each in vassals.items() if not _is_well(each)):
        found += _of_vassal(vassals[name], daemon.status_of(name), now, daemon.is_cheap)
    for name, (since, reason) in sorted(daemon.rejected().items()):
        found.append(_entry("rejected", since, reason, name))
    for name in sorted(without_text & vassals.keys()):
        reason = f"{altered.NOT_THERE}; {altered.advice(vassals[name].monitor)}"
        found.append(_entry("text altered", None, reason, name))
    for name, file in sorted(daemon.renamed_logs().items()):
        reason = f"it writes to {file}, which is not cut at --log-size, until it is started again"
        found.append(_entry("log renamed", None, reason, name))
    for name, reason in sorted(daemon.floods().items()):
        found.append(_entry("flooding", None, reason, name))
    for name, pid in sorted(daemon.unjournaled()):
        reason = _unknown(daemon.fleet.vassals.get(name), pid)
        found.append(_entry("unknown process", None, reason, name))
    for stray in daemon.strays():
        found.append(_entry("left process", None, f"{stray}; end it if it is not wanted"))
    for what, reason in daemon.cgroup_troubles().items():
        found.append(_entry(what, None, reason))
    return sorted(found, key=lambda each: KINDS.index(each["what"]))


def _of_daemon(daemon: Daemon) -> Iterator[dict[str, Any]]:
    recent = daemon.recent
    if daemon.paused is not None:
        count = daemon.unrecorded
        events = "1 event waits" if count == 1 else f"{count} events wait"
        waiting = f"; {events} to be recorded" if count else ""
        yield _entry("paused", recent.paused, daemon.paused + waiting)
    if recent.keeper_died is not None:
        yield _entry("keeper died", recent.keeper_died, KEEPER_DIED)
    for what, reason in daemon.journal_troubles.items():
        yield _entry(what, None, reason)
    if (witness := daemon.witness_trouble()) is not None:
        yield _entry("no witness", *witness)
    if (archive := daemon.archive_trouble()) is not None:
        yield _entry("no archive", *archive)
    for name, (since, reason) in sorted(daemon.service_troubles().items()):
        yield _entry("no service", since, f"{name}: {reason}")
    if (clock := daemon.clock_trouble()) is not None:
        yield _entry("clock", *clock)
    for what, reason in daemon.log_troubles().items():
        # Logs are beside the journal, unless they have their own directory.
        if not (what == "logs full" and daemon.paused is not None):
            yield _entry(what, None, reason)


def _of_monitors(daemon: Daemon) -> Iterator[dict[str, Any]]:
    for url in daemon.fleet.monitors:
        outage = daemon.fleet.outages.get(url)
        if outage is not None:
            yield _entry("unreachable", outage.since, outage.reason, monitor=url)
        missing = daemon.doubted.get(url)
        if missing:
            reason = f"its last listing lacks {len(missing)} vassals; the next one must agree"
            yield _entry("doubted", daemon.recent.doubt(url), reason, monitor=url)
        count = daemon.uncounted.get(url)
        if count:
            reason = f"{count} rejections are not recorded, because there were too many in an hour"
            yield _entry("over budget", None, reason, monitor=url)


def _of_rollouts(fleet: Fleet) -> Iterator[dict[str, Any]]:
    for rollout in fleet.rollouts.values():
        if rollout.held is not None and rollout.aborted is None and rollout.waiting:
            reason = (
                f"{rollout.waiting} in rollout {rollout.seq}, of which {len(rollout.failed)} of"
                f" {rollout.total} failed: 'emperor-ctl rollout continue' or abort"
            )
            yield _entry("held back", rollout.at, reason, monitor=rollout.monitor)


def _of_accounts(daemon: Daemon, now: int) -> Iterator[dict[str, Any]]:
    waiting = dict(daemon.deferred)
    for account, since, has in budget.overspent(daemon.fleet, now):
        count = waiting.pop(account, 0)
        more = f"; changes that wait for that: {count}" if count else ""
        reason = f"{account}: {has >> 10} KiB are recorded of it, over --record-budget{more}"
        vassal = account if account in daemon.fleet.vassals else None
        yield _entry("over budget", since, reason, vassal)


def _is_well(vassal: Vassal) -> bool:
    """Whether nothing can be told of it. Of most vassals this holds, so it is to be quick."""
    if vassal.died or vassal.refused is not None or vassal.sick is not None:
        return False
    if vassal.reason is not None and vassal.phase not in _UNDER_WAY:
        return False
    return vassal.phase in _WELL


def _of_vassal(
    vassal: Vassal, status: str | None, now: int, is_cheap: Callable[[Vassal], bool]
) -> Iterator[dict[str, Any]]:
    for what, since, reason in troubles(vassal, now, is_cheap):
        told = _with_status(reason, status) if what == "hanging" else reason
        yield _entry(what, since, told, vassal.name)


def _with_status(reason: str | None, status: str | None) -> str | None:
    """The reason, and the last status that the program has notified."""
    if status is None:
        return reason
    return f"{reason}; its STATUS: {status}" if reason else f"its STATUS: {status}"


def _unknown(vassal: Vassal | None, pid: int) -> str:
    """Why a process that the journal does not know is not taken over."""
    if vassal is None:
        why = "and no source names it"
    elif vassal.pid is not None:
        why = f"beside process {vassal.pid}, and the journal knows that one only"
    else:
        why = f"and is taken over when {vassal.name} starts, which is {vassal.phase}"
    return f"process {pid} runs {why}; end it if it is not wanted"


def _entry(
    what: str,
    since: int | None,
    reason: str | None,
    vassal: str | None = None,
    monitor: str | None = None,
) -> dict[str, Any]:
    return {
        "what": what,
        "vassal": vassal,
        "monitor": monitor,
        "since": None if since is None else rfc3339(since),
        "reason": reason,
    }
