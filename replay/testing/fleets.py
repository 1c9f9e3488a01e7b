"""The fixture ``fleet``: a fold of its own to feed events to, without a journal and processes.

    def test_a_death_is_throttled(fleet):
        fleet.added("a.ini", "[emperor]\\ncommand = gunicorn app\\n")
        fleet.feed("spawned", "a.ini")
        fleet.feed("exited", "a.ini", code=1)
        assert fleet.vassals["a.ini"].phase == "throttled"
        fleet.at("+1s")
        assert fleet.orders == ["spawn a.ini"]

The first event starts a daemon with the default policy. ``fleet.start(throttle=5000)`` starts one
with another. Time stands still, apart from a nanosecond an event, until a test has it pass.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...daemon.core.actions import Action
from ...daemon.core.fleet import Fleet, Vassal
from ...daemon.core.rules import RULES
from ...journal import chain, quantities
from ...journal.events import KINDS, Event, Request, Spec
from ...journal.policy import Policy
from ...monitors import settings
from ...version import VERSION
from ..rebuild import fold_one
from .orders import orders_of

START: Final = 1_795_500_000_000_000_000  # 2026-11-24T06:00:00Z
MONITOR: Final = "dir:///etc/vassals"
_BOOT: Final = "5e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e"
_SECOND: Final = 1_000_000_000
_CLOSE: Final = 3  # kinds that an error suggests


class BareFleet:
    """Folds the events that it is fed. ``state`` is the fleet that they make.

    ``actions`` are those that the last call ordered, ``ordered`` are all.
    """

    def __init__(self) -> None:
        self.state = Fleet()
        self.now = START  # UTC nanoseconds
        self.events: list[Event] = []
        self.actions: list[Action] = []
        self.ordered: list[Action] = []
        self.texts: dict[str, bytes] = {}  # config texts by digest

    @property
    def vassals(self) -> Mapping[str, Vassal]:
        """The vassals by name."""
        return self.state.vassals

    @property
    def orders(self) -> list[str]:
        """The actions of the last call in words: ``["spawn a.ini"]``."""
        return orders_of(self.actions)

    # Daemons

    def start(
        self, *, monitors: tuple[str, ...] = (MONITOR,), rules: int = RULES, **policy: Any
    ) -> Event:
        """A daemon takes over and is ready. ``policy`` are options by which it decides.

        They have the names and units of ``emperord.journal.policy.Policy``.
        """
        body = {
            "version": VERSION, "boot": _BOOT, "pid": 1, "policy": Policy(**policy),
            "monitors": monitors, "rules": rules,
        }  # fmt: skip
        self.actions = []
        self._happen("daemon_started", None, None, None, body)
        return self._happen("daemon_ready", None, None, self.events[-1].seq, {})

    # Sources

    def added(
        self, name: str, text: str | bytes = "[uwsgi]\n", *, monitor: str = MONITOR, **spec: Any
    ) -> Event:
        """A source has a new vassal with this config. ``spec`` are further fields of ``Spec``.

        Its section ``[emperor]`` is read as a source does it.
        """
        return self._announced("vassal_added", name, text, monitor, spec)

    def changed(
        self, name: str, text: str | bytes = "[uwsgi]\n", *, monitor: str | None = None, **spec: Any
    ) -> Event:
        """A source has another config for a vassal, or touched it."""
        return self._announced("vassal_changed", name, text, monitor, spec)

    def removed(self, name: str, *, monitor: str | None = None) -> Event:
        """A source does not have a vassal any more."""
        return self.feed("vassal_removed", name, monitor=monitor)

    def _announced(
        self, kind: str, name: str, text: str | bytes, monitor: str | None, spec: dict[str, Any]
    ) -> Event:
        content = text.encode() if isinstance(text, str) else text
        digest = chain.digest(content)
        self.texts[digest] = content
        found, flaw = settings.read(name, content)
        given = {"path": f"/etc/vassals/{name}", "settings": found, "bar": flaw, **spec}
        made = Spec(**{"ts": self.now + 1, "config": digest, **given})
        return self.feed(kind, name, monitor=monitor, spec=made)

    # Everything else

    def operator(self, request: Request, name: str | None = None, **fields: Any) -> Event:
        """An operator asks for something, of all vassals where no name is given."""
        return self.feed("operator_requested", name, request=request, **fields)

    def feed(
        self,
        kind: str,
        vassal: str | None = None,
        *,
        monitor: str | None = None,
        cause: int | None = None,
        **fields: Any,
    ) -> Event:
        """Fold an event of any kind of ``emperord.journal.events``.

        A field ``attempt`` that is not given is the vassal's present attempt. An event of a source
        is of the vassal's own source, and a deadline is the vassal's own, unless they are given.
        """
        if kind not in KINDS:
            close = difflib.get_close_matches(kind, KINDS, _CLOSE)
            hint = f"; is it {' or '.join(close)}?" if close else ""
            raise ValueError(f"no event is called {kind!r}{hint}")
        if not self.events and kind != "daemon_started":
            self.start()
        self.actions = []
        known = self.state.vassals.get(vassal or "")
        if monitor is None and known is not None and kind in _OF_SOURCES:
            monitor = known.monitor
        filled = {**self._defaults(kind, vassal), **fields}
        return self._happen(kind, vassal, monitor, cause, filled)

    def at(self, time: str) -> int:
        """Let time pass: ``+3s``, ``+500ms``, ``+1h30m``. Deadlines that pass meanwhile are fed.

        Returns the time that it is then, as UTC nanoseconds.
        """
        passes = quantities.duration(time.removeprefix("+")) if time.startswith("+") else None
        if passes is None:
            raise ValueError(f"{time!r} is no time that passes; write +3s, +500ms or +1h30m")
        until = self.now + int(passes * _SECOND)
        self.actions = []
        told: set[tuple[int, str, int]] = set()
        while (due := self._next_deadline(told)) is not None and due[0] <= until:
            told.add(due)
            deadline, name, rollout = due
            self.now = max(self.now, deadline - 1)
            if rollout:
                fields = {"rollout": rollout, "deadline": deadline}
                self._happen("rollout_due", None, None, None, fields)
            else:
                self._happen("deadline_passed", name, None, None, {"deadline": deadline})
        self.now = max(self.now, until)
        return self.now

    def _next_deadline(self, told: set[tuple[int, str, int]]) -> tuple[int, str, int] | None:
        """The time, and the vassal or the rollout that has it."""
        found = {(v.deadline, v.name, 0) for v in self.vassals.values() if v.deadline is not None}
        rollouts = self.state.rollouts.values()
        found |= {(each.deadline, "", each.seq) for each in rollouts if each.deadline is not None}
        return min(found - told, default=None)

    def _defaults(self, kind: str, name: str | None) -> dict[str, Any]:
        vassal = self.state.vassals.get(name or "")
        fields = KINDS[kind].__struct_fields__
        found: dict[str, Any] = {}
        if "attempt" in fields and vassal is not None and vassal.attempt is not None:
            found["attempt"] = vassal.attempt
            if "pid" in fields:
                found |= {"pid": 1000 + vassal.attempt, "start_time": vassal.attempt}
        if kind == "deadline_passed" and vassal is not None and vassal.deadline is not None:
            found["deadline"] = vassal.deadline
        if kind == "heartbeat_lost":
            found["silent"] = self.state.policy.required_heartbeat
        return found

    def _happen(
        self,
        kind: str,
        vassal: str | None,
        monitor: str | None,
        cause: int | None,
        fields: dict[str, Any],
    ) -> Event:
        try:
            body = msgspec.convert(msgspec.to_builtins(fields), KINDS[kind])
        except msgspec.ValidationError as error:
            raise ValueError(f"{kind} of {vassal or 'the fleet'}: {error}") from None
        self.now += 1
        event = Event(len(self.events) + 1, self.now, kind, monitor, vassal, cause, body)
        actions = fold_one(self.state, event)
        self.events.append(event)
        self.actions += actions
        self.ordered += actions
        return event


_OF_SOURCES: Final = frozenset(
    ("vassal_added", "vassal_changed", "vassal_removed", "vassal_destroyed", "config_restored")
)
