"""``state --diff``: what differs between two moments.

Both fleets are rebuilt, and their records compared: of a vassal that is in both, each field that an
operator would look for. Sources that cannot be read, and the policy, are compared, too.
"""

from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Any, Final

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.records import vassal_record
from ..journal.policy import Policy
from ..journal.times import rfc3339, took
from ..monitors.names import shown
from .clocks import stamp

COLUMNS: Final = ("vassal", "what", "before", "after")
# They differ whenever a process or a config does.
_LEFT_OUT: Final = ("name", "attempt", "ts", "not_before")
_DIGESTS: Final = ("config", "target", "running")


def differences(
    old: Fleet, new: Fleet, names: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Each difference as a record: the fleet's own first, then by vassal, or of some vassals."""
    found = [*_of_fleet(old, new)] if names is None else []
    known = old.vassals.keys() | new.vassals.keys()
    for name in sorted(known if names is None else known & set(names)):
        before, after = old.vassals.get(name), new.vassals.get(name)
        if before is None or after is None:
            what = "added" if before is None else "removed"
            found.append(_one(name, what, _phase(before), _phase(after)))
        else:
            found += _of_vassal(name, *(vassal_record(each, None) for each in (before, after)))
    return found


def _of_vassal(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for what, value in new.items():
        if what == "target" and (old[what], value) == (old["config"], new["config"]):
            continue  # it is the wanted one
        if what not in _LEFT_OUT and value != old[what]:
            yield _one(name, what, old[what], value)


def _of_fleet(old: Fleet, new: Fleet) -> Iterator[dict[str, Any]]:
    for url in sorted(old.outages.keys() | new.outages.keys()):
        before, after = (fleet.outages.get(url) for fleet in (old, new))
        reasons = [None if one is None else one.reason for one in (before, after)]
        if reasons[0] != reasons[1]:
            yield _one(None, f"outage of {url}", *reasons)
    for field in Policy.__struct_fields__:
        yield from _of_field(
            f"policy {field}", *(getattr(each.policy, field) for each in (old, new))
        )
    for what in ("rules", "version", "monitors"):
        yield from _of_field(what, *(getattr(fleet, what) for fleet in (old, new)))


def _of_field(what: str, before: Any, after: Any) -> Iterator[dict[str, Any]]:
    if before != after:
        yield _one(None, what, before, after)


def _phase(vassal: Vassal | None) -> str | None:
    return None if vassal is None else vassal.phase


def _one(vassal: str | None, what: str, before: Any, after: Any) -> dict[str, Any]:
    return {"vassal": vassal, "what": what, "before": before, "after": after}


def record(old: Fleet, new: Fleet, names: Collection[str] | None = None) -> dict[str, Any]:
    """The difference in the shape of the surface."""
    ends = [
        {"seq": fleet.seq, "at": rfc3339(fleet.at) if fleet.seq else None} for fleet in (old, new)
    ]
    return {"from": ends[0], "to": ends[1], "differences": differences(old, new, names)}


def lines(old: Fleet, new: Fleet, names: Collection[str] | None = None) -> Iterator[str]:
    """The difference for people."""
    apart = took(abs(new.at - old.at))
    yield f"from event {old.seq}, {_when(old)}, to event {new.seq}, {_when(new)}: {apart} apart"
    found = differences(old, new, names)
    if not found:
        yield "no difference"
        return
    vassals = {one["vassal"] for one in found} - {None}
    added = sum(one["what"] == "added" for one in found)
    removed = sum(one["what"] == "removed" for one in found)
    others = len(vassals) - added - removed
    yield f"vassals: {added} added, {removed} removed, {others} changed"
    width = max((len(shown(name)) for name in vassals), default=1)
    for name, some in groupby(found, key=lambda one: one["vassal"]):
        told = ", ".join(map(_told, some))
        yield f"{'-' if name is None else shown(name):{width}}  {told}"


def _told(one: dict[str, Any]) -> str:
    what, before, after = one["what"], one["before"], one["after"]
    if what in ("added", "removed"):
        return f"{what} ({shown(before or after)})"
    return f"{shown(what)} {_cell(what, before)} -> {_cell(what, after)}"


def _when(fleet: Fleet) -> str:
    return f"{stamp(fleet.at)}" if fleet.seq else "the beginning"


def _cell(what: str, value: Any) -> str:
    if value is None:
        return "-"
    if what in _DIGESTS:
        return short(value)
    if what == "last_exit":
        return shown(f"{value['how']} (event {value['seq']})")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(str(value))
