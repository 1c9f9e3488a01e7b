"""Scripts: a history of a fleet as lines of text, and what the fold made of it.

The words are those of the journal, one event a line, so that a golden file reads as a story:

    policy max_starting=2          what the next daemon decides by
    at +500ms                      time passes
    daemon started|ready|stopping|stopped
    added foo.ini ts=1 [uid=5 gid=5 socket=:80 config=c1 inline=yes bar="..." from=a
                  command=x reload=restart restart=no success-exit-codes=3 preflight=x
                  bound="%d"]
    changed|removed|destroyed foo.ini ...
    spawned foo.ini | failed foo.ini fault=exec | ready foo.ini | accepting foo.ini | loyal foo.ini
    passed foo.ini | refused foo.ini reason="exit code 1"      its preflight; check=1: a former one
    ignores foo.ini                it has not read an order
    resigned foo.ini | heartbeat foo.ini | silent foo.ini | connection foo.ini
    reloads foo.ini | stops foo.ini | extends foo.ini seconds=600       it has notified that
    deaf foo.ini fault=busy        its address cannot be had: address=:80 holder=b.ini held_as=:80
    exited foo.ini code=1 | exited foo.ini signal=9 | exited foo.ini away=yes
    exited foo.ini signal=1 reload=yes      of the signal that was to reload it
    adopted foo.ini control=no
    error foo.ini                  of the daemon's own; gone=yes: its process is gone, too;
                                   also=b.ini,c.ini; ts=2 from=a: when its source said that
    deadline foo.ini               its deadline passes, however far away that is; of=candidate:
                                   that of its second attempt
    operator stop foo.ini          without a name all are meant; keep_listening=yes
    operator rollout_continue      of all sources; from=a: of one
    rollout due                    the next deadline of a rollout passes, however far away it is
    pressure cpu=3 io=1            steps of the machine's pressure; none is 0

Attempts are counted for each vassal, from 1; ``attempt=1`` speaks for an older one. Monitors are
``a`` and ``b``; ``a`` unless told.
"""

import shlex
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from emperord.daemon.core.actions import Action
from emperord.daemon.core.fleet import Fleet, Vassal, from_json, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.core.rules import RULES
from emperord.daemon.loop.deadlines import may_move
from emperord.journal.events import KINDS, Event, Spec
from emperord.journal.policy import Policy

START: Final = 1_700_000_000_000_000_000
UNITS: Final = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}

# The word of a script -> the kind of event, for what speaks of one vassal's attempt.
SAID: Final = {
    "spawned": "spawned",
    "failed": "spawn_failed",
    "ready": "vassal_ready",
    "accepting": "vassal_accepting",
    "loyal": "vassal_loyal",
    "ignores": "vassal_deaf",
    "resigned": "vassal_resigned",
    "heartbeat": "heartbeat_started",
    "silent": "heartbeat_lost",
    "reloads": "vassal_reloading",
    "stops": "vassal_stopping",
    "extends": "timeout_extended",
    "sick": "health_lost",
    "well": "health_regained",
    "exited": "exited",
    "adopted": "adopted",
}
CHECKED: Final = {"passed": "preflight_passed", "refused": "deploy_refused"}
OPENED: Final = {"opened": "listen_opened", "unopened": "listen_refused"}
# Words of a line that are settings of a config's own section.
OURS: Final = (
    "command", "reload", "restart", "success-exit-codes", "preflight", "ready", "ready-timeout",
    "listen", "health", "health-action", "rollback", "canary", "replace-settle",
)  # fmt: skip
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "spawned": {"pid": 10, "start_time": 1},
    "spawn_failed": {"reason": "no such file", "fault": "exec"},
    "heartbeat_lost": {"silent": 30.0},
    "timeout_extended": {"seconds": 600.0},
    "health_lost": {"failures": 3},
    "adopted": {"pid": 10, "start_time": 1, "control": True},
}
OBSERVED: Final = {
    "added": "vassal_added",
    "changed": "vassal_changed",
    "removed": "vassal_removed",
    "destroyed": "vassal_destroyed",
}


class Script:
    """A history under way: feed it lines, read what the fold printed."""

    def __init__(self, rules: int = RULES) -> None:
        self.rules = rules
        self.fleet = Fleet()
        self.now = START
        self.policy: dict[str, str] = {}
        self.monitors: tuple[str, ...] = ("a",)
        self.events: list[Event] = []
        self.actions: list[Action] = []  # all that was ordered
        self.runs: dict[str, list[int]] = {}  # vassal -> its attempts, in order

    def feed(self, line: str) -> list[str]:
        """Carry out one line; what the fold printed because of it."""
        word, *words = shlex.split(line)
        settings = dict(part.split("=", 1) for part in words if "=" in part)
        names = [part for part in words if "=" not in part]
        if word == "policy":
            self.policy |= settings
            return []
        if word == "monitors":
            self.monitors = tuple(names)
            return []
        if word == "at":
            self.now += duration(names[0])
            return []
        return self.fold(*self._event(word, names, settings))

    def _event(
        self, word: str, names: list[str], settings: dict[str, str]
    ) -> tuple[str, str | None, str | None, dict[str, Any]]:
        """Kind, vassal, monitor and body of the event that a line means."""
        if word == "daemon":
            return f"daemon_{names[0]}", None, None, self.of_daemon(names[0])
        if word == "operator":
            whom = names[1] if len(names) == 2 else None
            asked: dict[str, Any] = {"request": names[0]}
            if "keep_listening" in settings:
                asked["keep_listening"] = settings["keep_listening"] == "yes"
            if names[0] == "rollback" and whom is not None:
                asked |= {"back_to": spec(whom, settings), "uid": 0}
            return "operator_requested", whom, settings.get("from"), asked
        if word == "rollout":
            return "rollout_due", None, None, self.of_rollout()
        if word == "pressure":
            return "pressure_observed", None, None, dict(settings)
        name = names[0]
        if word == "error":
            return "vassal_failed", name, settings.pop("from", None), self.of_error(name, settings)
        if word in OBSERVED:
            monitor = settings.pop("from", "a")
            body: dict[str, Any] = {}
            if word in ("added", "changed"):
                bound = settings.pop("bound", "")
                body = {"spec": spec(name, settings), "bound": bound}
            return OBSERVED[word], name, monitor, body
        if word == "deaf":
            running = self.fleet.vassals[name].running
            told = {"address": running.socket if running else None, "reason": "no", **settings}
            return "listen_failed", name, None, {"fault": "address"} | told
        if word == "connection":
            return "connection_waiting", name, None, {}
        if word == "deadline":
            vassal, second = self.fleet.vassals[name], "of" in settings
            passed = vassal.deadline
            if second:
                assert vassal.candidate is not None
                passed = vassal.candidate.deadline
            assert passed is not None, f"{name} has no deadline"
            self.now = max(self.now, passed)
            body = {"deadline": passed}
            if second and vassal.candidate is not None:
                body["attempt"] = vassal.candidate.attempt
            return "deadline_passed", name, None, body
        if word in CHECKED:
            body = {"check": self.fleet.vassals[name].check or 0} | settings
            return CHECKED[word], name, None, body
        if word in OPENED:
            body = {"change": self.fleet.vassals[name].opening or 0} | settings
            return OPENED[word], name, None, body
        kind = SAID[word]
        run = self.runs[name][int(settings.pop("attempt", 0)) - 1]
        return kind, name, None, {"attempt": run} | DEFAULTS.get(kind, {}) | plain(settings)

    def of_rollout(self) -> dict[str, Any]:
        """The body of the event that a deadline of a rollout passed."""
        planned = [(each.deadline, each.seq) for each in self.fleet.rollouts.values()]
        deadline, seq = min((at, seq) for at, seq in planned if at is not None)
        self.now = max(self.now, deadline)
        return {"rollout": seq, "deadline": deadline}

    def of_error(self, name: str, settings: dict[str, str]) -> dict[str, Any]:
        """The body of an error of the daemon's own."""
        body: dict[str, Any] = {"place": "spawn", "reason": "KeyError"}
        if "gone" in settings:
            body["gone"] = self.runs[name][-1]
            del settings["gone"]
        if "also" in settings:
            body["also"] = settings.pop("also").split(",")
        return body | ({"spec": spec(name, settings)} if settings else {})

    def of_daemon(self, what: str) -> dict[str, Any]:
        """The body of an event that the daemon writes about itself."""
        if what == "stopping":
            return {"reason": "asked to"}
        if what != "started":
            return {}
        return {
            "version": "1",
            "boot": "boot",
            "pid": 1,
            "policy": msgspec.convert(plain(self.policy), Policy, strict=False),
            "monitors": self.monitors,
            "rules": self.rules,
        }

    def fold(
        self, kind: str, vassal: str | None, monitor: str | None, body: dict[str, Any]
    ) -> list[str]:
        """Fold an event and print the difference."""
        before = from_json(to_json(self.fleet))
        actions = self.happen(kind, vassal, monitor, body)
        return [
            *differences(before, self.fleet),
            *(f"=> {self._printed(action)}" for action in actions),
        ]

    def happen(
        self, kind: str, vassal: str | None, monitor: str | None, body: dict[str, Any]
    ) -> list[Action]:
        """Number an event and fold it; what that orders."""
        self.now += 1
        made = msgspec.convert(body, KINDS[kind], strict=False)
        event = Event(len(self.events) + 1, self.now, kind, monitor, vassal, None, made)
        self.events.append(event)
        actions = fold_and_plan(self.fleet, event)
        self.actions += actions
        for action in actions:
            if action.do == "spawn":
                assert action.attempt is not None
                self.runs.setdefault(action.vassal, []).append(action.attempt)
        return actions

    def _printed(self, action: Action) -> str:
        told = f"{action.do} {action.vassal}"
        if action.attempt is not None:
            runs = self.runs.get(action.vassal, [])
            told += "" if action.do == "check" else f" #{runs.index(action.attempt) + 1}"
        if action.config is not None:
            told += f" with {action.config}"
        return told


def fold_and_plan(fleet: Fleet, event: Event) -> list[Action]:
    """Fold an event. The shell finds each deadline that it sets, or that would never pass."""
    before = {name: vassal.deadline for name, vassal in fleet.vassals.items()}
    found = may_move(fleet, event.kind, event.vassal)
    actions = fold(fleet, event)
    found |= {action.vassal for action in actions} | set(fleet.turned)
    for name, vassal in fleet.vassals.items():
        is_new = vassal.deadline is not None and vassal.deadline != before.get(name)
        assert name in found or not is_new, f"nobody plans the deadline of {name}"
    return actions


def play(text: str) -> Script:
    """The script after all these lines."""
    script = Script()
    for line in filter(None, map(str.strip, text.replace(";", "\n").splitlines())):
        script.feed(line)
    return script


def spec(name: str, settings: dict[str, str]) -> Spec:
    """The spec that a line gives. A file, unless it says ``inline=yes``."""
    told = dict(settings)
    ts = int(told.pop("ts", "1"))
    ours = {key: told.pop(key) for key in OURS if key in told}
    fields: dict[str, Any] = {"ts": ts, "config": f"c{ts}"}
    if told.pop("inline", "no") == "no":
        fields["path"] = f"/etc/vassals/{name}"
    if ours:
        fields["settings"] = ours
    return msgspec.convert(fields | told, Spec, strict=False)


def plain(settings: dict[str, str]) -> dict[str, Any]:
    flags = {"yes": True, "no": False}
    return {key: flags.get(value, value) for key, value in settings.items()}


def duration(text: str) -> int:
    digits = text.lstrip("+").rstrip("msh")
    return int(digits) * UNITS[text.lstrip("+")[len(digits) :]]


def span(nanoseconds: int) -> str:
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if nanoseconds % size == 0:
            return f"+{nanoseconds // size}{unit}"
    return f"{nanoseconds:+d}ns"


# Facts of a vassal that are printed besides its phase, when they differ.
FACTS: Final[dict[str, Callable[[Vassal], Any]]] = {
    "owner": lambda vassal: vassal.monitor,
    "config": lambda vassal: vassal.spec.config,
    "wanted": lambda vassal: vassal.wanted,
    "held": lambda vassal: vassal.held,
    "listens": lambda vassal: vassal.listens,
    "loyal": lambda vassal: vassal.loyal,
    "due": lambda vassal: vassal.due,
    "heartbeat": lambda vassal: vassal.heartbeat,
    "deaths": lambda vassal: vassal.deaths,
    "deaf": lambda vassal: vassal.deaf is not None,
    "restarts": lambda vassal: vassal.restarts,
    "checked": lambda vassal: vassal.check is not None,
    "refused": lambda vassal: vassal.refused and vassal.refused.reason,
    "rolled back": lambda vassal: vassal.refused is not None and vassal.refused.rolled_back,
    "waits in": lambda vassal: vassal.waits_in and f"rollout {vassal.waits_in}",
    "kept": lambda vassal: _kept(vassal),
    "failures": lambda vassal: 0 if vassal.good is None else vassal.good.failures,
    "candidate": lambda vassal: _candidate(vassal),
}


def _candidate(vassal: Vassal) -> str | None:
    """The second attempt: its phase and config, whether a change depends on it, and why it ends."""
    candidate = vassal.candidate
    if candidate is None:
        return None
    told = f"{candidate.phase} with {candidate.running.config}"
    told += " (tried)" if candidate.tries else ""
    told += " (due)" if candidate.due else ""
    told += f" ({candidate.reason})" if candidate.reason else ""
    if candidate.deadline is not None:
        told += f" for {span(candidate.deadline - candidate.since)}"
    return told


def _kept(vassal: Vassal) -> str | None:
    """The config that may be started meanwhile."""
    kept = vassal.kept
    return None if kept is None else f"{kept.config}{' as a copy' if kept.copy else ''}"


def differences(before: Fleet, after: Fleet) -> Iterator[str]:
    """The changes by an event: a line for each vassal, and the lines that are others."""
    for name in sorted(before.vassals.keys() | after.vassals.keys()):
        old, new = before.vassals.get(name), after.vassals.get(name)
        if new is None:
            assert old is not None
            yield f"{name}: {old.phase} -> forgotten"
        else:
            told = moved(old, new, after.at)
            if told:
                yield f"{name}: {told}"
    old_lines, new_lines = _lines(before), _lines(after)
    for name in old_lines | new_lines:
        old_line, new_line = old_lines.get(name, []), new_lines.get(name, [])
        if old_line != new_line:
            yield f"{name}: {' '.join(new_line) or 'empty'}"
    for seq in sorted(before.rollouts.keys() | after.rollouts.keys()):
        was, now = _rollout(before, seq), _rollout(after, seq)
        if was != now:
            yield f"rollout {seq}: {now}"


def _rollout(fleet: Fleet, seq: int) -> str:
    """A rollout in words."""
    rollout = fleet.rollouts.get(seq)
    if rollout is None:
        return "closed"
    places = {
        "waiting": rollout.names,
        "turning": list(rollout.turning),
        "done": list(rollout.done),
        "failed": [f"{name} ({reason})" for name, reason in rollout.failed.items()],
    }
    told = [f"{place} {' '.join(names)}" for place, names in places.items() if names]
    told += ["held back"] if rollout.held is not None else []
    told += ["aborted"] if rollout.aborted is not None else []
    told += ["quiet"] if rollout.quiet is not None else []
    return ", ".join(told)


def _lines(fleet: Fleet) -> dict[str, list[str]]:
    """The lines in which vassals wait for a slot, by name; under rules 1 they are nobody's."""
    found: dict[str, list[str]] = {}
    for user, lines in (("", fleet), *fleet.users.items()):
        for line in ("express", "queue", "retries"):
            found[f"{line} of {user}" if user else line] = list(getattr(lines, line))
    return found


def moved(old: Vassal | None, new: Vassal, at: int) -> str:
    """The change of one vassal: ``starting -> ready, due (its reason) until +30s``."""
    parts: list[str] = []
    if old is None or old.because != new.because:
        parts.append(f"{old.phase if old else 'new'} -> {new.phase}")
    for fact, of in FACTS.items():
        value = of(new)
        if old is not None and value != of(old):
            parts.append(
                ("" if value else "not ") + fact if isinstance(value, bool) else f"{fact} {value}"
            )
    told = ", ".join(parts)
    if new.reason is not None and (
        old is None or (old.reason, old.since) != (new.reason, new.since)
    ):
        told += f" ({new.reason})"
    if new.deadline is not None and (old is None or old.deadline != new.deadline):
        told += f" until {span(new.deadline - at)}"
    return told.strip()
