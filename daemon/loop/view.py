"""The running daemon as operators see it: at the control socket, in systemd's status, in the log.

Everything told of the fleet is what is recorded, also while newer events wait for the journal.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial

import trio

from ..control.archives import Archives
from ..control.attention import Recent
from ..control.first_look import FirstLook
from ..control.waiting import Waiting
from ..core.actions import Action
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..core.running import waiting_text
from ..core.troubles import Cheap
from ..keeper import stdio
from . import beside, daemon_log, jumps, ports
from .clock import Clock
from .observer import Observer
from .recorder import Recorder
from .rejections import Rejection
from .turn import Requests

log = logging.getLogger("emperor")


class View:
    """Answers questions about the daemon; it changes nothing but by ``record``."""

    def __init__(
        self,
        fleet: Fleet,
        recorder: Recorder,
        requests: Requests,
        observer: Observer,
        clock: Clock,
        jumped: jumps.JumpWatch,
        host: ports.Host,
        keeper: ports.Keeper,
        witness: ports.Witness,
    ) -> None:
        self.fleet = fleet  # as it is recorded
        # Until it is recorded what became of a former daemon's vassals.
        self.recovers = bool(fleet.vassals)
        self.can_answer = trio.Event()  # that is recorded, or known to be delayed
        self.recent = Recent()
        self.waiting = Waiting(self)
        self.first_look = FirstLook()
        self.had_keeper = keeper.alive or keeper.died
        self._recorder = recorder
        self._requests = requests
        self._observer = observer
        self._clock = clock
        self._jumps = jumped
        self._host = host
        self._keeper = keeper
        self.witness = witness
        self.is_cheap = Cheap(recorder.content)
        self.archives: Archives | None = None
        # By name: since when a service beside the fleet does not work, and why.
        self.services: Callable[[], Mapping[str, tuple[int | None, str]]] = dict
        self._failed: beside.Troubles = {}

    def look(self, vassal: str | None, actions: Iterable[Action] = ()) -> None:
        """Have clients that wait look again: something about this vassal, or the daemon, is new."""
        self.waiting.look(vassal, actions)
        if vassal is None:
            self.first_look.changed()

    @property
    def paused(self) -> str | None:
        """Why nothing can be recorded; None while it can."""
        return self._recorder.paused

    @property
    def unrecorded(self) -> int:
        """Events that wait while paused."""
        return self._recorder.unrecorded

    @property
    def journal_troubles(self) -> Mapping[str, str]:
        """Troubles of the journal's files, by kind."""
        return self._recorder.troubles

    @property
    def journal_path(self) -> str:
        return self._recorder.path

    @property
    def keeper_lives(self) -> bool:
        return self._keeper.alive

    def keeper_takes(self) -> bool:
        """Whether the keeper takes all that there is to say to it. Blocks for 5 s at most."""
        return self._keeper.deliver()

    @property
    def doubted(self) -> Mapping[str, set[str]]:
        """By source, the vassals that its last listing lacks, where the next one must agree."""
        return self._observer.doubted

    @property
    def deferred(self) -> Mapping[str, int]:
        """How many changes wait for room in the budget of their account, by account."""
        return self._observer.deferred.counts()

    @property
    def uncounted(self) -> Mapping[str, int]:
        """By source, how many rejections are not recorded."""
        return self._observer.uncounted

    def rejected(self) -> Mapping[str, Rejection]:
        """The vassals whose source has something now that is rejected, by name."""
        return self._observer.present.of_vassals(self.fleet)

    @property
    def altered(self) -> Set[str]:
        """Vassals whose config text in the journal is not what was recorded."""
        return self._observer.altered

    def now(self) -> int:
        """The time by which events are stamped."""
        return self._clock.now()

    def clock_trouble(self) -> tuple[int, str] | None:
        """Since when times are not by the wall clock, and why."""
        return self._jumps.trouble()

    def renamed_logs(self) -> dict[str, str]:
        """Vassals whose log was renamed while they run, and what they write to."""
        return self._host.renamed_logs()

    def reopen_logs(self, asked_by: str) -> None:
        """Go on in new files where logs were renamed, and log the fleet, as for SIGUSR1."""
        daemon_log.reopen()
        self._keeper.hear()  # a keeper that a signal has not told opens the file of --log-file anew
        log.info("%s: the fleet as it is", asked_by)
        self.log_fleet()

    def log_troubles(self) -> dict[str, str]:
        """Troubles with the places of logs: the kind of attention, and the reason."""
        own = stdio.not_by_name()
        return self._host.log_troubles() | ({} if own is None else {"own log": own})

    def floods(self) -> dict[str, str]:
        """Vassals that send more than the daemon reads, and the text about each."""
        return self._host.floods()

    def unjournaled(self) -> list[tuple[str, int]]:
        """Processes that the journal does not know and no source names: vassal and pid."""
        return self._host.unjournaled()

    def strays(self) -> list[str]:
        """Processes that may be left of vassals and cannot be attributed, each in words."""
        return self._host.strays()

    def witness_trouble(self) -> tuple[int | None, str] | None:
        """Since when the witness does not take the journal's head, and why."""
        if self.witness.trouble is None:
            return None
        return self.witness.since, self.witness.trouble

    def archive_trouble(self) -> tuple[int | None, str] | None:
        """Since when --keep cannot move older events to archives, and why."""
        if self.archives is None or self.archives.trouble is None:
            return None
        return self.archives.since, self.archives.trouble

    async def run_beside(self) -> None:
        """Write the journal's head and its archives elsewhere, until cancelled."""
        runs = {"--witness": self.witness.run}
        if self.archives is not None:
            runs["--keep"] = partial(self.archives.run, self)
        async with trio.open_nursery() as nursery:
            for name, task in runs.items():
                nursery.start_soon(beside.run, name, task, self._failed, self.now)

    def service_troubles(self) -> Mapping[str, tuple[int | None, str]]:
        """By name, since when something beside the fleet does not work, and why."""
        return {**self.services(), **self._failed}

    def cgroup_troubles(self) -> dict[str, str]:
        """Troubles with cgroups: the kind of attention, and the reason."""
        return self._host.cgroup_troubles()

    def cgroup_of(self, vassal: str) -> str | None:
        """The directory of a vassal's cgroup, None where it has none."""
        return self._host.cgroup_of(vassal)

    def log_of(self, vassal: str) -> str | None:
        """The file that a vassal writes its output to, None with ``--log inherit``."""
        return self._host.log_of(vassal)

    def status_of(self, vassal: str) -> str | None:
        """The last status that a program has notified, None without."""
        return self._host.status_of(vassal)

    def last_lines(self, vassal: str) -> str:
        """The end of a vassal's log; may block."""
        return self._host.last_lines(vassal)

    def heartbeat_age(self, vassal: str) -> float | None:
        """Seconds since a vassal's last heartbeat, None where it has sent none."""
        known = self.fleet.vassals.get(vassal)
        return (
            self._host.silent_for(vassal, known.attempt)
            if known is not None and known.heartbeat
            else None
        )

    async def record(self, *drafts: Draft) -> None:
        """Take a request in; returns when it is durable. Raises Refused if it cannot be."""
        await self._requests.record(*drafts)

    def status(self) -> str:
        """One line for people and systemd."""
        if self.paused is not None:
            return f"paused: {self.paused}"
        counts = Counter(vassal.phase for vassal in self.fleet.vassals.values())
        phases = ", ".join(f"{count} {phase}" for phase, count in sorted(counts.items()))
        waiting = waiting_text(self.fleet.vassals.values())
        phases += f"; {waiting}" if waiting else ""
        lost = "; the keeper died" if self.had_keeper and not self._keeper.alive else ""
        return f"{len(self.fleet.vassals)} vassals" + (f": {phases}" if phases else "") + lost

    def log_fleet(self) -> None:
        """The fleet, a line a vassal."""
        log.info("%s", self.status())
        for name, vassal in sorted(self.fleet.vassals.items()):
            pid = "" if vassal.pid is None else f", pid {vassal.pid}"
            reason = f" ({vassal.reason})" if vassal.reason else ""
            log.info("%s: %s%s%s", name, vassal.phase, pid, reason)
        for url, outage in self.fleet.outages.items():
            log.info("%s: away (%s)", url, outage.reason)
