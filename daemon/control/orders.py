"""Requests about vassals: start, stop, restart, reload, retry, and waiting for vassals.

The fold decides. A request that its table ignores is no event (see ``tests/fold/test_decisions``).
A request about many vassals is one event for each of them. So each has its own cause, and turns of
slots are shared as for single requests. It is refused as a whole where a name fits no vassal.

A vassal that only a pattern or ``all`` names, and with which there is nothing to do, is left as it
is. One that the client named itself is refused, with the reason.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, Protocol, get_args

from ...journal.events import OperatorRequested, Request
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.fold import has_effect
from ..core.kept_open import can_listen
from ..core.reloads import way_to_reload
from ..host import threads
from .caller import Caller
from .choosing import Chosen, checked, choose, is_of_many, names_others, not_one, unknown
from .first_look import FirstLook
from .pauses import NOT_RECORDED, paused_advice
from .refusals import Refusals, reason_of
from .server import Client, Failed, Refused
from .waiting import STATES, Goal, Verdict, Waiting, verdict

Verb = Literal["start", "stop", "restart", "reload", "retry"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
WAIT: Final = 60.0  # seconds that a client waits unless it says otherwise
# The client wants a state. Where the fold ignores the request, the vassal is in that state already,
# or on its way to it.
_OF_STATE: Final = ("start", "stop", "restart")
# The advice where a vassal has no process that could reload.
_INSTEAD: Final = {
    "queued": "it starts with the config that is wanted",
    "throttled": "'emperor-ctl retry' starts it now, with the config that is wanted",
    "listening": "its first connection starts it, with the config that is wanted",
    "stopping": "its next start takes the config that is wanted",
    "held": "'emperor-ctl start' starts it, with the config that is wanted",
    "barred": "'emperor-ctl retry' starts it now, with the config that is wanted",
}
# Where a vassal's log says nothing of a failure: no process of it failed or is late.
_SAYS_NOTHING: Final = ("forgotten", "held", "listening", "queued")
_AT_ONCE: Final = 500  # requests of one transaction
_MOST_LOGS: Final = 10  # vassals of one request whose last lines are told

assert set(VERBS) <= set(get_args(Request)) & set(get_args(Goal))


class Daemon(Protocol):
    """The daemon as far as requests about vassals need it."""

    @property
    def fleet(self) -> Fleet: ...

    @property
    def paused(self) -> str | None: ...

    @property
    def waiting(self) -> Waiting: ...

    @property
    def first_look(self) -> FirstLook: ...

    def now(self) -> int: ...

    def is_cheap(self, vassal: Vassal) -> bool: ...

    def last_lines(self, vassal: str) -> str: ...

    def record(self, *drafts: Draft) -> Awaitable[None]: ...


class Outcomes:
    """Tells a client the outcomes of a request about many vassals, a line for each, and counts."""

    def __init__(self, daemon: Daemon, client: Client) -> None:
        self._daemon = daemon
        self._client = client
        self._logs = 0
        self.facts: dict[str, dict[str, Any]] = {}  # by vassal, more that its line is to have
        self.done = 0
        self.failed = 0

    async def tell(self, told: Sequence[tuple[str, Verdict]]) -> None:
        """Tell some outcomes; for the first that failed, with the last lines of their logs."""
        lines = []
        for name, (phase, failure, overtaken) in told:
            line: dict[str, Any] = {"ok": failure is None, "more": True, "name": name}
            line |= self.facts.get(name, {})
            if failure is None:
                self.done += 1
                lines.append({**line, "phase": phase})
                continue
            self.failed += 1
            log: list[str] = []
            if self._logs < _MOST_LOGS and not overtaken:
                log = await last_lines(self._daemon, name, phase)
                self._logs += bool(log)
            lines.append({**line, "error": failure, "phase": phase, "log": log})
        if lines:
            await self._client.tell(*lines)

    async def refuse(self, refused: Sequence[tuple[str, Verdict]]) -> None:
        """Tell of vassals for which nothing is done."""
        self.failed += len(refused)
        lines = [
            {"ok": False, "more": True, "name": name, "error": each.failure, "phase": each.phase}
            for name, each in refused
        ]
        if lines:
            await self._client.tell(*lines)

    def answer(self, left: Mapping[str, int]) -> dict[str, Any]:
        """The last line; ``left`` are the vassals that are as they were, by phase."""
        counts = {"done": self.done, "failed": self.failed, "left": dict(left)}
        if not self.failed:
            return counts
        total = self.done + self.failed
        raise Failed(f"{self.failed} of {total} vassals failed", **counts)


class Orders:
    """Answers requests about vassals."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._refusals = Refusals()

    async def record_refusal(
        self, request: Mapping[str, Any], client: Client, error: str, vassal: object = None
    ) -> None:
        """Record that a request for a change was refused, unless nothing can be recorded."""
        if self._daemon.paused is not None:
            return
        by = await threads.run_sync(client.caller)
        name = _only_name(request) if vassal is None else vassal
        known = name if isinstance(name, str) and name in self._daemon.fleet.vassals else None
        draft = self._refusals.draft(request, by, error, known, time.monotonic())
        if draft is not None:
            await self._daemon.record(draft)

    async def named(self, request: Mapping[str, Any]) -> Vassal:
        """The one vassal that a request is about. Raises Refused."""
        name, vassals = _name(request), self._daemon.fleet.vassals
        if name not in vassals:
            raise Refused(await threads.run_sync(not_one, list(vassals), name))
        return vassals[name]

    def check_journal(self) -> None:
        """Raise Refused while nothing can be recorded."""
        check_journal(self._daemon)

    # One vassal

    async def one(self, do: Verb, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Do it for one vassal; answer with its phase."""
        timeout = timeout_of(request)
        # Before the vassal is looked at: a request that the fold ignores is no event.
        by = await threads.run_sync(client.caller)
        vassal = await self.named(request)
        self.check_journal()
        records, refused = plan(do, vassal, keep_listening=keeps_listening(do, request))
        if refused is not None:
            raise Refused(refused)
        if records:
            body = _body(do, request, by)
            await self._daemon.record(Draft("operator_requested", body, None, vassal.name))
        if request.get("wait") is True:
            return await self._wait_for_one(vassal.name, do, timeout, client)
        return {"phase": self._phase(vassal.name)}

    async def wait(self, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Wait for vassals, without a request for a change."""
        goal, timeout = _goal(request), timeout_of(request)
        if not is_of_many(request):
            return await self._wait_for_one(_name(request), goal, timeout, client)
        timeout = await self._know_all(request, timeout, client)
        # A vassal may be forgotten since it was asked about, or be named by its source soon.
        chosen = await choose(self._daemon.fleet.vassals, request, strangers=True)
        outcomes = Outcomes(self._daemon, client)
        names = [*chosen.named, *chosen.matched]
        first: dict[str, Any] = {"ok": True, "more": True, "total": len(names)}
        if goal in STATES and goal != "gone":
            vassals = self._daemon.fleet.vassals
            strangers = [name for name in chosen.named if name not in vassals][:_MOST_LOGS]
            if strangers:
                args = [(list(vassals), name) for name in strangers]
                first["unknown"] = [await threads.run_sync(unknown, *each) for each in args]
        await client.tell(first)
        await self._wait_for_all(names, goal, timeout, client, outcomes)
        return outcomes.answer({})

    async def _know_all(self, request: Mapping[str, Any], patience: float, client: Client) -> float:
        """Wait until the sources of the vassals that are meant were read; the seconds left."""
        look = self._daemon.first_look
        if look.is_over or not names_others(self._daemon.fleet.vassals, request):
            return patience
        began = time.monotonic()
        missing = await client.aside(partial(look.wait, self._daemon, patience))
        if missing is not None:
            raise Failed(f"the daemon does not know all vassals yet: {missing}")
        return max(0.0, patience - (time.monotonic() - began))

    async def _wait_for_one(
        self, name: str, goal: Goal, patience: float, client: Client
    ) -> dict[str, Any]:
        self._check_room(1)
        waiting = partial(self._daemon.waiting.until, name, goal, patience)
        phase, failure, overtaken = await client.aside(waiting)
        if failure is None:
            return {"phase": phase}
        log = [] if overtaken else await last_lines(self._daemon, name, phase)
        raise Failed(failure, phase=phase, log=log)

    # Many vassals

    async def many(self, do: Verb, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Do it for many vassals; tell the outcome for each, and answer with their numbers."""
        timeout, waits = timeout_of(request), request.get("wait") is True
        by = await threads.run_sync(client.caller)
        chosen = await choose(self._daemon.fleet.vassals, request)
        self.check_journal()
        keep = keeps_listening(do, request)
        names, refused, left = self._sorted(do, chosen, keep)
        if waits:
            self._check_room(len(names))
        outcomes = Outcomes(self._daemon, client)
        await client.tell({"ok": True, "more": True, "total": len(names) + len(refused)})
        await outcomes.refuse(refused)
        if refused:
            (first, outcome), others = refused[0], len(refused) - 1
            error = str(outcome.failure)
            text = f"{error}; {others} other{'' if others == 1 else 's'} refused"
            await self.record_refusal(request, client, text if others else error, first)
        recorded = await self._record_all(do, names, request, by, client, outcomes)
        if waits:
            await self._wait_for_all(recorded, do, timeout, client, outcomes)
        else:
            await outcomes.tell([(name, Verdict(self._phase(name))) for name in recorded])
        return outcomes.answer(left)

    def _sorted(
        self, do: Verb, chosen: Chosen, keep: bool
    ) -> tuple[list[str], list[tuple[str, Verdict]], Counter[str]]:
        """The vassals to do it for, those for which it is refused, and how many are left as is."""
        names: list[str] = []
        refused: list[tuple[str, Verdict]] = []
        left: Counter[str] = Counter()
        fleet, now = self._daemon.fleet, self._daemon.now()
        for name in chosen.named:
            vassal = fleet.vassals.get(name)
            reason = f"there is no vassal {name}" if vassal is None else plan(do, vassal, keep)[1]
            if reason is None:
                names.append(name)
            else:
                refused.append((name, Verdict(self._phase(name), reason)))
        for name in chosen.matched:
            vassal = fleet.vassals.get(name)
            if vassal is None:
                continue
            records, reason = plan(do, vassal, keep)
            known = None if records else verdict(fleet, name, do, now, self._daemon.is_cheap)
            # One whose work is over is started by its name alone.
            if reason is not None or known is not None or (records and vassal.done):
                left[vassal.phase] += 1
            else:
                names.append(name)
        return names, refused, left

    async def _record_all(
        self,
        do: Verb,
        names: Sequence[str],
        request: Mapping[str, Any],
        by: Caller,
        client: Client,
        outcomes: Outcomes,
    ) -> list[str]:
        """Record the requests, some at a time; the vassals that are asked now."""
        recorded: list[str] = []
        keep, body = keeps_listening(do, request), _body(do, request, by)
        for first in range(0, len(names), _AT_ONCE):
            part = names[first : first + _AT_ONCE]
            vassals = [v for name in part if (v := self._daemon.fleet.vassals.get(name))]
            asked = [vassal.name for vassal in vassals if plan(do, vassal, keep)[0]]
            drafts = [Draft("operator_requested", body, None, name) for name in asked]
            try:
                if drafts:
                    await self._daemon.record(*drafts)
            except Refused as error:
                rest = [(name, Verdict(self._phase(name), str(error))) for name in names[first:]]
                await outcomes.refuse(rest)
                break
            recorded += part
            await client.tell({"ok": True, "more": True, "recorded": part})
        return recorded

    async def _wait_for_all(
        self,
        names: Sequence[str],
        goal: Goal,
        patience: float,
        client: Client,
        outcomes: Outcomes,
    ) -> None:
        self._check_room(len(names))
        waiting = self._daemon.waiting
        await client.aside(lambda: waiting.each(names, goal, patience, outcomes.tell))

    def _check_room(self, count: int) -> None:
        if not self._daemon.waiting.has_room(count):
            raise Refused("clients wait for too many vassals already; ask without waiting")

    def _phase(self, name: str) -> str:
        vassal = self._daemon.fleet.vassals.get(name)
        return "forgotten" if vassal is None else vassal.phase


def plan(do: Verb, vassal: Vassal, keep_listening: bool = False) -> tuple[bool, str | None]:
    """Whether a request is to be recorded for a vassal, and why it is refused if it is."""
    name, phase = vassal.name, vassal.phase
    if keep_listening and not can_listen(vassal.aim):
        kept = f"{name} has no 'listen' and no address on demand, so the daemon keeps none open"
        return False, f"{kept}; stop it without --keep-listening"
    if not has_effect(do, vassal, keep_listening=keep_listening):
        if do == "restart" and vassal.held:
            held = f"{name} is {phase}, as an operator stopped it"
            return False, f"{held}; 'emperor-ctl start' starts it"
        if do in _OF_STATE:
            return False, None
        text = f"{name} is {phase}, so there is nothing to {do}"
        return False, f"{text}; {_INSTEAD[phase]}" if do == "reload" else text
    if do == "reload" and way_to_reload(vassal) == "none":
        restart = "a change waits for its next start; 'emperor-ctl restart' starts it anew"
        return False, f"{name} has reload = none: {restart}"
    return True, None


def check_journal(daemon: Daemon) -> None:
    """Raise Refused while nothing can be recorded."""
    if daemon.paused is not None:
        raise Refused(NOT_RECORDED + daemon.paused + paused_advice(daemon.paused))


async def last_lines(daemon: Daemon, name: str, phase: str) -> list[str]:
    """The last lines of a vassal's log, where they may say why it failed."""
    if phase in _SAYS_NOTHING or daemon.paused is not None:
        return []
    return (await threads.run_sync(daemon.last_lines, name)).splitlines()


def _body(do: Verb, request: Mapping[str, Any], by: Caller) -> OperatorRequested:
    """The body of the events of a request, which all of its vassals share."""
    return OperatorRequested(
        request=do,
        via="control",
        reason=reason_of(request),
        keep_listening=keeps_listening(do, request),
        **by.fields,
    )


def keeps_listening(do: Verb, request: Mapping[str, Any]) -> bool:
    """Whether a stop leaves addresses open. Raises Refused."""
    keep = request.get("keep_listening", False)
    if not isinstance(keep, bool):
        raise Refused("keep_listening: true or false is needed")
    if keep and do != "stop":
        raise Refused(f"keep_listening: a {do} has no such field, only a stop")
    return keep


def _name(request: Mapping[str, Any]) -> str:
    """The one name in a request. Raises Refused."""
    name = request.get("name")
    if not isinstance(name, str):
        raise Refused("name: the name of a vassal is needed")
    return checked(name)


def _only_name(request: Mapping[str, Any]) -> object:
    """The name in a request that has one name."""
    match request:
        case {"name": name} | {"names": [name]}:
            return name
    return None


def timeout_of(request: Mapping[str, Any]) -> float:
    """The seconds that a client waits. Raises Refused."""
    timeout = request.get("timeout", WAIT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < 1e9:
        raise Refused("timeout: a number of seconds is needed")
    return float(timeout)


def _goal(request: Mapping[str, Any]) -> Goal:
    for goal in get_args(Goal):
        if request.get("for") == goal:
            return goal  # type: ignore[no-any-return]
    raise Refused(f"for: one of {', '.join((*VERBS, *STATES))} is needed")
