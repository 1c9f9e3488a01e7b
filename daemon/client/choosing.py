"""The vassals that a command shows: by name or pattern, phase and source, in an order."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from ...monitors.names import shown
from ..cli.nearest import did_you_mean, is_pattern, nearest, other_source

Record = Mapping[str, Any]
_MOST: Final = 100  # names of a request; of more, the daemon is asked for all


class Unknown(Exception):
    """A name, a pattern or a source that fits nothing."""


def request(
    names: Sequence[str], monitor: str | None = None, fields: Sequence[str] = ()
) -> dict[str, Any]:
    """The request for these vassals. The daemon answers with all where a name is that of none.

    With ``fields``, it leaves all others out, and those that are null. A daemon of a former version
    does not.
    """
    asked: dict[str, Any] = {"do": "list"}
    if names and monitor is None and len(names) <= _MOST:
        asked["names"] = list(names)
    if fields:
        asked["fields"] = list(fields)
    return asked


def select(
    vassals: Iterable[Record],
    sources: Mapping[str, str],
    names: Sequence[str] = (),
    phases: Collection[str] = (),
    monitor: str | None = None,
) -> list[Record]:
    """The vassals that all conditions fit. Raises Unknown where a name or source fits none.

    A name that a vassal has is no pattern, whatever characters it has.
    """
    found = list(vassals)
    url = None if monitor is None else _url(found, sources, monitor)
    if names:
        wanted = _named([each["name"] for each in found], names)
        found = [each for each in found if each["name"] in wanted]
    return [
        each
        for each in found
        if (not phases or each["phase"] in phases) and url in (None, each["monitor"])
    ]


def _named(known: Sequence[str], told: Sequence[str]) -> set[str]:
    there, found = set(known), set[str]()
    for one in told:
        fits = {one} if one in there else {name for name in known if fnmatchcase(name, one)}
        if not fits and is_pattern(one):
            raise Unknown(f"no vassal fits {shown(one)}")
        if not fits:
            guess = did_you_mean(nearest(one, known))
            raise Unknown("; ".join(filter(None, (f"there is no vassal {shown(one)}", guess))))
        found |= fits
    return found


def _url(vassals: Iterable[Record], sources: Mapping[str, str], told: str) -> str:
    urls = dict.fromkeys((str(each["monitor"]) for each in vassals), "") | dict(sources)
    for url, name in urls.items():
        if told in (url, name):
            return url
    raise Unknown(f"there is no source {shown(told)}; {other_source(told, urls)}")


def _of_exit(vassal: Record) -> Any:
    return (vassal.get("last_exit") or {}).get("at")


# The fields by which a list is chosen and sorted.
FIELDS: Final = (
    "name", "phase", "monitor", "pid", "since", "uptime_s", "restarts", "last_exit", "not_before",
)  # fmt: skip
# By what a list can be sorted: the key, and whether the largest comes first. Unknown values are
# last. RFC 3339 sorts as text.
ORDERS: Final[Mapping[str, tuple[Callable[[Record], Any], bool]]] = {
    "name": (lambda vassal: vassal["name"], False),
    "phase": (lambda vassal: vassal["phase"], False),
    "source": (lambda vassal: vassal["monitor"], False),
    "pid": (lambda vassal: vassal.get("pid"), False),
    "since": (lambda vassal: vassal.get("since"), True),
    "uptime": (lambda vassal: vassal.get("uptime_s"), True),
    "restarts": (lambda vassal: vassal.get("restarts"), True),
    "exit": (_of_exit, True),
    "next": (lambda vassal: vassal.get("not_before"), False),
}


def ordered(vassals: Iterable[Record], by: str, reverse: bool = False) -> list[Record]:
    """The vassals in an order; those with equal values by name."""
    key, largest_first = ORDERS[by]
    found = sorted(vassals, key=lambda vassal: str(vassal["name"]))
    known = [each for each in found if key(each) is not None]
    known.sort(key=key, reverse=largest_first != reverse)
    return known + [each for each in found if key(each) is None]
