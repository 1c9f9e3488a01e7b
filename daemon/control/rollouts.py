"""Requests about rollouts: how they are, and to continue or abort those that go on.

A client that waits asks again and again, of the next daemon too. So the daemon keeps nothing for
it.
"""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Literal, Protocol, get_args

from ...journal.events import OperatorRequested
from ...monitors.short_names import short_names
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.rollout import Rollout
from ..core.rollout_text import closed_record, rollout_record
from ..host import threads
from .refusals import reason_of
from .server import Client, Refused
from .told import told

Change = Literal["rollout_continue", "rollout_abort"]
_LONGEST: Final = 300  # characters of a wrong source that are told
CHANGES: Final[tuple[Change, ...]] = get_args(Change)


class Daemon(Protocol):
    """The daemon as far as rollouts need it."""

    @property
    def fleet(self) -> Fleet: ...

    def record(self, *drafts: Draft) -> Awaitable[None]: ...


def rollouts(fleet: Fleet, request: Mapping[str, Any]) -> dict[str, Any]:
    """The rollouts, and the last one of each source that has closed. Raises Refused."""
    only = _source(fleet, request)
    return {
        "rollouts": [
            rollout_record(each) for each in fleet.rollouts.values() if only in (None, each.monitor)
        ],
        "closed": [
            closed_record(monitor, each)
            for monitor, each in sorted(fleet.rolled.items())
            if only in (None, monitor)
        ],
        "sources": short_names(fleet.monitors, fleet.names),
    }


async def change(
    daemon: Daemon, do: Change, request: Mapping[str, Any], client: Client
) -> dict[str, Any]:
    """Continue or abort rollouts of one source, or of all. Raises Refused where there are none."""
    by = await threads.run_sync(client.caller)
    fleet = daemon.fleet
    only = _source(fleet, request)
    meant = [each for each in fleet.rollouts.values() if only in (None, each.monitor)]
    found = [each for each in meant if _is_meant(do, each)]
    if not found:
        what = "held back" if do == "rollout_continue" else "under way"
        raise Refused(f"no rollout is {what}, so there is nothing to {do.removeprefix('rollout_')}")
    body = OperatorRequested(request=do, via="control", reason=reason_of(request), **by.fields)
    await daemon.record(Draft("operator_requested", body, only))
    return {"rollouts": [each.seq for each in found]}


def _is_meant(do: Change, rollout: Rollout) -> bool:
    if rollout.aborted is not None or not (rollout.waiting or rollout.turning):
        return False
    return do == "rollout_abort" or rollout.held is not None


def _source(fleet: Fleet, request: Mapping[str, Any]) -> str | None:
    """The source that is meant, by its URL or short name; None for all. Raises Refused."""
    given = request.get("monitor")
    if given is None:
        return None
    if not isinstance(given, str):
        raise Refused("monitor: the URL or short name of a source is needed")
    names = short_names(fleet.monitors, fleet.names)
    for url in {*fleet.monitors, *(each.monitor for each in fleet.rollouts.values())}:
        if given in (url, names.get(url)):
            return url
    raise Refused(f"{told(given, _LONGEST)} is none of the daemon's sources")
