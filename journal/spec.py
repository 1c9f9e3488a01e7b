"""The spec of a vassal: its source's description of it, as events and the fleet have it."""

import msgspec


class Spec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A vassal as its source describes it.

    ``ts`` is an integer that differs when the vassal changed. It is nanoseconds since the epoch
    where the source has times, and the source's counter where it has one (a znode's mzxid).
    ``config`` is the SHA-256 of the config text, ``None`` where it may not be read (or, in 0.1.0,
    has more than 1 MiB).
    """

    ts: int
    config: str | None = None
    path: str | None = None  # the file to run; None means that the config is inline
    cwd: str | None = None  # working directory; None means the daemon's own
    uid: int | None = None
    gid: int | None = None
    socket: str | None = None  # on-demand address
    settings: dict[str, str] = {}  # the config's [emperor] section, with --vassal-defaults
    attrs: dict[str, str] = {}  # more that the source knows, for people
    bar: str | None = None  # why this must not run, when the monitor can tell
    own_settings: dict[str, str] | None = None  # the section alone, where defaults change it
    copy: bool = False  # it runs from the journal's copy, as the file may have another text
