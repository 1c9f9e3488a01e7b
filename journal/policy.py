"""The policy: the options that decide what the fold orders.

It is journaled when the daemon starts and whenever it changes, so that a replay decides by the
policy of that day. Options that only say where things are (journal, log directory, control
socket) are not policy.
"""

import msgspec


class Policy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Every deciding option, under its command-line name. Units as on the command line."""

    # Timing
    freq: float = 3.0  # seconds between polls and safety-net rescans
    throttle: int = 1000  # milliseconds before the second try after an unloyal death
    max_throttle: int = 180_000  # milliseconds; ceiling of the doubling
    forgive: float = 0.0  # seconds of quiet running after which deaths are forgotten; 0: never
    required_heartbeat: float = 30.0  # seconds without a heartbeat, after the first one
    mercy: float = 30.0  # seconds from the stop to the kill
    record_budget: int = 0  # bytes that one account may have recorded at once; 0: no limit
    max_starting: int = 4  # vassals spawned or reloaded and not yet accepting, at once
    # If it is more than max_starting: so many at once where the machine's pressure allows it.
    max_starting_ceiling: int = 0
    # A vassal that never says it accepts (cheap mode, a hung import) must not hold a slot for ever.
    # Otherwise max_starting of them would end all deploys.
    start_patience: float = 30.0  # seconds a starting or reloading vassal may hold its slot

    # Failures in a row after a change, after which the last good config is back. 0: never.
    rollback: int = 0
    # Rollouts: how many vassals of a source change at once, a number or per cent; "": all
    rollout: str = ""
    rollout_of: tuple[tuple[str, str], ...] = ()  # sizes of single sources, by URL
    rollout_failures: int = 1  # after so many the rest of a rollout is held back

    # The users of vassals, and the treatment of symlinks
    tyrant: bool = False
    tyrant_nofollow: bool = False
    tyrant_initgroups: bool = False
    nofollow: bool = False
    user: tuple[int, int] | None = None  # uid and gid of all vassals; None: the daemon's own

    allow_link_local: bool = False  # configs are fetched from there, too

    allow_ports: tuple[tuple[int, int], ...] = ()  # below 1024, that tenants may listen at

    # Vassals on demand
    on_demand_mode: int = 0o666  # of socket files
    on_demand_owner: tuple[int, int] | None = None  # uid and gid of socket files
    on_demand_extension: str | None = None  # of the file beside a config that has its address
    on_demand_directory: str | None = None  # where the sockets of files are
    on_demand_exec: str | None = None  # says the address of a file
    on_demand_backlog: int = 1024  # connections that may wait; the kernel's somaxconn caps it

    # How a vassal is run
    uwsgi: str | None = None
    wrapper: str | None = None
    graceful_shutdown: bool = False
    extra_extension: tuple[str, ...] = ()
    vassal_set: tuple[str, ...] = ()
    vassals_inherit: tuple[str, ...] = ()
    vassals_include: tuple[str, ...] = ()
    vassals_inherit_before: tuple[str, ...] = ()
    vassals_include_before: tuple[str, ...] = ()

    def rollout_size(self, source: str) -> str:
        """How many vassals of a source may change at once, as it was given; empty: all."""
        if not self.rollout_of:  # asked of each change
            return self.rollout
        return dict(self.rollout_of).get(source, self.rollout)
