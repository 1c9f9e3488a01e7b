"""Short names of sources in tables, and sources as an operator names them.

The newest daemon's sources come first, so a name is the one that ``emperor-ctl list`` shows. A name
that is made of the URL of a former source may get a number behind it.
"""

from weakref import WeakKeyDictionary

import msgspec

from ..daemon.cli.nearest import other_source
from ..daemon.core.fleet import Fleet
from ..journal.errors import JournalError
from ..journal.events import DaemonStarted
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..monitors.names import shown
from ..monitors.short_names import short_names
from .beginnings import or_in_archive
from .rebuild import NotFound, base


class Sources:
    """The names of sources. One that is not known yet gets its name when it is asked for."""

    def __init__(self, monitors: tuple[str, ...], given: dict[str, str]) -> None:
        self._given = given
        self._names = short_names(monitors, given)

    @classmethod
    def of_fleet(cls, fleet: Fleet) -> "Sources":
        """The names at the moment of a fleet."""
        return cls(fleet.monitors, fleet.names)

    @classmethod
    def of(cls, reader: Reader) -> "Sources":
        """The names that the newest daemon of a journal has; made ones where it is damaged.

        They are read once for a reader.
        """
        if reader not in _known:
            _known[reader] = cls._read(reader)
        return _known[reader]

    @classmethod
    def _read(cls, reader: Reader) -> "Sources":
        try:
            fleet, _ = base(reader, reader.head.seq)
            monitors, names = fleet.monitors, fleet.names
            for event in reader.events(Filter(kinds=("daemon_started",)), after=fleet.seq):
                if isinstance(event.body, DaemonStarted):
                    monitors, names = event.body.monitors, event.body.names
        except (JournalError, msgspec.DecodeError):
            monitors, names = (), {}
        return cls(monitors, names)

    def name(self, url: str | None) -> str:
        """The short name of a source; ``-`` for None."""
        if url is None:
            return "-"
        if url not in self._names:
            self._names = short_names((*self._names, url), self._given)
        return self._names[url]

    def names(self) -> list[str]:
        """The names of the sources that are known by now."""
        return list(self._names.values())

    def url(self, reader: Reader, told: str) -> str:
        """The URL of a source that is told by its URL or its name. Raises NotFound."""
        for url, name in self._names.items():
            if told in (url, name):
                return url
        known = reader.monitors()  # this reads all events
        if told in known:
            return told
        names = {self.name(url): url for url in known}
        if told in names:
            return names[told]
        others = other_source(told, {url: self.name(url) for url in known})
        text = f"no monitor {shown(told)} was ever known here; {others}"
        raise NotFound(or_in_archive(reader, text))


_known: WeakKeyDictionary[Reader, Sources] = WeakKeyDictionary()
