"""Where things are when the operator does not say.

A systemd unit may give directories (``StateDirectory=``, ``LogsDirectory=`` and
``ConfigurationDirectory=``, see systemd.exec(5)). systemd makes them for the unit's user, who can
often write nowhere else, and names them in the environment.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import Final

SYSTEM: Final = "/var/lib/emperord/journal.db"
COPIES: Final = "configs"  # a folder in the runtime directory
_NAME: Final = "journal.db"
_CONFIG: Final = "emperor.yml"


def default_journal() -> str:
    """The journal of this machine for root, of the user's state directory for another user.

    ``EMPEROR_JOURNAL`` in the environment wins, then the unit's ``$STATE_DIRECTORY``. The user's
    state directory is the one of the XDG Base Directory specification: ``$XDG_STATE_HOME``, else
    ``~/.local/state``.
    """
    told = os.environ.get("EMPEROR_JOURNAL")
    if told:
        return told
    state = _of_unit("STATE")
    if state is not None:
        return os.path.join(state, _NAME)
    if os.geteuid() == 0:
        return SYSTEM
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the specification: relative ones are to be ignored
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "emperord", _NAME)


def default_logs(journal: str) -> str:
    """Where the logs of a journal's vassals are: its name with ``.logs`` behind it.

    That is in the unit's ``$LOGS_DIRECTORY``, else beside the journal.
    """
    beside, name = os.path.split(journal)
    return os.path.join(_of_unit("LOGS") or beside, f"{name}.logs")


def default_archives(journal: str) -> str:
    """Where a daemon puts a journal's archives: beside it, with ``.archives`` behind its name."""
    return f"{journal}.archives"


def default_copies(journal: str) -> str:
    """Where private copies of a journal's configs are: beside it, with ``.configs`` behind it."""
    return f"{journal}.configs"


def copies_of_users(journal: str) -> str:
    """Where those are that another user than the daemon's reads: in the runtime directory.

    The journal's own directory is often closed to others, and stays so.
    """
    path = os.fsencode(os.path.abspath(journal))
    name = base64.urlsafe_b64encode(hashlib.blake2b(path, digest_size=6).digest()).decode()
    return os.path.join(runtime_directory(), COPIES, name)


def default_config() -> str | None:
    """``emperor.yml`` in the unit's ``$CONFIGURATION_DIRECTORY``, if it is there."""
    directory = _of_unit("CONFIGURATION")
    path = None if directory is None else os.path.join(directory, _CONFIG)
    return path if path is not None and os.path.lexists(path) else None


def runtime_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where locks and the sockets of vassals' notifications are (see ``identity.py``)."""
    given = _of_unit("RUNTIME", environ)
    if given is not None:
        return given
    if os.geteuid() == 0:
        return "/run/emperord"
    session = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session):
        return os.path.join(session, "emperord")
    state = environ.get("XDG_STATE_HOME", "")
    home = state if os.path.isabs(state) else os.path.expanduser("~/.local/state")
    return os.path.join(home, "emperord", "run")


def _of_unit(which: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The first directory of that kind that the unit gives, None if it gives none."""
    first = environ.get(f"{which}_DIRECTORY", "").partition(":")[0]
    return first if os.path.isabs(first) else None
