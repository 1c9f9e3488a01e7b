"""The safety of a run: a second opinion, formed from the durable record and the processes alone.

It shares no code with the fold, and asks it nothing. It follows the rows as they become durable. It
is told of every order that is carried out and of every process that begins or ends. Rows are read
as JSON: each reader of the journal could see the same.
"""

import json
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from .at_once import AtOnce
from .conditions import Conditions
from .pacing import Attempt
from .replacements import Replacements
from .rollbacks import Rollbacks
from .rollouts import Rollouts
from .services import Services
from .trouble import must
from .turns import Turns

SLACK: Final = 1.6  # virtual seconds: the shell looks at its deadlines, the disk takes its time
CALM_SLACK: Final = 0.6  # without faults


# Events about a vassal that may end its process.
ENDING: Final = frozenset(
    (
        "vassal_added",
        "vassal_changed",
        "vassal_removed",
        "vassal_destroyed",
        "vassal_resigned",
        "vassal_deaf",
        "heartbeat_lost",
        "operator_requested",
        "preflight_passed",
        "listen_opened",
    )
)


class Checker(AtOnce):
    """Sees all of one run."""

    def __init__(self) -> None:
        super().__init__()
        self.due: deque[dict[str, Any]] = deque()  # durable orders, not carried out yet
        self.stopping: dict[int, float] = {}  # pid -> since when it knows that it is to stop
        self.calm = False  # nothing keeps a daemon from keeping the time
        self.alone = False  # no daemon has written anything since the last one died
        self.conditions = Conditions(self)
        self.restarted_if_sick: set[Attempt] = set()
        self.turns = Turns(self)
        self.replacements = Replacements(self)
        self.rollbacks = Rollbacks(self)
        self.rollouts = Rollouts(self)
        self.services = Services(self)

    # The record

    def appended(self, rows: Iterable[Any]) -> None:
        """These rows are durable now."""
        must(not self.due, "every order is carried out", f"{list(self.due)} were not")
        self.alone = False
        for seq, at, kind, monitor, vassal, _, body, actions in rows:
            must(seq == self.seq + 1, "numbers follow", f"{seq} after {self.seq}")
            must(at > self.at, "time grows", f"event {seq} at {at}, after {self.at}")
            self.seq, self.at = seq, at
            mine = kind == "vassal_failed" or actions == "null"
            must(not mine, "no errors of its own", f"event {seq}: {kind} {body}")
            told, orders = json.loads(body), json.loads(actions)
            self.turns.before(kind, vassal, told)
            self.rollbacks.before(kind, vassal, told)
            self._follow(kind, monitor, vassal, told)
            self.services.follow(kind, vassal, told)
            self._check_at_once(kind, vassal, told, orders)
            self.rollouts.follow(kind, vassal, told, orders)
            self.turns.after(kind, vassal, told, orders)
            for action in orders:
                self._order(action)
                if action["do"] in ("stop", "kill", "retire"):
                    self._end_ordered(kind, vassal, told, action)
                self.due.append(action)
            self.rollouts.waive([vassal or "", *(each["vassal"] for each in orders)])

    # Orders

    def _order(self, action: dict[str, Any]) -> None:
        do, vassal = action["do"], action["vassal"]
        self.approvals.ordered(action)
        if do in ("spawn", "reload"):
            self.rollouts.to_run(vassal, action)
            self._run(do, Attempt(vassal, action["attempt"]), action)
        if do == "spawn":
            self._spawn(vassal, Attempt(vassal, action["attempt"]))
        elif do in ("stop", "kill", "retire", "reload"):
            attempt = Attempt(vassal, action["attempt"])
            if self.owed.get(vassal) == attempt:
                del self.owed[vassal]
                if do == "stop":
                    self.restarting.add(attempt)
            mine = self.anew.get(vassal) == attempt
            must(not (mine and do == "reload"), "restarts anew", f"{attempt} is only reloaded")
            if do == "reload":
                self.approvals.ran(vassal)
                self.reloading.add(attempt)
                self.up_since.pop(vassal, None)
                self.quiet_since.pop(vassal, None)
                self.reload_at[attempt] = self.at
                self.beating.discard(attempt)
            else:
                self.starting.pop(attempt, None)
                self.reloading.discard(attempt)
                self._end_quiet(vassal)

    def _run(self, do: str, attempt: Attempt, action: dict[str, Any]) -> None:
        """A process is to run a config."""
        config = action.get("config")
        if do == "spawn" and self.rollbacks.to_start(attempt, config):
            self.failures.pop(attempt.vassal, None)
            self._forgive_all([attempt.vassal])  # a good config does not wait
        self.approvals.to_run(attempt.vassal, action)
        self.rollbacks.ran(attempt, config)

    def _end_ordered(self, kind: str, about: str | None, body: Any, action: dict[str, Any]) -> None:
        """A process is ordered to end."""
        attempt = Attempt(action["vassal"], action["attempt"])
        if attempt.vassal in self.replacements.names:
            self.replacements.stopped(kind, attempt, body, action["do"])
            self.told.add(attempt)
        else:
            self._check_end(kind, about, action)

    def _check_end(self, kind: str, about: str | None, action: dict[str, Any]) -> None:
        """No vassal is stopped without a reason: the order follows from an event about it."""
        vassal, attempt = action["vassal"], Attempt(action["vassal"], action["attempt"])
        mine = about in (vassal, None) and kind in ENDING
        if kind == "vassal_deaf":
            self.restarting.add(attempt)
        again = kind in ("adopted", "deadline_passed") and about == vassal and attempt in self.told
        late = kind == "deadline_passed" and about == vassal and vassal in self.changed
        # A reload that is repeated is a restart where the text of its file may not run.
        again |= kind == "adopted" and about == vassal and not self.approvals.holds(vassal)
        # A reload that needs a word to its vassal is a restart where none gets through.
        mute = attempt in self.deprived | self.restarting
        unready = kind == "deadline_passed" and about == vassal and attempt in self.unready
        sick = kind == "health_lost" and about == vassal
        if attempt not in self.told:
            self.rollbacks.stopped(kind, attempt)
            self.services.check_end(kind, attempt, action["do"], unready=unready, late=late)
        if (unready or sick) and attempt not in self.told:
            self._fail(vassal)
        reason = mine or again or late or mute or unready or sick or kind == "daemon_stopping"
        if not reason and self.rollouts.may_turn(vassal):
            reason = True
            if action["do"] == "stop":
                self.restarting.add(attempt)
        must(reason, "stopped for a reason", f"{attempt}: {action['do']} because of {kind} {about}")
        self.told.add(attempt)

    def _spawn(self, vassal: str, attempt: Attempt) -> None:
        must(self.open, "starts when ready", f"{attempt} is ordered, no daemon is ready")
        must(vassal in self.wanted, "starts what is wanted", f"nobody wants {vassal}")
        owner = self.owner[vassal]
        must(owner in self.monitors, "starts what is configured", f"{vassal} belongs to {owner}")
        must(vassal not in self.held, "held stays down", f"{vassal} is held, spawn is ordered")
        if self.replacements.spawned(attempt):
            self.approvals.tries(vassal)
            self.owed.pop(vassal, None)
        else:
            self.approvals.ran(vassal)
        until = self.not_before.pop(vassal, 0)
        early = f"{attempt} starts {(until - self.at) / 1e9:.3f} s early"
        must(self.at >= until or vassal in self.replacements.names, "throttled", early)
        self.launched[vassal] = self.at
        self.done.discard(vassal)
        most = self.most_slots()
        busy = len(self.starting)
        must(busy < most, "max-starting", f"{attempt} starts beside {list(self.starting)}")
        patience = self.policy.get("start_patience", 30.0)
        self.starting[attempt] = self.at + int(patience * 1_000_000_000)
        self.ordered.add(attempt)
        self.changed.discard(vassal)
        settings = self.approvals.of_start(vassal).get("settings", {})
        if "command" in settings:
            self.programs.add(attempt)
        if "ready" in settings:
            self.awaited.add(attempt)
            self.unready.add(attempt)
        self.services.starts(attempt)
        if settings.get("health-action") == "restart":
            self.restarted_if_sick.add(attempt)

    def carried_out(self, do: str, vassal: str, attempt: int | None) -> None:
        """The host was handed this order."""
        order = (do, vassal, attempt)
        must(bool(self.due), "durable first", f"{order} is carried out and was not recorded")
        due = self.due.popleft()
        recorded = (due["do"], due["vassal"], due.get("attempt"))
        must(order == recorded, "in order", f"{order} is carried out, {recorded} was due")

    def forgive(self, now: float) -> None:
        """There is no daemon, or it cannot write: no process can keep the time."""
        self.stopping = dict.fromkeys(self.stopping, now)
        if self.alone or not self.calm:
            self.conditions.forgive(now)

    def becomes_calm(self, now: float) -> None:
        """From now on a daemon that is there can keep the time."""
        self.conditions.forgive(now)
        self.calm = True

    def no_daemon(self) -> None:
        """The daemon has died: what it had not carried out is the next one's."""
        self.due.clear()
        self.stopping.clear()
        self.alone = True
        self.may_leave = False

    def look(self, now: float) -> None:
        """Check the rules that hold at any time."""
        bound = self.policy.get("mercy", 30.0) + SLACK
        for pid, since in self.stopping.items():
            late = now - since
            said = f"{self.living[pid]} was told to stop {late:.2f} s ago and lives"
            must(late <= bound, "mercy ends", said)
        if not self.alone:
            self.conditions.look(now, CALM_SLACK if self.calm else SLACK)
