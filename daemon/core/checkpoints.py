"""Checkpoints: a digest of the fleet in the record, so that a replay compares states as well.

Actions alone do not show everything that the fold concluded. A fold that remembers another deadline
orders the same, until that deadline passes. So each ``CHECKPOINT_EVERY`` events, at its start and
before a clean stop, the daemon records the event ``checkpoint``. It holds the digest of the fleet
as it was before that event. A large fleet has one each four events a vassal, as many as a start of
all has. Each checkpoint hashes all vassals that have changed.

    digest = H(fleet facts) + sum of H(vassal facts) over all vassals, modulo 2**256

H is SHA-256 over JSON. A sum can be kept up to date: a vassal that changed has its old number
subtracted and its new one added. So a checkpoint hashes only those vassals that the events since
the last one may have changed, and the fleet's own facts. Those hold the lines of waiting vassals
and the accounts of the budget, at less than a microsecond an entry.

A sum of hashes is no protection against an attacker, who can choose what is added. The chain of
hashes protects the event in which the digest stands.

The facts are listed, field by field, in a *projection*, which has a version. Version and digest are
in the event. A replay compares by the projection that is named there, and skips one that it does
not know. A field that is not in the list is not compared: a new field of the fleet needs a new
version. ``tests/fold/test_rules.py`` finds fields that are neither listed nor left out.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from ...journal.events import Checkpoint, Event, Spec
from ...journal.policy import Policy
from .actions import Action
from .fleet import Fleet, Vassal
from .touched import Touched

CHECKPOINT_EVERY: Final = 1_000  # events
_PER_VASSAL: Final = 4  # events, where that is more

_MODULUS: Final = 1 << 256
_encode: Final = msgspec.json.Encoder().encode  # keeps the order of keys: that of a line is a fact


class Projection(NamedTuple):
    """The facts that a digest covers, by the names of fields."""

    vassal: tuple[str, ...]
    spec: tuple[str, ...]
    fleet: tuple[str, ...]
    policy: tuple[str, ...]


# fmt: off
_FIRST: Final = Projection(
    vassal=(
        "name", "monitor", "phase", "since", "because", "wanted", "held", "deaths", "launched",
        "earliest", "exiled", "done", "failed", "deadline", "reason", "attempt", "order", "pid",
        "start_time", "mark", "control", "speaks", "loyal", "heartbeat", "due", "slot",
        "own_user", "user", "loaded", "reload_at", "slot_of", "waits_as", "deaf", "restarts",
        "died", "hold", "killed", "last",
    ),
    spec=(
        "ts", "config", "path", "cwd", "uid", "gid", "socket", "settings", "attrs", "bar",
    ),
    fleet=(
        "boot", "booted", "rules", "version", "unkept", "monitors", "names", "open", "leaving",
        "outages", "users", "held",
        "queue", "express", "retries", "reloaded_last", "starting", "pressure", "blocked",
        "spent",
    ),
    policy=(
        "freq", "throttle", "max_throttle", "forgive", "required_heartbeat", "mercy",
        "record_budget", "max_starting", "max_starting_ceiling", "start_patience", "tyrant",
        "tyrant_nofollow", "tyrant_initgroups", "nofollow", "user", "allow_link_local",
        "on_demand_mode", "on_demand_owner", "on_demand_extension", "on_demand_directory",
        "on_demand_exec", "on_demand_backlog", "uwsgi", "wrapper", "graceful_shutdown",
        "extra_extension", "vassal_set", "vassals_inherit", "vassals_include",
        "vassals_inherit_before", "vassals_include_before",
    ),
)
# fmt: on


def _adding(
    before: Projection,
    vassal: tuple[str, ...] = (),
    spec: tuple[str, ...] = (),
    policy: tuple[str, ...] = (),
    fleet: tuple[str, ...] = (),
) -> Projection:
    """The projection after one, which has more fields."""
    return before._replace(
        vassal=before.vassal + vassal,
        spec=before.spec + spec,
        policy=before.policy + policy,
        fleet=before.fleet + fleet,
    )


_ANEW: Final = _adding(_FIRST, vassal=("anew",))
_OWN_SETTINGS: Final = _adding(_ANEW, spec=("own_settings",))
_LATE: Final = _adding(_OWN_SETTINGS, vassal=("late",))
_TARGET: Final = _adding(_LATE, vassal=("check", "refused", "kept", "bound"), spec=("copy",))
_SOCKETS: Final = _adding(
    _TARGET, vassal=("sockets", "opening", "unopened"), policy=("allow_ports",)
)
_SICK: Final = _adding(_SOCKETS, vassal=("sick",))
_GOOD: Final = _adding(_SICK, vassal=("good",), policy=("rollback",))
_ROLLOUT: Final = _adding(
    _GOOD,
    vassal=("waits_in",),
    policy=("rollout", "rollout_of", "rollout_failures"),
    fleet=("rollouts", "rolled", "turned"),
)
_CANDIDATE: Final = _adding(_ROLLOUT, vassal=("tied", "candidate"))
_LISTENS: Final = _adding(_CANDIDATE, vassal=("listens",))
_ALL: Final = (
    _FIRST, _ANEW, _OWN_SETTINGS, _LATE, _TARGET, _SOCKETS, _SICK, _GOOD, _ROLLOUT, _CANDIDATE,
    _LISTENS,
)  # fmt: skip
PROJECTIONS: Final[dict[int, Projection]] = dict(enumerate(_ALL, 1))
# Fields that no projection lists, because they stand in the projection as a part of their own, or
# because each event has them.
PARTS: Final = frozenset(("spec", "running", "seq", "at", "vassals", "policy"))
NEWEST: Final = max(PROJECTIONS)


def vassal_facts(version: int) -> Callable[[Vassal], Any]:
    """The function that lists the facts of a vassal, by this version of the projection."""
    of_vassal: Callable[[Vassal], Any] = attrgetter(*PROJECTIONS[version].vassal)
    of_spec: Callable[[Spec], Any] = attrgetter(*PROJECTIONS[version].spec)

    def facts(vassal: Vassal) -> Any:
        running = vassal.running
        spec = of_spec(vassal.spec)
        if running is vassal.spec:
            return of_vassal(vassal), spec, spec
        return of_vassal(vassal), spec, None if running is None else of_spec(running)

    return facts


def fleet_facts(version: int) -> Callable[[Fleet], Any]:
    """The function that lists the fleet's own facts, by this version of the projection."""
    of_fleet: Callable[[Fleet], Any] = attrgetter(*PROJECTIONS[version].fleet)
    of_policy: Callable[[Policy], Any] = attrgetter(*PROJECTIONS[version].policy)
    return lambda fleet: (of_fleet(fleet), of_policy(fleet.policy))


def _number(facts: Any) -> int:
    return int.from_bytes(sha256(_encode(facts)).digest())


class States:
    """Follows a fleet and keeps the sum of its vassals' hashes. Call ``note`` after each fold.

    A replay asks for no ``since``, and can call ``touched.note`` instead.
    """

    def __init__(self, version: int = NEWEST) -> None:
        self.version = version
        self.since = 0  # the event of the last checkpoint
        self._vassal_facts = vassal_facts(version)
        self._fleet_facts = fleet_facts(version)
        self._numbers: dict[str, int] = {}  # by vassal, as they are in the sum
        self._sum = 0
        self.touched = Touched(all_of_them=True)  # may be others than in the sum

    def forget(self) -> None:
        """Take the fleet as a new one: it was replaced, and the next checkpoint is due earlier."""
        self.touched.all = True
        self.since = 0

    def note(self, fleet: Fleet, event: Event, actions: Iterable[Action]) -> None:
        """An event was folded, and ordered these actions."""
        self.touched.note(fleet, event, actions)
        if event.kind == "checkpoint":
            self.since = event.seq

    def digest(self, fleet: Fleet) -> str:
        """The digest of the fleet as it is, hex."""
        changed = self.touched.among(fleet)
        if self.touched.all:
            changed.update(self._numbers)
        total = self._sum
        for name in changed:
            vassal = fleet.vassals.get(name)
            total -= self._numbers.pop(name, 0)
            if vassal is not None:
                total += self._numbers.setdefault(name, _number(self._vassal_facts(vassal)))
        self.touched.clear()
        self._sum = total % _MODULUS
        whole = (self._sum + _number(self._fleet_facts(fleet))) % _MODULUS
        return f"{whole:064x}"

    def is_due(self, fleet: Fleet) -> bool:
        """Whether so many events came since the last checkpoint that another one is due."""
        came = fleet.seq - self.since
        return came >= CHECKPOINT_EVERY and came >= _PER_VASSAL * len(fleet.vassals)

    def checkpoint(self, fleet: Fleet) -> Checkpoint:
        """The body of a checkpoint of the fleet as it is."""
        return Checkpoint(v=self.version, digest=self.digest(fleet))


def digest_of(fleet: Fleet, version: int = NEWEST) -> str:
    """The digest of a fleet, from all of its vassals."""
    return States(version).digest(fleet)
