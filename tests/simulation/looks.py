"""The looks of the simulated host at programs: whether they are ready, and whether well."""

from typing import Final

import trio
from emperord.daemon.core.draft import Draft
from emperord.daemon.core.inputs import HostEvent, VassalByte
from emperord.daemon.host import emperor_protocol
from emperord.journal.service_events import HealthLost, HealthRegained

from .kernel import Key, Process
from .mailbox import Mailbox

TICK: Final = 0.1  # seconds between looks
FAILURES: Final = 3  # looks in a row at a sick one, until that is told


class Looks(Mailbox):
    """Looks at each process that was started or adopted, until it is told to end."""

    _held: dict[Key, Process]
    _sick: set[Key]  # vassals of which that was told

    async def _look_at(self, process: Process) -> None:
        told = False
        failures = 0
        while True:
            await trio.sleep(TICK)
            if not process.alive or process.asked or self._held.get(process.key) is not process:
                return
            if process.accepting and not told:
                told = True
                sent = self._reloads.get(process.identity, 0)
                self._say(
                    VassalByte(process.name, process.attempt, emperor_protocol.ACCEPTING, sent)
                )
            elif told:
                failures = failures + 1 if process.sick else 0
                self._tell_health(process, failures)

    def _tell_health(self, process: Process, failures: int) -> None:
        name, attempt = process.name, process.attempt
        if not failures and process.key in self._sick:
            self._sick.discard(process.key)
            well = HealthRegained(attempt=attempt)
            self._say(HostEvent(Draft("health_regained", well, None, name)))
        elif failures >= FAILURES and process.key not in self._sick:
            self._sick.add(process.key)
            sick = HealthLost(attempt=attempt, failures=failures)
            self._say(HostEvent(Draft("health_lost", sick, None, name)))
