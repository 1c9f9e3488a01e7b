"""Answers about processes, logs and cgroups, as the daemon's commands tell them."""

from .cgroups import Cgroups
from .notifications import Notifications
from .process_table import ProcessTable
from .vassal_log import LogDirectory


class Reports:
    """The part of the host that only looks at its other parts."""

    _processes: ProcessTable
    _logs: LogDirectory | None
    _cgroups: Cgroups
    _notifications: Notifications

    def last_lines(self, vassal: str) -> str:
        """The end of a vassal's log: of its process, or of its last one if it has none."""
        if self._logs is None:
            return ""
        process = self._processes.get(vassal)
        return self._logs.last_lines(vassal, 0 if process is None else process.log_start)

    def log_of(self, vassal: str) -> str | None:
        """The path of a vassal's log, None where it writes to the daemon's own output."""
        return None if self._logs is None else self._logs.absolute(vassal)

    def cgroup_troubles(self) -> dict[str, str]:
        """Troubles with cgroups: a heading, and the reason."""
        found = {"no cgroup": self._cgroups.trouble, "no limits": self._cgroups.no_limits}
        return {what: reason for what, reason in found.items() if reason is not None}

    def cgroup_of(self, vassal: str) -> str | None:
        """The directory of its attempt's cgroup."""
        process = self._processes.get(vassal)
        return None if process is None else process.cgroup

    def status_of(self, vassal: str) -> str | None:
        """The last status that a program has notified, None without."""
        process = self._processes.get(vassal)
        return None if process is None or process.notify is None else process.notify.status or None

    def log_troubles(self) -> dict[str, str]:
        """Troubles with the directory of logs: a heading, and the reason."""
        if self._logs is None:
            return {}
        shared = {"logs shared": self._logs.sharing} if self._logs.others else {}
        return shared | ({"logs full": self._logs.room.text} if self._logs.room.full else {})

    def floods(self) -> dict[str, str]:
        """Vassals that send more than the daemon reads, and a text about each."""
        told = {
            process.name: process.read_limit.warning() or self._notifications.flood(process)
            for process in self._processes
        }
        return {name: text for name, text in told.items() if text is not None}

    def renamed_logs(self) -> dict[str, str]:
        """Vassals that do not write to their log's path, and where they write."""
        return {
            process.name: process.log_renamed
            for process in self._processes
            if process.log_renamed is not None
        }
