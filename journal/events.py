"""The vocabulary: every kind of event and the fields of its body.

Kinds and fields are a contract. A journal written by any released version stays readable for
ever, so:

- a kind's name is a literal that never changes and is never reused;
- a field may be added with a default; it may not change its meaning, and none is removed;
- a change that this does not allow raises the body's ``VERSION``, and adds an upcaster to
  ``UPCASTERS`` (``decoding.py``). That is a function from the old body to the next version's.

Bodies hold what happened, never what was decided because of it: decisions are the fold's and stand
in the event's ``actions``. Times in bodies are UTC nanoseconds unless a name says otherwise.
"""

from typing import Final, Literal

import msgspec

from .body import Body as Body
from .daemon_events import Before as Before
from .daemon_events import ClockJumped as ClockJumped
from .daemon_events import DaemonStarted as DaemonStarted
from .daemon_events import DaemonStopping as DaemonStopping
from .daemon_events import Ending as Ending
from .daemon_events import KernelClock as KernelClock
from .daemon_events import OfKeeper as OfKeeper
from .daemon_events import PressureObserved as PressureObserved
from .service_events import HealthLost as HealthLost
from .service_events import HealthRegained, ListenOpened, ListenRefused
from .service_events import RolloutDue as RolloutDue
from .spec import Spec as Spec

Request = Literal[
    "start", "stop", "restart", "reload", "retry", "rollback", "cancel_rollback", "reopen",
    "upgrade", "rollout_continue", "rollout_abort",
]  # fmt: skip
"""The requests of operators, as they stand in the journal."""


class Empty(Body, frozen=True):
    """No fields: the event's columns say it all."""


class Announced(Body, frozen=True):
    """A vassal is there, or another than before. ``change`` says what differs.

    ``cost`` are the bytes that count against the budget of its account. ``over_budget``: that is
    spent, so the config text is not recorded. ``bound`` is why the text cannot be run from a copy
    when the file has another one.
    """

    spec: Spec
    change: str = ""
    cost: int = 0
    over_budget: bool = False
    bound: str = ""


class Restored(Body, frozen=True):
    """A config text that was altered in the journal is there again as it was recorded.

    ``config`` is its digest, which the vassal has as before.
    """

    config: str


class Gone(Body, frozen=True):
    """A vassal is no longer wanted by its source."""

    reason: str = ""


class Rejected(Body, frozen=True):
    """Something a monitor saw cannot be a vassal. ``name`` is escaped for printing."""

    name: str
    reason: str


class Doubted(Body, frozen=True):
    """A listing lacks so many vassals that the next one must agree."""

    missing: tuple[str, ...]
    known: int


class Failed(Body, frozen=True):
    """A source cannot be read. Nothing is concluded from that."""

    reason: str


class Spawned(Body, frozen=True):
    """A process runs the attempt. ``start_time`` is in clock ticks since boot (proc(5)).

    A process that was started for a journal that is lost is taken over instead of starting a second
    one. Then ``mark`` is the mark in its environment. ``runs`` is the spec that it was started or
    reloaded with, where that is known. ``control`` tells whether the daemon can still talk to it.
    """

    attempt: int
    pid: int
    start_time: int
    mark: str | None = None
    runs: Spec | None = None
    control: bool = True


Fault = Literal["exec", "resources", "interrupted"]


class SpawnFailed(Body, frozen=True):
    """No process came of the attempt.

    ``exec``: it cannot be executed as it is; ``resources``: the machine refused (fork,
    descriptors, memory); ``interrupted``: it was not tried. The daemon ended before it could, or
    a new instance waits for the user database.
    """

    attempt: int
    reason: str
    fault: Fault


ListenFault = Literal["address", "busy", "resources"]


class ListenFailed(Body, frozen=True):
    """The address of a vassal on demand cannot be listened at.

    ``address``: never, as things are; ``busy``: not now (a stranger has it, or it is not there);
    ``resources``: the machine refused. Another vassal, ``holder``, has it under ``held_as``.
    """

    address: str
    reason: str
    fault: ListenFault
    holder: str | None = None
    held_as: str | None = None


class OfAttempt(Body, frozen=True):
    """Something the process of an attempt said."""

    attempt: int


class ReloadFailed(Body, frozen=True):
    """A reload that was ordered was not sent to the process of an attempt, which runs on."""

    attempt: int
    reason: str


class HeartbeatLost(Body, frozen=True):
    """No heartbeat came for ``silent`` seconds. ``asked``: the program says that it hangs."""

    attempt: int
    silent: float
    asked: bool = False


class TimeoutExtended(Body, frozen=True):
    """The program of an attempt needs up to so many ``seconds`` more for what it is doing."""

    attempt: int
    seconds: float


class Exited(Body, frozen=True):
    """The process of an attempt is gone, and its process tree with it.

    Both ``code`` and ``signal`` are None where no process could reap it. ``away``: it died while no
    daemon was there to be its parent, which is not held against it. ``log``: the last lines it
    wrote, for a death that was not ordered. ``reload``: the signal that was to reload it has ended
    it, a moment after it was sent. Its exit code may be 128 and that signal. ``over_budget``: the
    budget of its account is spent, so the last lines are not recorded. ``oom``: the kernel's words
    for having killed it, or a process of its cgroup, for lack of memory.
    """

    attempt: int
    code: int | None = None
    signal: int | None = None
    away: bool = False
    log: str = ""
    reload: bool = False
    over_budget: bool = False
    oom: str = ""


class Adopted(Body, frozen=True):
    """A daemon found the process of an attempt running. ``control``: it can still talk to it."""

    attempt: int
    pid: int
    start_time: int
    control: bool = False


class VassalFailed(Body, frozen=True):
    """The daemon met an error of its own that is about one vassal, and goes on without it.

    ``place`` is where: ``observe``, ``fold``, ``spawn``, ``reap`` and so on. ``trace`` names the
    functions, innermost last, and no values. ``spec`` is what its source had just said of it, if
    that is where the error was. ``gone``: of this attempt no process is left. ``also`` are the
    vassals about which the daemon met an error when it was about to record this one.
    """

    place: str
    reason: str
    trace: str = ""
    spec: Spec | None = None
    gone: int | None = None
    also: tuple[str, ...] = ()


class PreflightPassed(Body, frozen=True):
    """The preflight of a change has passed. ``check`` is the event that ordered it."""

    check: int


class DeployRefused(Body, frozen=True):
    """The preflight of a change failed, so its config may not run.

    ``check`` is the event that ordered it. Its command ended with ``code`` or by ``signal``. Both
    are None where it was killed at its time limit, or could not be run. ``log`` are its last lines.
    ``over_budget``: the budget of its account is spent, so they are not recorded.
    """

    check: int
    reason: str
    code: int | None = None
    signal: int | None = None
    log: str = ""
    over_budget: bool = False


class DeadlinePassed(Body, frozen=True):
    """A deadline of the vassal passed; the fold ignores one that is not the vassal's own.

    ``attempt`` is told where the deadline is of its second attempt, in a replacement.
    """

    deadline: int
    attempt: int | None = None


class ByOperator(Body, frozen=True, kw_only=True):
    """Base of those that a person asked for.

    ``uid`` and ``pid`` are of the process that asked, ``loginuid`` is the user who had logged in,
    before sudo, say. ``command`` is the command line of the process.
    """

    uid: int | None = None
    pid: int | None = None
    loginuid: int | None = None
    command: str = ""


class JournalAdopted(ByOperator, frozen=True):
    """An operator told a daemon that did not know its own journal to go on with this one.

    ``identity``, ``seq`` and ``hash`` (hex) are of the last event that was known to be durable.
    ``reason`` says how the journal differed from that. ``file`` is the copy that an operator had
    put in place of the journal, ``aside`` where the journal from before is now. ``told`` is the
    operator's reason.
    """

    identity: str
    seq: int
    hash: str
    reason: str
    file: str | None = None
    aside: str | None = None
    told: str = ""


class JournalForked(Body, frozen=True):
    """This copy of a journal goes its own way: the event's hash is its identity from now on.

    ``identity`` (hex) is the one from before. ``path``, ``device`` and ``inode`` are of the copy.
    """

    identity: str
    path: str
    device: int
    inode: int


class JournalArchived(ByOperator, frozen=True):
    """The events up to ``through`` went to an archive, and are not in this file any more.

    ``first`` is the first of them. ``hash`` (hex) is that of event ``through``, with which the
    archive ends. ``fleet`` is the digest of the fleet there, with which this file begins, and
    ``file`` the archive's name.
    """

    first: int
    through: int
    hash: str
    fleet: str
    file: str


class Checkpoint(Body, frozen=True):
    """The digest of the fleet as it was before this event, so that a replay compares states.

    ``v`` is the version of the projection: which facts are in the digest
    (``daemon/core/checkpoints.py``). A reader takes any version, and compares by those it knows.
    """

    digest: str


class OperatorRequested(ByOperator, frozen=True):
    """A person asked. The event's vassal is None when all are meant. ``reason`` is the person's.

    A ``rollback`` is to the config ``back_to``, which a source gave in event ``deploy``: None where
    that went to an archive. A ``stop`` with ``keep_listening`` leaves the vassal's addresses open.
    """

    request: Request
    via: str = ""
    reason: str = ""
    back_to: Spec | None = None
    deploy: int | None = None
    keep_listening: bool = False

    @property
    def asked(self) -> str:
        """The request with its option, as an operator gives it."""
        return f"{self.request} --keep-listening" if self.keep_listening else self.request


class RequestRefused(ByOperator, frozen=True):
    """A person asked for a change that was refused: the fields of ``OperatorRequested``, and why.

    ``request`` is what was asked for, ``name`` of which vassal or file; the event's vassal is only
    there where one has that name. ``others`` is the number of refusals of the same user since the
    last one that is recorded.
    """

    request: str
    error: str
    name: str = ""
    via: str = ""
    reason: str = ""
    others: int = 0


KINDS: Final[dict[str, type[Body]]] = {
    # from monitors
    "vassal_added": Announced,
    "vassal_changed": Announced,
    "vassal_removed": Gone,
    "vassal_destroyed": Gone,
    "config_restored": Restored,
    "observation_rejected": Rejected,
    "listing_doubted": Doubted,
    "monitor_failed": Failed,
    "monitor_recovered": Empty,
    # from vassals and the host
    "spawned": Spawned,
    "spawn_failed": SpawnFailed,
    "vassal_ready": OfAttempt,
    "vassal_accepting": OfAttempt,
    "vassal_loyal": OfAttempt,
    "vassal_resigned": OfAttempt,
    "vassal_deaf": OfAttempt,  # it has not read an order in all the time that it had
    "reload_failed": ReloadFailed,
    "heartbeat_started": OfAttempt,
    "heartbeat_lost": HeartbeatLost,
    "vassal_reloading": OfAttempt,  # a program has notified that it reloads
    "vassal_stopping": OfAttempt,
    "timeout_extended": TimeoutExtended,
    "health_lost": HealthLost,
    "health_regained": HealthRegained,
    "connection_waiting": Empty,
    "listen_failed": ListenFailed,
    "listen_opened": ListenOpened,
    "listen_refused": ListenRefused,
    "exited": Exited,
    "adopted": Adopted,
    "vassal_failed": VassalFailed,  # an error of the daemon's own, about this vassal
    "preflight_passed": PreflightPassed,
    "deploy_refused": DeployRefused,
    "deadline_passed": DeadlinePassed,
    "rollout_due": RolloutDue,
    # from the daemon and people
    "daemon_started": DaemonStarted,
    "daemon_ready": Empty,  # recovered, and every source was heard or its time was up
    "daemon_stopping": DaemonStopping,
    "daemon_stopped": Empty,
    "operator_requested": OperatorRequested,
    "request_refused": RequestRefused,
    "journal_adopted": JournalAdopted,
    "journal_forked": JournalForked,
    "journal_archived": JournalArchived,
    "clock_jumped": ClockJumped,
    "pressure_observed": PressureObserved,  # of the machine, while a vassal waits for a slot
    "checkpoint": Checkpoint,
    "keeper_lost": OfKeeper,
    "keeper_back": OfKeeper,
}
FORKED: Final = "journal_forked"
ARCHIVED: Final = "journal_archived"
NOT_FOLDED: Final = "null"  # the actions of an event on which the fold raised


class Event(msgspec.Struct, frozen=True, gc=False):
    """One immutable fact with a number. ``at`` is UTC nanoseconds, strictly increasing.

    ``failed``: the fold raised on it, its actions are null, and each replay skips it.
    """

    seq: int
    at: int
    kind: str
    monitor: str | None
    vassal: str | None
    cause: int | None
    body: Body
    failed: bool = False
