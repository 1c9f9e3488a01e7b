"""An observer over a fleet that follows its events."""

from collections.abc import Callable, Iterable
from typing import Any

from emperord.daemon.core.draft import Draft
from emperord.daemon.core.fleet import Fleet
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.deferred import Source
from emperord.daemon.loop.observer import Observer
from emperord.journal.chain import digest
from emperord.journal.events import DaemonStarted, Empty, Event, Spec
from emperord.journal.policy import Policy
from emperord.monitors.contract import (
    Listing,
    Observation,
    Seen,
)
from hypothesis import strategies as st

DIR, OTHER = "dir:///v", "dir:///w"


class World:
    """An observer and the fleet that follows from what it said."""

    def __init__(self, *urls: str, trusts_content: bool = True) -> None:
        self.fleet = Fleet()
        self.observer = Observer()
        self.trusts_content = trusts_content
        self.contents: dict[str, bytes] = {}
        self.configure(*urls or (DIR, OTHER))

    def configure(self, *urls: str) -> None:
        body = DaemonStarted(
            version="0", boot="b", pid=1, policy=Policy(), monitors=urls, rules=RULES
        )
        self.fold([Draft("daemon_started", body), Draft("daemon_ready", Empty())])

    def fold(self, drafts: Iterable[Draft]) -> None:
        for d in drafts:
            seq = self.fleet.seq + 1
            fold(self.fleet, Event(seq, seq, d.kind, d.monitor, d.vassal, d.cause, d.body))

    def see(self, *observations: Observation, url: str = DIR) -> list[str]:
        """Translate and fold; each event as ``kind name`` or ``kind``."""
        said = []
        for observation in observations:
            source = Source(url, self.trusts_content)
            meaning = self.observer.translate(self.fleet, source, observation)
            drafts = [draft for draft in meaning if draft is not None]
            self.contents |= self.observer.take_contents()
            self.fold(drafts)
            said += [f"{d.kind} {d.vassal}" if d.vassal else d.kind for d in drafts]
            self.last: list[Any] = [d.body for d in drafts]
        return said

    def see_in_parts(
        self, observation: Observation, url: str, between: Callable[[], object]
    ) -> list[list[str]]:
        """Translate and fold as the shell does; others act ``between`` the parts."""
        parts: list[list[str]] = [[]]
        source = Source(url, self.trusts_content)
        for draft in self.observer.translate(self.fleet, source, observation):
            if draft is None:
                between()
                parts.append([])
            else:
                self.fold([draft])
                parts[-1].append(f"{draft.kind} {draft.vassal}")
        return parts

    def names(self, url: str = DIR) -> set[str]:
        return {v.name for v in self.fleet.vassals.values() if v.monitor == url and v.wanted}


def seen(text: bytes = b"[uwsgi]\n", ts: int = 1, **more: Any) -> Seen:
    """As a file monitor has it, its content read just now."""
    return Seen(Spec(ts=ts, config=digest(text), **{"path": "/v/a.ini", **more}), text)


def listing(*names: str, **refused: str) -> Listing:
    return Listing({name: seen() for name in names}, refused)


def some(count: int) -> list[str]:
    return [f"v{number:02}.ini" for number in range(count)]


# All together

ANY_SPEC = st.builds(
    lambda text, ts, uid, cwd: Seen(Spec(ts=ts, config=digest(text), uid=uid, cwd=cwd), text),
    st.sampled_from([b"one", b"two"]),
    st.integers(0, 2),
    st.sampled_from([None, 1]),
    st.sampled_from([None, "/v"]),
)
ANY_LISTING = st.dictionaries(st.sampled_from(some(12)), ANY_SPEC)
