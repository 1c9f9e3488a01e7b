"""What the command line tells all monitors."""

import msgspec


class MonitorOptions(msgspec.Struct, frozen=True):
    """How monitors look at their sources.

    ``freq`` is the period of polls and rescans in seconds. ``extra_extension`` are further
    endings of configs, dot included. ``nofollow``: a symlink is judged by itself, edits of its
    target do not count. ``tyrant``: a vassal's uid and gid are its file's owner;
    ``tyrant_nofollow``: the owner of the symlink itself.
    """

    freq: float = 3.0
    extra_extension: tuple[str, ...] = ()
    nofollow: bool = False
    tyrant: bool = False
    tyrant_nofollow: bool = False
