"""Options of the command line that concern all monitors."""

from collections.abc import Callable, Mapping

import msgspec

from ..journal.events import Spec
from ..journal.locked_files import NO_JOURNAL, LockedFiles
from .tenant import Tenant

Environment = Callable[[str, Spec, Tenant], Mapping[str, str]]
"""What a program of the vassal of this name and spec has in its environment, as the tenant."""


class MonitorOptions(msgspec.Struct, frozen=True):
    """How monitors look at their sources.

    ``freq`` is the period of polls and rescans in seconds. ``extra_extension`` are further endings
    of configs, dot included. ``nofollow``: a symlink is judged by itself, edits of its target do
    not count. ``tyrant``: a vassal's uid and gid are its file's owner. ``tyrant_nofollow``: the
    owner of the symlink itself. ``tyrant_initgroups``: a vassal has the groups of its user's
    account. A file's vassal listens on demand at an address from one of three places. The first is
    the file beside it with ``on_demand_extension`` added. The second is a socket in
    ``on_demand_directory``, an absolute path. The third is the output of ``on_demand_exec``, which
    in tyrant mode has this ``environment``. ``templates``: each vassal includes other configs, so
    its own may be empty. ``allow_link_local``: configs may be fetched from link-local and metadata
    addresses. ``locked``: files that are never read, whatever name leads to them.
    """

    freq: float = 3.0
    extra_extension: tuple[str, ...] = ()
    nofollow: bool = False
    tyrant: bool = False
    tyrant_nofollow: bool = False
    tyrant_initgroups: bool = False
    on_demand_extension: str | None = None
    on_demand_directory: str | None = None
    on_demand_exec: str | None = None
    environment: Environment | None = None
    templates: bool = False
    allow_link_local: bool = False
    locked: LockedFiles = NO_JOURNAL
