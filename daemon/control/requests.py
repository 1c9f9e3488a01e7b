"""Requests at the control socket: each one is answered, recorded, or refused.

The fold decides. A request that its table ignores is no event (see ``tests/fold/test_decisions``).
"""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, get_args

import msgspec

from ...journal.events import OperatorRequested, Request
from ...journal.times import rfc3339
from ...monitors.names import shown
from ...monitors.short_names import short_names
from ...version import VERSION
from ..core.draft import Draft
from ..core.fleet import Vassal
from ..core.fold import is_ignored
from ..core.records import fleet_record, vassal_record
from ..core.reloads import way_to_reload
from ..core.running import in_line, waiting_steps, waits_in_line
from ..host import threads
from .attention import Daemon as Troubled
from .attention import attention
from .caller import Caller
from .explain import Explain
from .refusals import Refusals, reason_of
from .server import NOT_RECORDED, Client, Refused
from .waiting import Goal, Waiting

_TRIAL: Final = 20.0  # seconds for a new version to say which one it is
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_NAMED: Final = ("start", "stop", "restart", "reload", "retry")
# Refused ones are recorded. That of another emperor, to take over, is no operator's.
_CHANGES: Final = (*_NAMED, "upgrade", "adopt", "restore")
# The client wants a state. Where the fold ignores the request, the vassal is in that state already,
# or on its way to it.
_OF_STATE: Final = ("start", "stop", "restart")
# Where a vassal's log says nothing of a failure: no process of it failed or is late.
_SAYS_NOTHING: Final = ("forgotten", "held", "listening", "queued")
WAIT: Final = 60.0  # seconds that a client waits unless it says otherwise


class Daemon(Troubled, Protocol):
    """The daemon as far as answers are made from it."""

    @property
    def keeper_lives(self) -> bool: ...

    @property
    def journal_path(self) -> str: ...

    def now(self) -> int: ...

    def heartbeat_age(self, vassal: str) -> float | None: ...

    @property
    def waiting(self) -> Waiting: ...

    def renamed_logs(self) -> dict[str, str]: ...

    def log_troubles(self) -> dict[str, str]: ...

    def leftovers(self) -> list[tuple[str, int]]: ...

    def cgroup_of(self, vassal: str) -> str | None: ...

    def last_lines(self, vassal: str) -> str: ...

    def log_of(self, vassal: str) -> str | None: ...

    def record(self, draft: Draft) -> Awaitable[None]: ...


class Asks:
    """Answers requests.

    ``upgrade`` has the daemon replaced in place. ``hand_over`` lets another daemon take over, and
    gives the socket for that. ``explain`` shows the command of a vassal, and may block.
    """

    def __init__(
        self,
        daemon: Daemon,
        upgrade: Callable[[], None],
        hand_over: Callable[[], socket.socket],
        explain: Explain,
    ) -> None:
        self._daemon = daemon
        self._explain = explain
        self._upgrade = upgrade
        self._hand_over = hand_over
        self._refusals = Refusals()

    async def __call__(
        self, request: Mapping[str, Any], client: Client
    ) -> dict[str, Any] | tuple[dict[str, Any], socket.socket]:
        """The answer to a client's request. Raises Refused."""
        do = request.get("do")
        try:
            return await self._answer(do, request, client)
        except Refused as refused:
            if do in _CHANGES and "phase" not in refused.more:
                await self._record_refusal(request, client, str(refused))
            raise

    async def _answer(
        self, do: Any, request: Mapping[str, Any], client: Client
    ) -> dict[str, Any] | tuple[dict[str, Any], socket.socket]:
        if do == "status":
            return {"status": self._status()}
        if do == "list":
            return self._list()
        if do == "upgrade":
            return await self._replace(request, client)
        if do == "take_over":
            return await self._give_way(request, client)
        if do == "show":
            return {"vassal": self._live(self._named(request), in_line(self._daemon.fleet))}
        if do == "explain":
            vassal = msgspec.structs.replace(self._named(request))  # the fleet goes on meanwhile
            return {"explanation": await threads.run_sync(self._explain, vassal)}
        if do in ("adopt", "restore"):
            raise Refused(f"the daemon has its journal, so there is nothing to {do}")
        if do in _NAMED:
            timeout = _timeout(request) if request.get("wait") is True else None
            answer = await self._order(do, request, client)
            return answer if timeout is None else await self._wait(request, do, timeout, client)
        if do == "wait":
            return await self._wait(request, _goal(request), _timeout(request), client)
        known = ", ".join(("status", "list", "show", "explain", *_NAMED, "wait", "upgrade"))
        raise Refused(f"there is no {shown(str(do))[:40]!r}; ask one of {known}")

    def _named(self, request: Mapping[str, Any]) -> Vassal:
        name = request.get("name")
        vassal = self._daemon.fleet.vassals.get(name) if isinstance(name, str) else None
        if vassal is None:
            raise Refused(f"there is no vassal {shown(str(name))[:300]}")
        return vassal

    def _status(self) -> dict[str, Any]:
        fleet = self._daemon.fleet
        phases = Counter(vassal.phase for vassal in fleet.vassals.values())
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "journal": self._daemon.journal_path,
            "seq": fleet.seq,
            "at": rfc3339(fleet.at),
            "monitors": list(fleet.monitors),
            "outages": {url: outage.reason for url, outage in fleet.outages.items()},
            "vassals": dict(sorted(phases.items())),
            "due": waiting_steps(fleet.vassals.values()),
            "stopping": fleet.leaving,
            "keeper": self._daemon.keeper_lives,
            "paused": self._daemon.paused,
            "estranged": None,
            "unrecorded": self._daemon.unrecorded,
            "renamed_logs": self._daemon.renamed_logs(),
            "held": sorted(vassal.name for vassal in fleet.vassals.values() if vassal.held),
            "attention": attention(self._daemon, self._daemon.now()),
        }

    def _list(self) -> dict[str, Any]:
        fleet = self._daemon.fleet
        record = fleet_record(fleet)
        line = in_line(fleet)
        record["sources"] = short_names(fleet.monitors, fleet.names)
        record["vassals"] = [self._live(fleet.vassals[v["name"]], line) for v in record["vassals"]]
        return record

    def _live(self, vassal: Vassal, line: int) -> dict[str, Any]:
        """A vassal's record and what only a running daemon knows; ``line`` reloads wait."""
        age = self._daemon.heartbeat_age(vassal.name)
        uptime = None
        if vassal.start_time is not None:
            elapsed = time.clock_gettime(time.CLOCK_BOOTTIME)
            uptime = round(elapsed - vassal.start_time / _TICKS, 3)
        now = self._daemon.now()
        return {
            **vassal_record(vassal, now),
            "in_line": line if waits_in_line(vassal) else None,
            "since": rfc3339(vassal.since),
            "held": vassal.held,
            "control": vassal.control,
            "uptime_s": uptime,
            "last_exit_s": None if vassal.last is None else round((now - vassal.last.at) / 1e9, 3),
            "last_heartbeat": None if age is None else rfc3339(time.time_ns() - int(age * 1e9)),
            "deadline": None if vassal.deadline is None else rfc3339(vassal.deadline),
            "cgroup": self._daemon.cgroup_of(vassal.name),
            "log": self._daemon.log_of(vassal.name),
        }

    async def _order(
        self, do: Request, request: Mapping[str, Any], client: Client
    ) -> dict[str, Any]:
        # Before the vassal is looked at: a request that the fold ignores is no event.
        by = await threads.run_sync(client.caller)
        vassal = self._named(request)
        self._check_journal()
        if is_ignored(do, vassal.phase):
            if do == "restart" and vassal.held:
                raise Refused(
                    f"{vassal.name} is {vassal.phase}, as an operator stopped it; 'emperor-ctl"
                    " start' starts it"
                )
            if do in _OF_STATE:
                return {"phase": vassal.phase}
            raise Refused(f"{vassal.name} is {vassal.phase}, so there is nothing to {do}")
        if do == "reload" and way_to_reload(vassal) == "none":
            raise Refused(
                f"{vassal.name} has reload = none: a change waits for its next start; stop it, then"
                " start it"
            )
        await self._record(do, request, by, vassal.name, "control")
        now = self._daemon.fleet.vassals.get(vassal.name)
        return {"phase": "forgotten" if now is None else now.phase}

    async def _wait(
        self, request: Mapping[str, Any], goal: Goal, patience: float, client: Client
    ) -> dict[str, Any]:
        """Answer when a vassal has come to what was asked, or will not."""
        name = str(request.get("name"))
        waiting = partial(self._daemon.waiting.until, name, goal, patience)
        phase, failure = await client.aside(waiting)
        if failure is None:
            return {"phase": phase}
        log = ""
        if phase not in _SAYS_NOTHING and self._daemon.paused is None:
            log = await threads.run_sync(self._daemon.last_lines, name)
        raise Refused(failure, phase=phase, log=log.splitlines())

    async def _record(
        self, do: Request, request: Mapping[str, Any], by: Caller, vassal: str | None, via: str
    ) -> None:
        reason = reason_of(request)
        body = OperatorRequested(request=do, via=via, reason=reason, **by.fields)
        await self._daemon.record(Draft("operator_requested", body, None, vassal))

    async def _record_refusal(self, request: Mapping[str, Any], client: Client, error: str) -> None:
        if self._daemon.paused is not None:
            return
        by = await threads.run_sync(client.caller)
        name = request.get("name")
        known = name if isinstance(name, str) and name in self._daemon.fleet.vassals else None
        draft = self._refusals.draft(request, by, error, known, time.monotonic())
        if draft is not None:
            await self._daemon.record(draft)

    async def _replace(self, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        if not self._daemon.keeper_lives:
            raise Refused("there is no keeper that could hold the vassals meanwhile")
        self._check_journal()
        await threads.run_sync(try_new_version)
        by = await threads.run_sync(client.caller)
        await self._record("upgrade", request, by, None, "control")
        self._upgrade()
        return {}

    async def _give_way(
        self, request: Mapping[str, Any], client: Client
    ) -> tuple[dict[str, Any], socket.socket]:
        if self._daemon.keeper_lives:
            raise Refused("this daemon has a keeper; a takeover is only for one without")
        self._check_journal()
        by = await threads.run_sync(client.caller)
        await self._record("upgrade", request, by, None, "take_over")
        return {}, self._hand_over()

    def _check_journal(self) -> None:
        if self._daemon.paused is not None:
            raise Refused(NOT_RECORDED + self._daemon.paused)


def _timeout(request: Mapping[str, Any]) -> float:
    timeout = request.get("timeout", WAIT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < 1e9:
        raise Refused("timeout: a number of seconds is needed")
    return float(timeout)


def _goal(request: Mapping[str, Any]) -> Goal:
    for goal in get_args(Goal):
        if request.get("for") == goal:
            return goal  # type: ignore[no-any-return]
    raise Refused(f"for: one of {', '.join(get_args(Goal))} is needed")


def try_new_version() -> None:
    """See whether what is installed now, keeper and daemon, starts at all. Raises Refused."""
    argv = [sys.executable, "-P", "-m", "emperord.daemon.keeper", "--version"]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=_TRIAL, env=_bare())
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        reason = said.splitlines()[-1] if said else str(error)
        raise Refused(f"the installed version does not start: {shown(reason)}") from None


def _bare() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("EMPEROR")}


assert set(_NAMED) <= set(get_args(Request))
