"""Requests at the control socket: each one is answered, recorded, or refused.

The fold decides. A request that its table ignores is no event (see ``tests/fold/test_decisions``).
"""

import os
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import trio

from ...journal.events import OperatorRequested, Request
from ...journal.times import rfc3339
from ...monitors import children
from ...monitors.names import shown
from ...version import VERSION
from ..core.draft import Draft
from ..core.records import LIVE, listens, vassal_columns
from ..core.running import waiting_steps
from ..host import threads
from ..keeper.arguments import trial
from ..keeper.link import TAKES_NOTHING
from . import access, rollouts
from .archives import Archives
from .attention import Daemon as Troubled
from .attention import attention
from .caller import Caller
from .choosing import MOST, is_of_many
from .explain import Explain, Explainer
from .live import Daemon as Living
from .live import listed, live_record
from .log_paths import log
from .orders import VERBS, Orders
from .orders import Daemon as Orderly
from .refusals import reason_of
from .rollbacks import Rollbacks
from .server import PROTOCOL, Answered, Client, Failed, Refused
from .shared_answer import SharedAnswer
from .stories import why
from .told import told

_TRIAL: Final = 20.0  # seconds for a new version to see whether it would start
_USAGE: Final = "\nError: "  # of click, before an error of usage
_LONGEST: Final = 4096  # characters of an error that are told
_EXPLANATIONS: Final = 4  # at once
_FIELDS: Final = (*vassal_columns(), *LIVE)
_MOST_FIELDS: Final = 1000  # of one request: a later client may know others
# Refused ones are recorded. That of another emperor, to take over, is no operator's.
_LOOKS: Final = ("status", "list", "show", "explain", "why", "log", "rollout")
_FILES: Final = ("archive", "backup")
_CHANGES: Final = (
    *VERBS,
    "rollback",
    *rollouts.CHANGES,
    "reopen",
    "upgrade",
    "adopt",
    "restore",
    *_FILES,
)


class Replaceable(Protocol):
    """The daemon as far as its replacement depends on it."""

    @property
    def keeper_lives(self) -> bool: ...

    def keeper_takes(self) -> bool: ...


class Daemon(Replaceable, Troubled, Orderly, Living, Protocol):
    """The daemon as far as answers are made from it."""

    @property
    def journal_path(self) -> str: ...

    @property
    def recovers(self) -> bool: ...

    @property
    def can_answer(self) -> trio.Event: ...

    @property
    def archives(self) -> Archives | None: ...

    def renamed_logs(self) -> dict[str, str]: ...

    def log_troubles(self) -> dict[str, str]: ...

    def unjournaled(self) -> list[tuple[str, int]]: ...

    def reopen_logs(self, asked_by: str) -> None: ...


class RequestHandler:
    """Answers requests.

    ``upgrade`` has the daemon replaced in place. ``hand_over`` lets another daemon take over, and
    gives the socket for that. ``explain`` shows the command of a vassal, and may block. Members of
    ``group`` may look.
    """

    def __init__(
        self,
        daemon: Daemon,
        upgrade: Callable[[], None],
        hand_over: Callable[[], socket.socket],
        explain: Explain,
        group: int | None = None,
    ) -> None:
        self._daemon = daemon
        self._group = group
        self._explain = explain
        # An explanation asks the user database, which may not answer.
        self._explaining = trio.CapacityLimiter(_EXPLANATIONS)
        self._upgrade = upgrade
        self._hand_over = hand_over
        self._orders = Orders(daemon)
        looks = explain if isinstance(explain, Explainer) else None
        self._rollbacks = (
            Rollbacks(daemon, None)
            if looks is None
            else Rollbacks(daemon, looks.former, looks.config_text)
        )
        self._listed = SharedAnswer(partial(listed, daemon, None))

    async def __call__(self, request: Mapping[str, Any], client: Client) -> Answered:
        """The answer to a client's request. Raises Refused."""
        do = request.get("do")
        may = False
        # Until the recovery is recorded only the status can be told.
        if do != "status" or not self._daemon.recovers:
            await self._daemon.can_answer.wait()
        try:
            access.check(client, do, self._group)
            may = True
            return await self._answer(do, request, client)
        except Failed:
            raise
        except Refused as refused:
            if do in _CHANGES or not may:
                await self._orders.record_refusal(request, client, str(refused))
            raise

    async def _answer(self, do: Any, request: Mapping[str, Any], client: Client) -> Answered:
        if do == "status":
            return {"status": self._status()}
        if do == "list":
            return await self._list(request)
        if do == "upgrade":
            return await self._replace(request, client)
        if do == "take_over":
            return await self._give_way(request, client)
        if do == "show":
            vassal = await self._orders.named(request)
            return {"vassal": live_record(self._daemon, vassal, self._daemon.rejected())}
        if do == "explain":
            named = await self._orders.named(request)
            vassal = msgspec.structs.replace(named)  # the fleet goes on meanwhile
            explained = await threads.run_sync(
                self._explain, vassal, limiter=self._explaining, abandon_on_cancel=True
            )
            return {"explanation": explained}
        if do == "log":
            return await log(self._daemon, request)
        if do == "why":
            return await why(self._daemon.journal_path, request)
        if do in ("adopt", "restore"):
            raise Refused(f"the daemon has its journal, so there is nothing to {do}")
        if do in VERBS:
            give = self._orders.many if is_of_many(request) else self._orders.one
            return await give(do, request, client)
        if do == "rollback":
            return await self._rollbacks.answer(request, client)
        if do == "wait":
            return await self._orders.wait(request, client)
        if do == "reopen":
            return await self._reopen(request, client)
        if do == "rollout":
            return rollouts.rollouts(self._daemon.fleet, request)
        if do in _FILES and self._daemon.archives is not None:
            self._orders.check_journal()
            return await self._daemon.archives.answer(do, request, client, self._daemon)
        if do in rollouts.CHANGES:
            self._orders.check_journal()
            return await rollouts.change(self._daemon, do, request, client)
        asked = (
            *_LOOKS,
            *VERBS,
            "rollback",
            "wait",
            *rollouts.CHANGES,
            "reopen",
            "upgrade",
            *_FILES,
        )
        known = ", ".join(asked)
        raise Refused(f"there is no {told(do, 40)!r}; ask one of {known}")

    def _status(self) -> dict[str, Any]:
        fleet = self._daemon.fleet
        phases = Counter(vassal.phase for vassal in fleet.vassals.values())
        return {
            "version": VERSION,
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "journal": self._daemon.journal_path,
            "seq": fleet.seq,
            "at": rfc3339(fleet.at),
            "monitors": list(fleet.monitors),
            "outages": {url: outage.reason for url, outage in fleet.outages.items()},
            "vassals": dict(sorted(phases.items())),
            "due": waiting_steps(fleet.vassals.values()),
            "stopping": fleet.leaving,
            "recovers": self._daemon.recovers,
            "keeper": self._daemon.keeper_lives,
            "paused": self._daemon.paused,
            "estranged": None,
            "unrecorded": self._daemon.unrecorded,
            "renamed_logs": self._daemon.renamed_logs(),
            "held": sorted(vassal.name for vassal in fleet.vassals.values() if vassal.held),
            "listens": sorted(each.name for each in fleet.vassals.values() if listens(each)),
            "attention": attention(self._daemon, self._daemon.now()),
        }

    async def _list(self, request: Mapping[str, Any]) -> bytes:
        """All vassals. Those of ``names`` alone, where each of these is the name of one.

        Of the ``fields`` that are asked for, those count that a record has. A later client may ask
        for others. Raises Refused for too many.
        """
        names, vassals = request.get("names"), self._daemon.fleet.vassals
        fields = _fields(request.get("fields"))
        if (
            isinstance(names, list)
            and 0 < len(names) <= MOST
            and all(isinstance(name, str) and name in vassals for name in names)
        ):
            return (await listed(self._daemon, set(names), fields))[1]
        return await self._listed.line(self._daemon.fleet.seq, fields)

    async def _reopen(self, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Reopen logs. A full disk is no obstacle: that may be why they were moved away."""
        by = await threads.run_sync(client.caller)
        self._daemon.reopen_logs(f"uid {by.uid} asks to reopen logs")
        if self._daemon.paused is None:
            await self._record("reopen", request, by, "control")
        return {"renamed_logs": self._daemon.renamed_logs()}

    async def _record(self, do: Request, request: Mapping[str, Any], by: Caller, via: str) -> None:
        """Record a request about the daemon."""
        body = OperatorRequested(request=do, via=via, reason=reason_of(request), **by.fields)
        await self._daemon.record(Draft("operator_requested", body))

    async def _replace(self, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        self._orders.check_journal()
        await check_upgrade(self._daemon)
        by = await threads.run_sync(client.caller)
        await self._record("upgrade", request, by, "control")
        self._upgrade()
        return {}

    async def _give_way(
        self, request: Mapping[str, Any], client: Client
    ) -> tuple[dict[str, Any], socket.socket]:
        if self._daemon.keeper_lives:
            raise Refused("this daemon has a keeper; a takeover is only for one without")
        self._orders.check_journal()
        by = await threads.run_sync(client.caller)
        await self._record("upgrade", request, by, "take_over")
        return {}, self._hand_over()


async def check_upgrade(daemon: Replaceable) -> None:
    """See whether a daemon can be replaced in place. Raises Refused."""
    if not daemon.keeper_lives:
        raise Refused("there is no keeper that could hold the vassals meanwhile")
    if not await threads.run_sync(daemon.keeper_takes):
        raise Refused(TAKES_NOTHING)
    await threads.run_sync(try_new_version)


def _fields(asked: object) -> tuple[str, ...]:
    """The fields that are asked for and that a record has, in its order. Raises Refused."""
    if not isinstance(asked, list):
        return ()
    if len(asked) > _MOST_FIELDS:
        raise Refused(f"fields: {_MOST_FIELDS} at most")
    wanted = {each for each in asked if isinstance(each, str)}
    return tuple(each for each in _FIELDS if each in wanted)


def try_new_version() -> None:
    """See whether what is installed now starts with this daemon's options. Raises Refused.

    The trial is keeper and daemon. It ends before it opens a source or the journal.
    """
    argv, environment = trial()
    try:
        children.run(argv, timeout=_TRIAL, env=environment).check_returncode()
    except subprocess.TimeoutExpired:
        raise Refused(f"the installed version does not start within {_TRIAL:.0f} s") from None
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        reason = _last_error(said) if said else str(error)
        raise Refused(f"the installed version does not start: {shown(reason)}") from None


def _last_error(said: str) -> str:
    """The error that a program has ended with, on one line. One of usage may have several."""
    _, usage, error = said.rpartition(_USAGE)
    lines = error.splitlines() if usage else [said.splitlines()[-1].removeprefix("emperor: ")]
    return "; ".join(map(str.strip, lines))[:_LONGEST]
