"""The safety of a run: a second opinion, formed from the durable record and the processes alone.

It shares no code with the fold, and asks it nothing. It follows the rows as they become
durable, and is told of every order that is carried out and of every process that begins or
ends. Rows are read as JSON: what they say is what anybody could read in the journal.
"""

import json
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from .trouble import must
from .turns import Turns

SLACK: Final = 1.6  # virtual seconds: the shell looks at its deadlines, the disk takes its time


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
    )
)


class Attempt(NamedTuple):
    """One try at running a vassal."""

    vassal: str
    number: int


class Checker:
    """Sees all of one run."""

    def __init__(self) -> None:
        self.seq = self.at = 0
        self.policy: dict[str, Any] = {}
        self.monitors: list[str] = []
        self.owner: dict[str, str] = {}
        self.wanted: dict[str, dict[str, Any]] = {}  # vassal -> its spec
        self.held: set[str] = set()
        self.ordered: set[Attempt] = set()  # spawns that are durable
        self.over: set[Attempt] = set()  # those with a durable end
        self.programs: set[Attempt] = set()  # those that cannot say that they accept
        self.starting: dict[Attempt, int | None] = {}  # fresh; until which deadline it may be
        self.ends: dict[Attempt, tuple[int | None, int | None, bool]] = {}  # as they really were
        self.deprived: set[str] = set()  # vassals to which nobody can talk
        self.told: set[Attempt] = set()  # that were ordered to end
        self.due: deque[dict[str, Any]] = deque()  # durable orders, not carried out yet
        self.living: dict[int, Attempt] = {}  # by pid, leaders and strays
        self.stopping: dict[int, float] = {}  # pid -> since when it knows that it is to stop
        self.changed: set[str] = set()  # vassals that were to be reloaded since their start
        self.owed: dict[str, Attempt] = {}  # reloads that were asked for and not ordered yet
        self.reloading: set[Attempt] = set()  # since that was ordered; they take slots, too
        self.done: set[str] = set()  # with their work over; only a request by name starts one again
        self.restarting: set[Attempt] = set()  # stopped in place of a reload; they keep slots
        self.loyal: set[Attempt] = set()
        self.up_since: dict[str, int] = {}  # since when the vassal may have run
        self.quiet_since: dict[str, int] = {}  # since when it has run for certain
        self.reload_at: dict[Attempt, int] = {}  # when one was ordered that is not confirmed
        self.launched: dict[str, int] = {}  # when the vassal's last spawn was ordered
        self.deaths: dict[str, int] = {}  # in a row, unasked and unloyal
        self.not_before: dict[str, int] = {}  # as it died so, it has to wait until then
        self.failures: dict[str, int] = {}  # all that could count as deaths in a row
        self.not_after: dict[str, int] = {}  # with so many of them, it waits no longer than that
        self.beating: set[Attempt] = set()  # that send heartbeats
        self.silent: dict[int, float] = {}  # pid -> since when it sends none
        self.alone = False  # no daemon has written anything since the last one died
        self.open = self.leaving = False
        self.pressure: dict[str, int] | None = None  # steps, as this daemon told them last
        self.pressed = 0  # when it did
        self.may_leave = False  # the daemon was told to stop all vassals
        self.turns = Turns(self)

    # The record

    def appended(self, rows: Iterable[Any]) -> None:
        """These rows are durable now."""
        must(not self.due, "every order is carried out", f"{list(self.due)} were not")
        for seq, at, kind, monitor, vassal, _, body, actions in rows:
            must(seq == self.seq + 1, "numbers follow", f"{seq} after {self.seq}")
            must(at > self.at, "time grows", f"event {seq} at {at}, after {self.at}")
            self.seq, self.at = seq, at
            mine = kind == "vassal_failed" or actions == "null"
            must(not mine, "no errors of its own", f"event {seq}: {kind} {body}")
            told, orders = json.loads(body), json.loads(actions)
            self.turns.before(kind, vassal, told)
            self._follow(kind, monitor, vassal, told)
            self._check_at_once(kind, vassal, told, orders)
            self.turns.after(kind, vassal, told, orders)
            for action in orders:
                self._order(action)
                if action["do"] in ("stop", "kill"):
                    self._check_end(kind, vassal, action)
                self.due.append(action)

    def _check_at_once(
        self, kind: str, vassal: str | None, body: Any, actions: list[dict[str, Any]]
    ) -> None:
        """The orders that have to follow in the same turn."""
        if kind == "operator_requested" and body["request"] in ("start", "retry"):
            unnamed = [each for each in self.wanted if each not in self.done]
            self._must_start(unnamed if vassal is None else [vassal], actions)
        elif (
            kind == "exited"
            and body.get("code") != 26
            and Attempt(vassal or "", body["attempt"]) in self.loyal
        ):
            throttle = int(self.policy.get("throttle", 1000)) * 1_000_000
            if self.at >= self.launched.get(vassal or "", self.at) + throttle:
                self._must_start([vassal or ""], actions)
        elif kind == "exited" and body.get("reload"):
            self._must_start([vassal or ""], actions)
        elif kind == "vassal_resigned":
            attempt = Attempt(vassal or "", body["attempt"])
            stopped = [each for each in actions if each["do"] == "stop"]
            must(
                bool(stopped) or attempt in self.told | self.over,
                "who resigns is stopped",
                f"{attempt} resigned, {actions} was ordered",
            )

    def _must_start(self, vassals: Iterable[str], actions: list[dict[str, Any]]) -> None:
        """Each of these that is wanted and down is started, as far as there is room."""
        if not self.open or self.reloading or self.restarting:
            return
        down = [
            each
            for each in vassals
            if each in self.wanted
            and each not in self.held
            and not self.wanted[each].get("socket")
            and not self.under_way(each)
        ]
        others = {each for each in self.wanted if self._may_wait(each)} - set(vassals)
        # The last slot is kept for a source that has none.
        kept = 1 if len(self.monitors) > 1 and self.most_slots() > 1 else 0
        room = 0 if others else self.most_slots() - len(self.starting) - kept
        started = [each["vassal"] for each in actions if each["do"] == "spawn"]
        enough = len(set(down) & set(started)) >= min(room, len(down))
        must(enough, "started at once", f"{down} are to start, there is room for {room}: {actions}")

    def _may_wait(self, vassal: str) -> bool:
        """Whether it may wait for a slot, to start or to be reloaded."""
        throttled = self.at < self.not_before.get(vassal, 0)
        down = vassal not in self.held and not self.under_way(vassal) and not throttled
        return vassal in self.owed or down

    def _follow(self, kind: str, monitor: str | None, vassal: str | None, body: Any) -> None:
        if kind == "vassal_added":
            taken = vassal in self.wanted and self.owner[vassal] in self.monitors
            if not taken or self._owns(monitor, vassal):
                self.owner[vassal or ""] = monitor or ""
                self._take(vassal or "", body["spec"])
        elif kind == "vassal_changed":
            if vassal in self.owner and self._owns(monitor, vassal):
                self.owner[vassal] = monitor or ""
                self._take(vassal, body["spec"])
        elif kind in ("vassal_removed", "vassal_destroyed"):
            if self.owner.get(vassal or "") == monitor:
                self.wanted.pop(vassal or "", None)
                self._release(vassal or "")
        elif kind == "operator_requested" and body["request"] == "reload":
            self.changed |= self.wanted.keys() if vassal is None else {vassal}
            for each in self.wanted if vassal is None else [vassal]:
                self._owe_reload(each)
        elif kind == "operator_requested" and body["request"] == "retry" and vassal is None:
            self._forgive_all(self.wanted)
        elif kind == "operator_requested" and vassal is not None:
            self._forgive_all([vassal])
            if body["request"] == "stop" and (vassal in self.wanted or self.under_way(vassal)):
                self.held.add(vassal)
            elif body["request"] == "start":
                self.held.discard(vassal)
        elif kind == "daemon_started":
            self.policy, self.monitors = body["policy"], body.get("monitors", [])
            self.pressure = None
            self.open = self.leaving = False
        elif kind == "pressure_observed":
            self._press(body)
        elif kind == "daemon_ready":
            self.open = not self.leaving
        elif kind in ("daemon_stopping", "daemon_stopped"):
            self.leaving = True
            must(self.may_leave, "leaves when told", f"{kind}, and nobody asked for it")
            self.open = False
        elif "attempt" in body:
            self._heard(kind, Attempt(vassal or "", body["attempt"]), body)
        elif kind == "listen_failed":
            self._count(vassal or "")
        elif kind == "deadline_passed":
            self._pass(vassal or "", body["deadline"])

    def _owns(self, monitor: str | None, vassal: str | None) -> bool:
        """The source has the name already, or is given before the one that has it."""
        owner = self.owner[vassal or ""]
        order = self.monitors
        before = owner in order and monitor in order[: order.index(owner)]
        return owner == monitor or before

    def _pass(self, vassal: str, deadline: int) -> None:
        """Time is up: for a start to hold its slot, or for deaths to be remembered."""
        most = self.not_after.get(vassal)
        if most is not None and not self.under_way(vassal):
            over = (deadline - most) / 1e9
            must(deadline <= most, "punished no longer", f"{vassal} waits {over:.3f} s too long")
        late = [a for a, until in self.starting.items() if a.vassal == vassal and until == deadline]
        for attempt in late:
            del self.starting[attempt]
            self.up_since[vassal] = self.at
        if not late:
            self._forget_if_quiet(vassal)

    def _forget_if_quiet(self, vassal: str) -> None:
        """Forget its deaths if it has run quietly for long enough by now."""
        quiet = int(self.policy.get("forgive", 0.0) * 1e9)
        since = self.up_since.get(vassal)
        if quiet and since is not None and self.at >= since + quiet:
            self.deaths.pop(vassal, None)
        since = self.quiet_since.get(vassal)
        if quiet and since is not None and self.at >= since + quiet:
            self.failures.pop(vassal, None)

    def _end_quiet(self, vassal: str) -> None:
        """It was ordered to end; the time until it has ended is no quiet running.

        That holds for both bounds of its next wait. Otherwise a stop that takes long would bring
        the upper bound (``failures``) below the lower one (``deaths``), and no start be right.
        """
        quiet = int(self.policy.get("forgive", 0.0) * 1e9)
        self.quiet_since.pop(vassal, None)
        since = self.up_since.pop(vassal, None)
        if quiet and since is not None and self.at >= since + quiet:
            self.deaths.pop(vassal, None)  # may be forgotten; the record need not say so in time

    def _count(self, vassal: str, failed: int = 1) -> None:
        """Something of it has ended: the longest that it may wait until the next try.

        An end that was ordered (``failed`` is 0) is no death, but its next start may be paced.
        """
        self.failures[vassal] = failures = self.failures.get(vassal, 0) + failed
        self.not_after[vassal] = self.at + self._delay(max(failures, 1))

    def _delay(self, times: int) -> int:
        """Nanoseconds to wait after so many failures in a row."""
        delay = self.policy.get("throttle", 1000) << min(times - 1, 32)
        return int(min(delay, self.policy.get("max_throttle", 180_000))) * 1_000_000

    def _press(self, body: dict[str, Any]) -> None:
        """The machine is under this pressure."""
        steps = {each: body.get(each, 0) for each in ("cpu", "memory", "io")}
        must(self.open, "pressure is told in need", f"{steps}, and no daemon is ready")
        must(steps != self.pressure, "pressure is told in need", f"{steps} was told before")
        late = self.pressure is None or self.at - self.pressed >= 999_000_000
        must(late, "pressure is told in need", f"{steps} within a second")
        self.pressure, self.pressed = steps, self.at

    def most_slots(self) -> int:
        """How many may start at once."""
        floor = int(self.policy.get("max_starting", 4))
        ceiling = int(self.policy.get("max_starting_ceiling", 0))
        if self.pressure is None:
            return floor
        return max(floor, ceiling >> max(self.pressure.values()))

    def _take(self, vassal: str, spec: dict[str, Any]) -> None:
        """Its owner says that it is so."""
        self.wanted[vassal] = spec
        self.changed.add(vassal)
        self.failures.pop(vassal, None)
        self._owe_reload(vassal)
        self._forgive_all([vassal])

    def _owe_reload(self, vassal: str) -> None:
        """A vassal that runs and is not about to end is to be reloaded."""
        for attempt in self.ordered - self.over - self.told:
            if attempt.vassal == vassal and vassal in self.wanted:
                self.owed[vassal] = attempt

    def _forgive_all(self, vassals: Iterable[str]) -> None:
        """These need wait no longer."""
        for vassal in vassals:
            self.deaths.pop(vassal, None)
            self.not_before.pop(vassal, None)

    def _blame(self, attempt: Attempt, body: dict[str, Any]) -> None:
        """It died unasked and unloyal, so its next start has to wait."""
        vassal, code = attempt.vassal, body.get("code")
        # A vassal without its socket cannot say that it is loyal.
        innocent = attempt in self.told | self.loyal or vassal in self.changed | self.deprived
        if innocent or code == 26 or self._is_of_reload(attempt, body):
            return
        throttle = self.policy.get("throttle", 1000) * 1_000_000
        if code == 0 and self.at >= self.launched.get(vassal, self.at) + throttle:
            return
        self.deaths[vassal] = deaths = self.deaths.get(vassal, 0) + 1
        self.not_before[vassal] = self.at + self._delay(deaths)

    def _is_of_reload(self, attempt: Attempt, body: dict[str, Any]) -> bool:
        """Whether a reload that it has not confirmed ended it. A program confirms none."""
        since = self.reload_at.get(attempt)
        if since is None:
            return False
        if attempt in self.programs and self.at > since + int(self.policy.get("mercy", 30.0) * 1e9):
            return False
        code, signal = body.get("code"), body.get("signal")
        return body.get("reload", False) or code == 0 or (code is None and signal is None)

    def _heard(self, kind: str, attempt: Attempt, body: dict[str, Any]) -> None:
        if kind in ("exited", "spawn_failed"):
            self.over.add(attempt)
            restart = self.wanted.get(attempt.vassal, {}).get("settings", {}).get("restart")
            if restart == "no" and kind == "exited" and body.get("code") == 0:
                self.done.add(attempt.vassal)
            self._forget_if_quiet(attempt.vassal)
            self._count(attempt.vassal, 0 if attempt in self.told else 1)
            left = [pid for pid, of in self.living.items() if of == attempt]
            must(not left, "gone means gone", f"{attempt} is recorded as {kind}, {left} live")
            self.starting.pop(attempt, None)
            if kind == "exited" and not body.get("away"):
                self._blame(attempt, body)
            self.reloading.discard(attempt)
            self.restarting.discard(attempt)
            self.up_since.pop(attempt.vassal, None)
            self.quiet_since.pop(attempt.vassal, None)
            self.reload_at.pop(attempt, None)
            if self.owed.get(attempt.vassal) == attempt:
                del self.owed[attempt.vassal]
            self.deprived.discard(attempt.vassal)
            self._release(attempt.vassal)
            # One whose pid nobody wrote down is not told from one that never was.
            if kind == "exited":
                self._check_death(attempt, body)
        elif kind == "adopted" and not body.get("control"):
            self.deprived.add(attempt.vassal)
            self.up_since.setdefault(attempt.vassal, self.at)
            self.starting.pop(attempt, None)  # it cannot tell when it accepts
        elif kind == "vassal_loyal":
            self.loyal.add(attempt)
            self.deaths.pop(attempt.vassal, None)
            self.failures.pop(attempt.vassal, None)
        elif kind == "heartbeat_started":
            self.beating.add(attempt)
        elif kind == "vassal_accepting" or (
            kind in ("spawned", "adopted") and attempt in self.programs
        ):
            self.starting.pop(attempt, None)
            self.reloading.discard(attempt)
            self.quiet_since[attempt.vassal] = self.at
            if kind == "vassal_accepting":
                self.reload_at.pop(attempt, None)
            if kind != "adopted" or attempt.vassal not in self.up_since:
                self.up_since[attempt.vassal] = self.at

    def _release(self, vassal: str) -> None:
        """A vassal that is neither wanted nor under way is forgotten."""
        if vassal not in self.wanted and not self.under_way(vassal):
            self.held.discard(vassal)
            self.owner.pop(vassal, None)
            self.failures.pop(vassal, None)
            self.not_after.pop(vassal, None)
            self._forgive_all([vassal])

    def under_way(self, vassal: str) -> bool:
        return any(each.vassal == vassal for each in self.ordered - self.over)

    def _check_death(self, attempt: Attempt, body: dict[str, Any]) -> None:
        """How it ended is told as it was, and it is told if anybody can know it."""
        code, signal, known = self.ends.get(attempt, (None, None, False))
        told = body.get("code"), body.get("signal")
        right = told == (code, signal) or (told == (None, None) and not known)
        must(right, "deaths are told right", f"{attempt}: {told}, it was {(code, signal)}")

    # Orders

    def _order(self, action: dict[str, Any]) -> None:
        do, vassal = action["do"], action["vassal"]
        if do == "spawn":
            self._spawn(vassal, Attempt(vassal, action["attempt"]), action)
        elif do in ("stop", "kill", "reload"):
            attempt = Attempt(vassal, action["attempt"])
            if self.owed.pop(vassal, None) == attempt and do == "stop":
                self.restarting.add(attempt)
            if do == "reload":
                self.reloading.add(attempt)
                self.up_since.pop(vassal, None)
                self.quiet_since.pop(vassal, None)
                self.reload_at[attempt] = self.at
                self.beating.discard(attempt)
            else:
                self.starting.pop(attempt, None)
                self.reloading.discard(attempt)
                self._end_quiet(vassal)

    def _check_end(self, kind: str, about: str | None, action: dict[str, Any]) -> None:
        """No vassal is stopped without a reason: the order follows from an event about it."""
        vassal, attempt = action["vassal"], Attempt(action["vassal"], action["attempt"])
        mine = about in (vassal, None) and kind in ENDING
        if kind == "vassal_deaf":
            self.restarting.add(attempt)
        again = kind in ("adopted", "deadline_passed") and about == vassal and attempt in self.told
        late = kind == "deadline_passed" and about == vassal and vassal in self.changed
        # A reload that needs a word to its vassal is a restart where none gets through.
        mute = vassal in self.deprived or attempt in self.restarting
        reason = mine or again or late or mute or kind == "daemon_stopping"
        must(reason, "stopped for a reason", f"{attempt}: {action['do']} because of {kind} {about}")
        self.told.add(attempt)

    def _spawn(self, vassal: str, attempt: Attempt, action: dict[str, Any]) -> None:
        must(self.open, "starts when ready", f"{attempt} is ordered, no daemon is ready")
        must(vassal in self.wanted, "starts what is wanted", f"nobody wants {vassal}")
        owner = self.owner[vassal]
        must(owner in self.monitors, "starts what is configured", f"{vassal} belongs to {owner}")
        must(vassal not in self.held, "held stays down", f"{vassal} is held, spawn is ordered")
        config = self.wanted[vassal].get("config")
        must(action.get("config") == config, "starts what is wanted", f"{vassal}: not {config}")
        must(not self.under_way(vassal), "never two", f"{vassal}: an attempt is under way")
        until = self.not_before.pop(vassal, 0)
        must(
            self.at >= until, "throttled", f"{attempt} starts {(until - self.at) / 1e9:.3f} s early"
        )
        self.launched[vassal] = self.at
        self.done.discard(vassal)
        most = self.most_slots()
        busy = len(self.starting)
        must(busy < most, "max-starting", f"{attempt} starts beside {list(self.starting)}")
        patience = self.policy.get("start_patience", 30.0)
        self.starting[attempt] = self.at + int(patience * 1_000_000_000)
        self.ordered.add(attempt)
        self.changed.discard(vassal)
        if "command" in self.wanted[vassal].get("settings", {}):
            self.programs.add(attempt)

    def carried_out(self, do: str, vassal: str, attempt: int | None) -> None:
        """The host was handed this order."""
        order = (do, vassal, attempt)
        must(bool(self.due), "durable first", f"{order} is carried out and was not recorded")
        due = self.due.popleft()
        recorded = (due["do"], due["vassal"], due.get("attempt"))
        must(order == recorded, "in order", f"{order} is carried out, {recorded} was due")

    # Processes

    def born(self, pid: int, vassal: str, number: int) -> None:
        """A process runs an attempt."""
        attempt = Attempt(vassal, number)
        must(attempt in self.ordered, "durable first", f"{attempt} runs, its spawn is not durable")
        must(attempt not in self.over, "gone means gone", f"{attempt} runs and is over")
        others = {p: of for p, of in self.living.items() if of.vassal == vassal}
        must(not others, "never two", f"{attempt} runs beside {others}")
        self.living[pid] = attempt

    def strayed(self, pid: int, vassal: str, number: int) -> None:
        """A descendant left its leader."""
        self.living[pid] = Attempt(vassal, number)

    def died(self, pid: int) -> None:
        """A process is gone."""
        del self.living[pid]
        self.stopping.pop(pid, None)
        self.silent.pop(pid, None)

    def ended(
        self, vassal: str, number: int, code: int | None, signal: int | None, *, known: bool
    ) -> None:
        """A leader ended so; ``known``: a keeper saw it."""
        self.ends[Attempt(vassal, number)] = code, signal, known

    def forgotten(self) -> None:
        """The status of an end that is not recorded is lost with the keeper."""
        self.ends = {attempt: (c, s, False) for attempt, (c, s, _) in self.ends.items()}

    def told_to_stop(self, pid: int, now: float) -> None:
        """A vassal was told to stop; from here on its mercy counts."""
        self.stopping.setdefault(pid, now)

    def fell_silent(self, pid: int, now: float) -> None:
        """It hangs: no heartbeats come any more."""
        self.silent.setdefault(pid, now)

    def speaks_again(self, pid: int) -> None:
        """It was reloaded, and hangs no longer."""
        self.silent.pop(pid, None)

    def forgive(self, now: float) -> None:
        """There is no daemon, or it cannot write: nobody can keep the time."""
        self.stopping = dict.fromkeys(self.stopping, now)
        self.silent = dict.fromkeys(self.silent, now)
        self.alone = False

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
        # It looks every second, and counts from its first look.
        bound = self.policy.get("required_heartbeat", 30.0) + 2 + SLACK
        for pid, since in self.silent.items() if not self.alone else ():
            attempt = self.living[pid]
            if attempt in self.beating - self.told and attempt.vassal not in self.deprived:
                said = f"{attempt} has sent no heartbeat for {now - since:.2f} s and was left alone"
                must(now - since <= bound, "who hangs is ended", said)
