"""Where a journal is when nobody says so."""

import os
from typing import Final

SYSTEM: Final = "/var/lib/emperord/journal.db"


def default_journal() -> str:
    """The journal of this machine for root, of this user's state directory for anybody else.

    ``EMPEROR_JOURNAL`` in the environment wins. The user's state directory is the one of the
    XDG Base Directory specification: ``$XDG_STATE_HOME``, else ``~/.local/state``.
    """
    told = os.environ.get("EMPEROR_JOURNAL")
    if told:
        return told
    if os.geteuid() == 0:
        return SYSTEM
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the specification: relative ones are to be ignored
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "emperord", "journal.db")
