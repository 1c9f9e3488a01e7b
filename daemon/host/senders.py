"""Whether the sender of a message is a process of an attempt's tree.

No file is read that the process could make hang: its environment is in its own memory, which may be
a file of FUSE. So its mark is not looked at. The cgroup, the session, the tag (see ``procfs.py``)
and the parents are the kernel's own. A process can imitate a tag. So in tyrant mode the sender must
have the vassal's uid. Otherwise all vassals are of one user, and none is safe from another.
"""

from . import procfs
from .cgroups import Cgroups
from .process import Process


def is_of(process: Process, pid: int, uid: int, cgroups: Cgroups) -> bool:
    """Whether process ``pid`` belongs to the attempt; ``uid`` is its user. Raises OSError."""
    if process.uid is not None and uid not in (0, process.uid):
        return False
    if pid == process.pid:
        return True
    if pid <= 0:
        return False
    if process.cgroup is not None and cgroups.holds(process.cgroup, pid):
        return True
    if procfs.session(pid) == process.pid or procfs.is_below(pid, {process.pid}):
        return True
    return bool(process.mark) and procfs.limit_tag_of(pid) == procfs.limit_tag(process.mark)
