"""Refused requests: each is recorded, but one user cannot fill the journal with them."""

from collections.abc import Mapping
from typing import Any, Final

from ...journal.events import RequestRefused
from ...journal.leaky_bucket import Bucket
from ..core.draft import Draft
from .caller import Caller
from .told import told

_AT_ONCE: Final = 60  # refusals of one user that are recorded; then one a minute
_RATE: Final = 1 / 60
_MOST_USERS: Final = 1000
_LONGEST: Final = 300  # characters of each text
LONGEST_REASON: Final = 1000  # characters


class Refusals:
    """Drafts of refusals. Those that are not recorded are counted, and told with the next one."""

    def __init__(self) -> None:
        self._buckets: dict[int, Bucket] = {}  # by uid
        self._others: dict[int, int] = {}

    def draft(
        self, request: Mapping[str, Any], caller: Caller, error: str, vassal: str | None, now: float
    ) -> Draft | None:
        """The event of a refusal; None where its user has had too many. ``now`` is in seconds."""
        uid = caller.uid
        if uid not in self._buckets and len(self._buckets) >= _MOST_USERS:
            del self._buckets[next(iter(self._buckets))]
        bucket = self._buckets.setdefault(uid, Bucket(_AT_ONCE, _RATE))
        if bucket.room(now) < 1:
            self._others[uid] = self._others.get(uid, 0) + 1
            return None
        bucket.fill(1, now)
        body = RequestRefused(
            request=told(request.get("do"), _LONGEST),
            name=told(_named(request), _LONGEST),
            error=error[:_LONGEST],
            via="control",
            reason=reason_of(request),
            others=self._others.pop(uid, 0),
            **caller.fields,
        )
        return Draft("request_refused", body, None, vassal)


def _named(request: Mapping[str, Any]) -> str:
    """The names in a request: of a vassal, of several, or of a file."""
    names = request.get("names")
    if isinstance(names, list):
        return " ".join(told(name, _LONGEST) for name in names[:_LONGEST])
    if request.get("all") is True:
        return "--all"
    named = request.get("name", request.get("file"))
    return "" if named is None else told(named, _LONGEST)


def reason_of(request: Mapping[str, Any]) -> str:
    """The reason that a client gave for its request, as it is recorded."""
    reason = request.get("reason")
    return told(reason, LONGEST_REASON) if isinstance(reason, str) else ""
