"""The contract of monitors, and the observations that they tell.

A monitor watches one source and tells what it sees as *observations*. It draws no conclusions:
whether a sighting is news is decided by comparing it with the fleet, in one place for all
sources (``daemon/loop/observer.py``). So a monitor may repeat itself at any time; what is known
already costs nothing.

Rules that every monitor keeps, and the contract suite in the tests checks:

- ``run`` goes on until it is cancelled. A source that is away, hangs or answers nonsense is told as
  ``Failed``, and tried again with backoff. The caller of ``run`` restarts one that raises.
- ``tell`` returns when what was told is durable in the journal. Only then may a source be
  acknowledged. While the journal is paused ``tell`` waits: that is how a source is held back.
- Nothing blocks the event loop, and every wait can be cancelled.
- Secrets are neither in ``url`` nor in any text of an observation.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import msgspec

from ..journal.events import Spec


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One vassal as its source has it now.

    ``content`` is the config text. It is given when the monitor has read it anew since it last told
    of this vassal. ``spec.config`` is its digest either way.
    """

    spec: Spec
    content: bytes | None = None


class Listing(msgspec.Struct, frozen=True, weakref=True):
    """All that the source has. A vassal that it does not list is gone.

    ``refused`` are things that cannot be vassals: label for printing -> reason.
    """

    seen: Mapping[str, Seen]
    refused: Mapping[str, str] = {}


class Touched(msgspec.Struct, frozen=True, gc=False):
    """The source told of one vassal: it is new, or as it is now."""

    name: str
    seen: Seen


class Vanished(msgspec.Struct, frozen=True, gc=False):
    """The source is certain that it no longer has this vassal (a delete was seen)."""

    name: str
    reason: str = ""


class Destroyed(msgspec.Struct, frozen=True, gc=False):
    """The source told us to end this vassal (an empty body, ``destroy``)."""

    name: str
    reason: str = ""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """One thing that the source told cannot be a vassal. ``label`` is safe to print."""

    label: str
    reason: str


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The source cannot be read now. May be told at every try; it is journaled once."""

    reason: str


class Recovered(msgspec.Struct, frozen=True, gc=False):
    """The source can be read (again). A ``Listing`` says so by itself.

    A source that has no listing tells this when it is connected. A daemon that starts waits a
    moment for the first observation of each source.
    """


Observation = Listing | Touched | Vanished | Destroyed | Refused | Failed | Recovered


class Tell(Protocol):
    """How a monitor hands over what it saw, in order; returns when it is durable."""

    async def __call__(self, *observations: Observation) -> None: ...


class Monitor(Protocol):
    """One source of configuration."""

    @property
    def url(self) -> str:
        """The monitor's name: its URL without secrets. Journals and people know it by this."""
        ...

    @property
    def trusts_content(self) -> bool:
        """Whether another content with the same ts is a change or a mistake.

        It is a change of files, and where the source sets the ts itself. It is a mistake in rows,
        whose author sets the ts.
        """
        ...

    async def run(self, tell: Tell, known: Mapping[str, Spec]) -> None:
        """Watch the source until cancelled.

        ``known`` is what the fleet has of this source as the run begins. A source that is told
        of its vassals rather than asked for them knows from it what it was told before.
        """
        ...


@runtime_checkable
class Announcer(Protocol):
    """A monitor whose source announces vassals and lists none: to run it is to take its news."""

    async def reach(self) -> None:
        """Return when the source was reached; nothing is taken from it, and nothing is made there.

        Has a time limit. Raises ``polling.SourceFailed``.
        """
        ...
