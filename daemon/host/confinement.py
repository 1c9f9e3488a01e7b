"""Namespaces of its own, and fewer capabilities, for each vassal's process.

uWSGI's Emperor has ``emperor-use-clone`` and ``emperor-cap`` for that. Here unshare(1) and
setpriv(1) are executed, as root, in the vassal's process, so its pid stays. A PID namespace would
need another process, and a user namespace would change what root may.

The namespaces come first, so that hooks mount in them. The capabilities are taken last: the steps
before need some, and a vassal with a user of its own loses all of them anyway.
"""

import os
from typing import Final, NamedTuple

NAMESPACES: Final = {
    "fs": "mount", "ns": "mount", "mnt": "mount", "mount": "mount",
    "ipc": "ipc", "net": "net", "uts": "uts",
}  # fmt: skip
# <linux/capability.h>
CAPABILITIES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip
_SET: Final = "--capability-bounding-set"


class Confinement(NamedTuple):
    """The namespaces and the only capabilities of each vassal; None: those that the daemon has."""

    namespaces: tuple[str, ...] = ()
    capabilities: tuple[str, ...] | None = None

    def entering(self) -> list[str]:
        """The command that makes the namespaces, and executes what follows it."""
        if not self.namespaces:
            return []
        # A mount of the host shows up in the vassal's namespace, and none the other way.
        slave = ["--propagation", "slave"] if "mount" in self.namespaces else []
        return ["unshare", *(f"--{each}" for each in self.namespaces), *slave, "--"]

    def bounding(self) -> list[str]:
        """The command that takes the other capabilities, and executes what follows it."""
        if self.capabilities is None:
            return []
        kept = ",".join(["-all", *(f"+{each}" for each in self.capabilities)])
        return ["setpriv", f"--bounding-set={kept}", "--"]

    def flaw(self) -> str | None:
        """Why vassals cannot be confined, None if they can."""
        if os.geteuid() == 0 or self == NONE:
            return None
        option = "--namespaces" if self.namespaces else _SET
        return f"{option}: only root can confine vassals; start the daemon as root, or remove it"


NONE: Final = Confinement()
