"""Parts of a host of which a simulated one has nothing to tell."""

from emperord.daemon.core.fleet import Fleet


class Nothing:
    """Has no floods, no logs, no unjournaled processes and no cgroups."""

    def floods(self) -> dict[str, str]:
        """No vassal sends too much."""
        return {}

    def log_troubles(self) -> dict[str, str]:
        """There are no logs."""
        return {}

    def leave(self) -> None:
        pass

    def renamed_logs(self) -> dict[str, str]:
        return {}

    def tell_unasked(self, fleet: Fleet) -> None:
        """No sockets were passed."""

    def unjournaled(self) -> list[tuple[str, int]]:
        return []

    def strays(self) -> list[str]:
        return []

    def cgroup_troubles(self) -> dict[str, str]:
        return {}

    def cgroup_of(self, vassal: str) -> str | None:
        return None

    def log_of(self, vassal: str) -> str | None:
        return None

    def status_of(self, vassal: str) -> str | None:
        return None

    def last_lines(self, vassal: str) -> str:
        return ""
