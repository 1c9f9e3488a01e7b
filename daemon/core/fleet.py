"""The fleet: the folded state, all that the daemon knows of its vassals.

Three facts about a vassal are kept apart. It is *wanted* if its source lists it and no operator
holds it. It is *up* if an attempt has a process, and *ready* if that process has said so. ``phase``
says what is being done about the difference.

The fleet is plain data: a snapshot of it is its JSON, and two fleets are the same when their
JSON is. Only the fold changes it.
"""

from typing import Final, Literal

import msgspec

from ...journal.events import Spec
from ...journal.policy import Policy
from .candidate import Candidate
from .rollout import Closed, Rollout
from .spec_order import in_order

Phase = Literal[
    "queued",  # wanted, waits for one of the max-starting slots (or for the daemon to be ready)
    "throttled",  # died unloyal; waits for its deadline
    "listening",  # on demand: its socket waits for a first connection
    "starting",  # spawn ordered; the process has not said that it is up
    "ready",  # up, not known to accept
    "accepting",  # up and accepting requests
    "reloading",  # reload ordered, not accepting again yet
    "stopping",  # stop or kill ordered; what follows depends on wanted and held
    "held",  # an operator stopped it
    "barred",  # may not run, the reason says why
]
PHASES: Final[tuple[Phase, ...]] = (
    "queued",
    "throttled",
    "listening",
    "starting",
    "ready",
    "accepting",
    "reloading",
    "stopping",
    "held",
    "barred",
)
Line = Literal["express", "queue", "retries"]  # for a slot; slots.py says which is next
# The phases in which an attempt exists, so a process may.
UP: Final[frozenset[Phase]] = frozenset(("starting", "ready", "accepting", "reloading", "stopping"))


class Good(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The last spec with which a vassal was accepting. A change that fails is rolled back to it.

    ``spec`` is None where that was with its wanted spec. ``bound`` is why the text of ``spec``
    cannot be run from a copy. ``failures`` counts those of the last change, in a row. ``untried``:
    it has not been accepting with ``spec`` yet, which its process runs. There is no way back to it
    before.
    """

    spec: Spec | None = None
    bound: str = ""
    failures: int = 0
    untried: bool = False


class End(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The end of a vassal's process, by event ``seq``.

    ``order`` is the order that the daemon had given, and ``reason`` why. ``reload``: it ended of
    the reload that was ordered. ``oom`` is the evidence that the kernel killed for lack of memory.
    """

    seq: int
    at: int
    code: int | None = None
    signal: int | None = None
    order: Literal["stop", "kill"] | None = None
    reason: str | None = None
    reload: bool = False
    oom: str = ""


class Hold(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The request that holds a vassal, event ``seq``, and its operator."""

    seq: int
    at: int
    uid: int | None = None
    loginuid: int | None = None


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The refusal of a change, by event ``seq``. ``rolled_back``: the change was carried out first.

    A preflight refuses a change before it is carried out.
    """

    seq: int
    at: int
    reason: str
    rolled_back: bool = False


class Vassal(msgspec.Struct, omit_defaults=True):
    """One vassal. Times are UTC nanoseconds; ``because`` and ``order`` are seqs of events.

    Of its specs, ``spec`` is the wanted one, ``target`` may run, and ``running`` does.
    """

    name: str
    monitor: str
    spec: Spec  # wanted: as its source described it last
    phase: Phase
    since: int  # when the phase began
    because: int  # the event that led to the phase
    wanted: bool = True
    held: bool = False
    deaths: int = 0  # in a row, unasked and unloyal
    launched: int | None = None  # when it was started last
    earliest: int | None = None  # not to be started again before, as it ended too soon for that
    exiled: bool = False  # barred by its own exit code, which no policy changes
    done: bool = False  # it ended well, and its settings want no other start
    failed: str | None = None  # the daemon met an error about it: not started before it changes
    deadline: int | None = None  # of the phase: next try, end of patience, end of mercy
    reason: str | None = None
    # Facts of the attempt; meaningless without one.
    attempt: int | None = None
    order: int | None = None  # the event whose spawn, reload, stop or kill is under way
    running: Spec | None = None  # given with the last spawn or reload of the attempt
    pid: int | None = None
    start_time: int | None = None
    mark: str | None = None  # of its process, where it is not made from the attempt
    control: bool = True  # the daemon can talk to it
    speaks: bool = True  # it speaks the emperor protocol
    loyal: bool = False
    heartbeat: bool = False  # it has begun to send heartbeats
    due: bool = False  # to be reloaded as soon as it may
    anew: bool = False  # that reload is a restart, because an operator asked for one
    slot: bool = False  # counts against max-starting
    own_user: bool = False  # it was started as its spec's uid and gid (tyrant mode)
    user: tuple[int, int] | None = None  # uid and gid of its process, where --user gave them
    loaded: str | None = None  # the config that the process has loaded for certain
    reload_at: int | None = None  # when a reload was ordered that it has not confirmed
    slot_of: str | None = None  # the user or source that its slot counts for
    waits_as: str | None = None  # the user or source in whose lines it waits for a slot
    killed: str | None = None  # why the daemon ordered to kill its process
    # Learnt from its attempts; kept when they end.
    deaf: str | None = None  # it read no order while it ran with this config ("": an unknown one)
    restarts: bool = False  # a reload by signal ended it, so it is reloaded by a restart
    last: End | None = None  # its last end
    hold: Hold | None = None  # since when an operator holds it
    died: tuple[int, ...] = ()  # when, within an hour before the last of them
    sick: int | None = None  # since when its checks fail
    # Sockets that are kept for it (listening.py).
    sockets: bool = False  # the host may hold some
    opening: int | None = None  # the event that ordered to open those of a change
    unopened: str | None = None  # why those of its change cannot be opened
    listens: bool = False  # held, and its addresses stay open meanwhile (kept_open.py)
    late: str | None = None  # its last start was not ready in time: why the next one waits
    # While the wanted spec waits for its turn, is checked or tried, or refused; see target.py.
    waits_in: int | None = None  # the rollout in whose line it waits
    check: int | None = None  # the event that ordered the check under way
    refused: Refusal | None = None
    kept: Spec | None = None  # may be started meanwhile
    bound: str = ""  # why the text of ``spec`` cannot be run from a copy
    good: Good | None = None  # the last spec with which it was accepting; see rollback.py
    tied: str = ""  # the same of the text with which its process was started or reloaded
    candidate: Candidate | None = None  # its second attempt, in a replacement

    @property
    def is_open(self) -> bool:
        """Whether its wanted spec may not run: it waits, is checked or tried, or was refused."""
        if self.check is not None or self.refused is not None or self.waits_in is not None:
            return True
        return self.candidate is not None and self.candidate.tries

    @property
    def target(self) -> Spec | None:
        """The spec that each start uses; None where nothing may be started."""
        if self.check is None and self.refused is None and self.waits_in is None:
            second = self.candidate  # is_open, without a call
            return self.spec if second is None or not second.tries else self.kept
        return self.kept

    @property
    def aim(self) -> Spec:
        """The target. Where there is none, the spec that its process has, or had."""
        if self.check is None and self.refused is None and self.waits_in is None:
            second = self.candidate  # is_open, without a call
            if second is None or not second.tries:
                return self.spec
        return self.kept or self.running or self.spec

    @property
    def uid(self) -> int | None:
        """The uid with which its attempt was started, if not with the daemon's."""
        if self.user is not None:
            return self.user[0]
        return self.running.uid if self.running is not None and self.own_user else None

    @property
    def is_deaf(self) -> bool:
        """Whether it is known to read no orders. With another config it is only suspected."""
        return self.deaf is not None and self.deaf == self.loaded


class Outage(msgspec.Struct, frozen=True):
    """A source that cannot be read."""

    reason: str
    since: int


class Pressure(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much work waits for processors, memory and disks, in steps from 0 (idle)."""

    cpu: int = 0
    memory: int = 0
    io: int = 0

    @property
    def most(self) -> int:
        """The step of the resource that is under the highest pressure."""
        return max(self.cpu, self.memory, self.io)


class Spent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The level of an account's bucket at ``at``, in bytes; budget.py says how it is counted.

    ``over``: since when it is above its budget. It is so until half of the budget is free.
    """

    level: int
    at: int
    over: int | None = None


class Waiting(msgspec.Struct, omit_defaults=True):
    """Vassals of one user or source that wait for a slot; slots.py says what each line is."""

    express: dict[str, None] = {}
    queue: dict[str, None] = {}
    retries: dict[str, None] = {}
    last: Line = "retries"  # the line that had the last turn


class Fleet(msgspec.Struct):
    """All vassals, the sources' outages, and the policy by which the fold decides."""

    seq: int = 0
    at: int = 0
    policy: Policy = Policy()
    boot: str = ""
    booted: int = 0  # when, by the journal's clock; 0: not known
    rules: int = 1  # the version of the decisions by which it is folded; see rules.py
    version: str = ""  # of the daemon that started last, where its rules are later than 1
    unkept: int | None = None  # the event by which the daemon has no keeper any more
    monitors: tuple[str, ...] = ()  # the sources of the present daemon
    names: dict[str, str] = {}  # of its sources, those that an operator gave
    open: bool = False  # vassals may be started: a daemon is ready and not stopping
    leaving: bool = False  # the daemon was told to stop
    vassals: dict[str, Vassal] = {}
    outages: dict[str, Outage] = {}
    # Vassals that wait for a slot; slots.py says which is next. With rules from 2 on, vassals wait
    # by user.
    users: dict[str, Waiting] = {}  # in the order of their turns
    held: dict[str, int] = {}  # the slots that each user has taken
    queue: dict[str, None] = {}
    express: dict[str, None] = {}
    retries: dict[str, None] = {}
    reloaded_last: bool = False  # the last slot went to a reload
    starting: int = 0  # slots taken
    pressure: Pressure | None = None  # of the machine, as the present daemon saw it last
    # Barred vassals whose address another vassal has, and that holder.
    blocked: dict[str, str] = {}
    spent: dict[str, Spent] = {}  # by account: a user in tyrant mode, else a vassal
    rollouts: dict[int, Rollout] = {}  # under way or held back, by the event that opened each
    rolled: dict[str, Closed] = {}  # the last one of each source that has closed
    turned: list[str] = []  # those that had their turn by the last event


_decoder = msgspec.json.Decoder(Fleet)
# Keeps the order of keys, unlike canonical JSON: the order of the queue is a fact.
_encoder = msgspec.json.Encoder()


def to_json(fleet: Fleet) -> bytes:
    """The snapshot of a fleet; the same bytes for the same history."""
    return _encoder.encode(fleet)


def from_json(snapshot: bytes) -> Fleet:
    """The fleet of a snapshot. Its specs are in order, which 0.1.0 did not keep."""
    fleet = _decoder.decode(snapshot)
    for vassal in fleet.vassals.values():
        vassal.spec = in_order(vassal.spec)
        if vassal.running is not None:
            vassal.running = in_order(vassal.running)
        if vassal.kept is not None:
            vassal.kept = in_order(vassal.kept)
    return fleet


def configs_of(fleet: Fleet) -> set[str]:
    """The digests of the configs that its vassals are wanted with, may run with, or run with."""
    vassals = fleet.vassals.values()
    specs = (spec for each in vassals for spec in (each.spec, each.kept, each.running, _good(each)))
    return {spec.config for spec in specs if spec is not None and spec.config}


def _good(vassal: Vassal) -> Spec | None:
    return None if vassal.good is None else vassal.good.spec


def copied(fleet: Fleet) -> Fleet:
    """A fleet of its own that is the same."""
    return from_json(to_json(fleet))
