"""The request ``rollback``: vassals go back to a former config, or to the wanted one.

    {"do": "rollback", "names": [N, ...], "to": "41" or a digest, "cancel": true}

Without ``to`` a vassal goes back to the last config before with which it was accepting. The journal
has them (``former.py``). The one that is found stands in the event, so a replay needs no look into
the journal. The answer about a vassal has the config and the event that brought it.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from ...journal.announcements import NotFound
from ...journal.events import OperatorRequested, Spec
from ...monitors import preflight
from ...monitors.names import shown
from ..cli.digests import short
from ..core import target
from ..core.draft import Draft
from ..core.fleet import Fleet, Vassal
from ..core.rollback import as_target
from ..core.source_moves import user_text
from ..core.starts import bar_reason
from ..host import threads
from .caller import Caller
from .choosing import choose
from .former import Config, FormerConfigs, Known
from .orders import Daemon, Outcomes, check_journal, timeout_of
from .refusals import reason_of
from .server import Client, Refused
from .told import told
from .waiting import Goal, Verdict

_NUMBER: Final = re.compile(r"@?([0-9]{1,11})", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{6,64}", re.ASCII)
_LONGEST: Final = 80  # characters of a wrong value that are told
_MOST: Final = 1000  # vassals of one request
_NO_JOURNAL: Final = "this daemon has no journal to look into"
_SHOW: Final = "'emperor-replay history' has the configs of a vassal, and --to takes one"


class _Found(NamedTuple):
    """A config that a vassal can go back to, and the spec that it had when that was found.

    ``seq`` is the event that brought the config, None where that is in an archive.
    """

    spec: Spec
    seq: int | None
    wanted: Spec


class Rollbacks:
    """Answers such requests. ``config_text`` finds a text by its digest."""

    def __init__(
        self, daemon: Daemon, former: Known | None, config_text: Any = lambda _: None
    ) -> None:
        self._daemon = daemon
        self._former = former
        self._config_text = config_text

    async def answer(self, request: Mapping[str, Any], client: Client) -> dict[str, Any]:
        """Do it; tell the outcome for each vassal, and answer with their numbers."""
        to, cancel = _to(request.get("to")), request.get("cancel", False)
        if not isinstance(cancel, bool):
            raise Refused("cancel: true or false is needed")
        if cancel and to is not None:
            raise Refused("to and cancel: one of them at most")
        patience, waits = timeout_of(request), request.get("wait") is True
        by = await threads.run_sync(client.caller)
        chosen = await choose(self._daemon.fleet.vassals, request)
        names = [*chosen.named, *chosen.matched]
        if len(names) > _MOST:
            raise Refused(f"names: {len(names)} vassals fit, and {_MOST} at most can be asked for")
        check_journal(self._daemon)
        outcomes = Outcomes(self._daemon, client)
        await client.tell({"ok": True, "more": True, "total": len(names)})
        drafts, refused = await self._drafts(names, to, cancel, request, by, outcomes)
        await outcomes.refuse([(name, Verdict(self._phase(name), why)) for name, why in refused])
        if drafts:
            await self._daemon.record(*drafts.values())
            await client.tell({"ok": True, "more": True, "recorded": list(drafts)})
        awaited = [name for name in drafts if waits and not self._is_held(name)]
        at_once = [name for name in drafts if name not in awaited]
        await outcomes.tell([(name, Verdict(self._phase(name))) for name in at_once])
        if awaited:
            waiting = self._daemon.waiting
            if not waiting.has_room(len(awaited)):
                raise Refused("clients wait for too many vassals already; ask without waiting")
            goal: Goal = "retry" if cancel else "rollback"  # the wanted config is tried again
            await client.aside(partial(waiting.each, awaited, goal, patience, outcomes.tell))
        return outcomes.answer({})

    async def _drafts(
        self, names: Sequence[str], to: str | None, cancel: bool, request: Mapping[str, Any],
        by: Caller, outcomes: Outcomes,
    ) -> tuple[dict[str, Draft], list[tuple[str, str]]]:  # fmt: skip
        """The requests to record, by vassal, and the reasons of those that are refused."""
        asked_by = {"via": "control", "reason": reason_of(request), **by.fields}
        drafts: dict[str, Draft] = {}
        refused: list[tuple[str, str]] = []
        found: dict[str, _Found | str] = {}
        if not cancel:
            vassals = self._daemon.fleet.vassals
            asked = [(name, _state(vassals[name])) for name in names if name in vassals]
            policy = self._daemon.fleet.policy
            found = await threads.run_sync(self._find_all, asked, to, policy)
        for name in names:
            vassal = self._daemon.fleet.vassals.get(name)
            if cancel:
                why = _not_cancelled(name, vassal)
                body = OperatorRequested(request="cancel_rollback", **asked_by)
            else:
                one = found.get(name, "it is forgotten: its source has it no longer")
                why = one if isinstance(one, str) else _not_now(self._daemon.fleet, vassal, one)
                if isinstance(one, _Found):
                    outcomes.facts[name] = {"config": one.spec.config, "event": one.seq}
                    body = OperatorRequested(
                        request="rollback", back_to=one.spec, deploy=one.seq, **asked_by
                    )
            if why is not None:
                refused.append((name, f"{shown(name)}: {why}"))
            else:
                drafts[name] = Draft("operator_requested", body, None, name)
        return drafts, refused

    def _find_all(
        self, asked: Sequence[tuple[str, Vassal]], to: str | None, policy: Any
    ) -> dict[str, _Found | str]:
        """By vassal, the config that it can go back to, or why it cannot. Blocks."""
        if self._former is None:
            return dict.fromkeys((name for name, _ in asked), _NO_JOURNAL)
        former = FormerConfigs(self._former)
        return {name: self._find(former, name, vassal, to, policy) for name, vassal in asked}

    def _find(
        self, former: FormerConfigs, name: str, vassal: Vassal, to: str | None, policy: Any
    ) -> _Found | str:
        try:
            if to is None:
                found = former.last_good(name, vassal)
            elif number := _NUMBER.fullmatch(to):
                found = former.by_number(name, int(number[1]))
            else:
                found = former.by_digest(name, to)
        except NotFound as error:
            return f"{error}; {_SHOW}"
        why = _unfit(vassal, found, policy) or self._unreadable(found.spec)
        event = "archived" if found.seq is None else f"event {found.seq}"
        config = f"config {short(found.spec.config)} ({event})"
        return f"{config} {why}" if why else _Found(found.spec, found.seq, vassal.spec)

    def _unreadable(self, spec: Spec) -> str | None:
        """Why its text cannot be had from the journal as it was."""
        by_file = target.runs_file(spec)
        if not by_file and "command" in spec.settings:
            return None  # its settings say all
        text = None if spec.config is None else self._config_text(spec.config)
        if text is None:
            return "cannot be had: its text is not in the journal as it was recorded"
        if by_file and (bound := preflight.bound_by(text)):
            return (
                f"has {bound}, which means another thing in a copy; put that text back at its"
                " source ('emperor-replay show' has it)"
            )
        return None

    def _is_held(self, name: str) -> bool:
        """Whether it stays down, as an operator stopped it: its next start uses what was asked."""
        vassal = self._daemon.fleet.vassals.get(name)
        return vassal is not None and vassal.phase == "held"

    def _phase(self, name: str) -> str:
        vassal = self._daemon.fleet.vassals.get(name)
        return "forgotten" if vassal is None else vassal.phase


def _to(given: object) -> str | None:
    """The number or the digest of a request. Raises Refused."""
    if given is None:
        return None
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        return given
    if isinstance(given, str) and _DIGEST.fullmatch(given.lower()):
        return given.lower()
    text = told(given, _LONGEST)
    raise Refused(f"to: {text!r} is neither the number of an event nor 6 to 64 digits of a digest")


def _state(vassal: Vassal) -> Vassal:
    """A vassal for a thread: the fleet goes on meanwhile, and its specs never change."""
    return Vassal(
        vassal.name, vassal.monitor, vassal.spec, vassal.phase, 0, 0, refused=vassal.refused,
        check=vassal.check, kept=vassal.kept, waits_in=vassal.waits_in,
        candidate=copy.copy(vassal.candidate), good=vassal.good,
    )  # fmt: skip


def _unfit(vassal: Vassal, found: Config, policy: Any) -> str | None:
    """Why a vassal cannot go back to this config, whatever its text."""
    spec, wanted = found.spec, vassal.spec
    if found.monitor != vassal.monitor:
        source = shown(found.monitor or "-")
        return f"is of {source}, and the vassal is now of {shown(vassal.monitor)}"
    if (spec.uid, spec.gid) != (wanted.uid, wanted.gid):
        return f"is of {user_text(spec)}, and the vassal is now of {user_text(wanted)}"
    reason = bar_reason(spec, policy, vassal.monitor)
    if reason is not None:
        return f"may not run: {shown(reason)}"
    if spec.config is not None and spec.config == wanted.config:
        back = vassal.refused is not None and vassal.refused.rolled_back
        return "is the wanted one" + ("; --cancel goes back to it" if back else "")
    kept = vassal.kept
    if kept is not None and spec.config == kept.config and vassal.refused is not None:
        return "is the one that is started already" if vassal.refused.rolled_back else None
    return None


def _not_now(fleet: Fleet, vassal: Vassal | None, found: _Found) -> str | None:
    """Why a vassal does not go back, by its state."""
    if vassal is None or not vassal.wanted:
        return "its source has it no longer"
    if vassal.phase == "held" or vassal.held:
        return "it is held, as an operator stopped it; 'emperor-ctl start' starts it first"
    if vassal.spec is not found.wanted:
        return "its source changed it meanwhile; ask again"
    if as_target(fleet, vassal, found.spec) is None:
        return f"config {short(found.spec.config)} has no other text than the wanted one"
    return None


def _not_cancelled(name: str, vassal: Vassal | None) -> str | None:
    if vassal is None or not vassal.wanted:
        return "its source has it no longer"
    if vassal.refused is None or not vassal.refused.rolled_back:
        return "nothing of it was rolled back"
    return None
