"""The former configs of vassals: those of the journal's events, and those that it begins with.

Events before a cut are in an archive, which the daemon does not read. The snapshot with which the
journal begins has the specs that each vassal had then, and their texts stayed in the journal.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple, Protocol

import msgspec

from ...journal.announcements import Announcement, NotFound
from ...journal.events import Spec
from ..core.fleet import Fleet, Vassal, from_json
from ..core.telling import awaits_ready, tells


class Known(Protocol):
    """The configs that the journal's events name, and the fleet with which it begins."""

    def by_number(self, vassal: str, seq: int) -> Announcement: ...

    def by_digest(self, vassal: str, digest: str) -> list[Announcement]: ...

    def last_good(
        self, vassal: str, wanted: str | None, target: str | None
    ) -> Announcement | None: ...

    def has(self, vassal: str, config: str | None) -> bool: ...

    def first_fleet(self) -> bytes | None: ...

    @property
    def begin(self) -> int: ...


class Config(NamedTuple):
    """A config that source ``monitor`` gave a vassal, by event ``seq``: None if archived."""

    seq: int | None
    monitor: str | None
    spec: Spec


class FormerConfigs:
    """Looks for configs of the vassals of one request. Blocks."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def by_number(self, name: str, seq: int) -> Config:
        """The config that came by this event. Raises NotFound."""
        if 0 < seq <= (begin := self._known.begin):
            raise NotFound(f"events up to {begin} are in an archive; --to takes a digest as well")
        return _config(self._known.by_number(name, seq))

    def by_digest(self, name: str, digest: str) -> Config:
        """The last one with a config whose digest begins so. Raises NotFound."""
        found = [_config(each) for each in self._known.by_digest(name, digest)]
        digests = {each.spec.config for each in found}
        for each, _ in self._first(name, None):
            if (each.spec.config or "").startswith(digest) and each.spec.config not in digests:
                found.append(each)
                digests.add(each.spec.config)
        if not found:
            raise NotFound(f"the journal has no config {digest} of it{self._archived}")
        if len(digests) > 1:
            raise NotFound(f"two of its configs begin with {digest}; write more of the digest")
        return found[0]

    def last_good(self, name: str, vassal: Vassal) -> Config:
        """The last good one before the target, which is neither that nor wanted.

        Raises NotFound.
        """
        target = (vassal.target or vassal.spec).config
        found = self._known.last_good(name, vassal.spec.config, target)
        if found is not None:
            return _config(found)
        before = list(self._first(name, vassal))
        if not self._known.has(name, target):  # it came before the cut
            digests = [each.spec.config for each, _ in before]
            before = before[digests.index(target) + 1 :] if target in digests else []
        for each, is_good in before:
            if is_good and each.spec.config not in (vassal.spec.config, target):
                return each
        raise NotFound(
            f"the journal has no config before with which it was accepting{self._archived}"
        )

    @property
    def _archived(self) -> str:
        begin = self._known.begin
        return f"; events up to {begin} are in an archive" if begin else ""

    def _first(self, name: str, now: Vassal | None) -> Iterator[tuple[Config, bool]]:
        """The configs that it had where the journal begins, the last one first.

        With each, whether it is known that the vassal ran well with it. ``now`` is its present
        state.
        """
        fleet = self._fleet
        vassal = None if fleet is None else fleet.vassals.get(name)
        if vassal is None or not vassal.wanted:
            return
        yield Config(None, vassal.monitor, vassal.spec), _is_good(vassal, now)
        if vassal.kept is not None:
            yield Config(None, vassal.monitor, vassal.kept), False
        good = vassal.good
        if good is not None and good.spec is not None:
            yield Config(None, vassal.monitor, good.spec), not good.untried

    @cached_property
    def _fleet(self) -> Fleet | None:
        first = self._known.first_fleet()
        if first is None:
            return None
        try:
            return from_json(first)
        except msgspec.DecodeError:
            return None  # of another version


def _config(found: Announcement) -> Config:
    return Config(found.seq, found.monitor, found.body.spec)


def _is_good(then: Vassal, now: Vassal | None) -> bool:
    """Whether a vassal ran well with the spec that was wanted then, before or after the cut."""
    if then.good is not None and then.good.spec is None:
        return True
    confirmed = then.phase == "accepting" or (
        then.phase == "ready" and not tells(then) and not awaits_ready(then)
    )
    if confirmed and then.running == then.spec and not then.is_open:
        return True
    good = None if now is None else now.good
    if good is None or good.untried or good.spec is None:
        return False
    return good.spec.config == then.spec.config
