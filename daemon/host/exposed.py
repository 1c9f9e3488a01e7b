"""Tyrant mode: whether another user could have uWSGI read another config, just before a start.

Its monitor judged the config when it read it. uWSGI reads the file again, by its path. That may be
much later, because a message names a file once, and a vassal that dies is started anew. So the path
is judged again before each start. No user can change it afterwards, because the directories are
judged, too (``monitors/path_owners.py``).
"""

import os

from ...journal.events import Spec
from ...journal.policy import Policy
from ...monitors import working_directory
from ...monitors.names import shown
from ...monitors.os_errors import error_text
from ...monitors.ownership import exposure
from ...monitors.private_groups import NotKnown
from . import option_files
from .user_threads import NoAnswer, UserThreads


def _config_path(spec: Spec | None, policy: Policy) -> tuple[str, int] | None:
    """The file that uWSGI will read for a tenant, and the tenant's uid; None if there is none.

    A vassal with a ``command`` needs no file: its settings were read when its config was judged.
    """
    if not policy.tyrant or spec is None or spec.path is None or spec.uid is None:
        return None
    if "command" in spec.settings:
        return None
    return os.path.join(working_directory.current(), spec.cwd or "", spec.path), spec.uid


def _flaw(path: str, uid: int) -> str | None:
    """Why uWSGI is not to read this path now as this user, None if it may. Blocks."""
    try:
        return exposure(path, uid)
    except NotKnown as error:
        return f"{shown(path)}: {error}"
    except OSError as error:
        return f"its config cannot be looked at: {shown(path)}: {error_text(error)}"


def exposed_now(spec: Spec, policy: Policy) -> str | None:
    """As ``exposed``, for a thread. Blocks."""
    place = _config_path(spec, policy)
    reason = None if place is None else _flaw(*place)
    if reason is None and "command" not in spec.settings:
        reason = option_files.flaw(policy, spec)
    return reason


async def exposed(threads: UserThreads, spec: Spec | None, policy: Policy) -> str | None:
    """Why a vassal of this spec is not to be started now, None if it may be."""
    if spec is None or "command" in spec.settings:
        return None
    uid = spec.uid if policy.tyrant else None if policy.user is None else policy.user[0]
    if uid is None or (_config_path(spec, policy) is None and not option_files.named(policy)):
        return None
    try:
        return await threads.run(uid, exposed_now, spec, policy)
    except NoAnswer as error:
        return f"what it runs cannot be looked at: {shown(spec.path or 'its files')}: {error}"
