"""The second instance of a vassal in a replacement, as the vassal's record tells of it.

``daemon/core/replacement.py`` has the theory. A record is not folded, so this follows the orders
that were recorded: a spawn while an attempt lives starts a *new* instance beside it. A ``retire``
of the attempt that lives makes that the *former* one, and the new one takes its place. Until then,
nothing that is told of the new instance is about the service.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from ..daemon.core.actions import Action
from ..journal.deploys import DEPLOYED
from ..journal.events import Event
from .event_text import how_it_ended

Which = Literal["new", "former"]
_ENDS: Final = ("exited", "spawn_failed")


class Told(msgspec.Struct):
    """All that a record tells of second instances. Keys are numbers of events.

    ``about``: events of such an instance. ``started``: those that ordered its start. ``deploys``:
    deploys that were tried by one. ``failed``: the failures of the new instance, in words.
    ``taken``: when it took over, and with which config. Of failures and takeovers, ``tried`` has
    those that decided about a deploy.
    """

    about: dict[int, Which] = {}
    started: set[int] = set()
    deploys: set[int] = set()
    failed: dict[int, str] = {}
    taken: dict[int, str | None] = {}
    tried: set[int] = set()


class _Second(msgspec.Struct):
    attempt: int | None
    config: str | None
    tries: bool = False
    ready: bool = False
    ends: bool = False  # it was ordered to
    former: bool = False


class _Follower:
    def __init__(self) -> None:
        self.told = Told()
        self.main: int | None = None  # the attempt that serves
        self.second: _Second | None = None
        self.deploy: tuple[int, str | None] | None = None  # the last one, until it runs

    def take(self, event: Event, orders: tuple[Action, ...], *, own: bool) -> None:
        body: Any = event.body
        attempt = getattr(body, "attempt", None) if own else None
        if own and event.kind in DEPLOYED:
            self.deploy = (event.seq, body.spec.config)
        if own and event.kind == "vassal_failed":
            self._lose(body.gone)
        if attempt is not None:
            if self.second is not None and attempt == self.second.attempt:
                self._hear(self.second, event)
            elif self.main is None and event.kind not in (*_ENDS, "deadline_passed"):
                self.main = attempt
            if event.kind in _ENDS:
                self._lose(attempt)
        for order in orders:
            if order.do == "spawn":
                self._spawn(event, order)
            elif order.do == "reload":
                self._run(order.config)
            elif order.do in ("retire", "stop", "kill"):
                self._end(event, order, attempt)

    def _lose(self, attempt: int | None) -> None:
        if attempt is None:
            return
        if self.second is not None and attempt == self.second.attempt:
            self.second = None
        elif attempt == self.main:
            self.main = None

    def _spawn(self, event: Event, order: Action) -> None:
        if self.main is None or self.second is not None:
            self.main = order.attempt
            self._run(order.config)
            return
        tries = self.deploy is not None and self.deploy[1] == order.config
        if self.deploy is not None and tries:
            self.told.deploys.add(self.deploy[0])
        self.second = _Second(order.attempt, order.config, tries)
        self.told.started.add(event.seq)

    def _run(self, config: str | None) -> None:
        if self.deploy is not None and self.deploy[1] == config:
            self.deploy = None

    def _end(self, event: Event, order: Action, attempt: int | None) -> None:
        second = self.second
        if second is None:
            return
        if order.attempt != second.attempt:
            if order.do == "retire" and order.attempt == self.main:
                self._take_over(event, second)
            return
        if event.kind == "deadline_passed" and attempt == second.attempt and not second.ends:
            self._fail(event, second, "was not ready in time")
        second.ends = True

    def _hear(self, second: _Second, event: Event) -> None:
        """An event of the second instance."""
        body: Any = event.body
        self.told.about[event.seq] = "former" if second.former else "new"
        if second.ends or second.former:
            return
        match event.kind:
            case "vassal_accepting" | "spawned":
                # With ready = spawn its start is all that is told of it.
                second.ready = second.ready or event.kind != "spawned"
            case "exited" if not body.away:
                self._fail(event, second, f"ended: {how_it_ended(body)}")
            case "spawn_failed" if body.fault != "interrupted":
                self._fail(event, second, f"was not started: {body.reason}")
            case "heartbeat_lost":
                self._fail(event, second, "sent no heartbeat")
            case "health_lost" if second.ready:
                self._fail(event, second, "failed a check of its health")
            case "vassal_resigned":
                self._fail(event, second, "resigned")
            case "deadline_passed" if second.ready and self.main is None:
                self._take_over(event, second)

    def _fail(self, event: Event, second: _Second, how: str) -> None:
        self.told.failed[event.seq] = f"its new instance {how}"
        if second.tries:
            self.told.tried.add(event.seq)

    def _take_over(self, event: Event, second: _Second) -> None:
        self.told.about[event.seq] = "new"
        self.told.taken[event.seq] = second.config
        if second.tries:
            self.told.tried.add(event.seq)
        self._run(second.config)
        former = self.main
        self.main = second.attempt
        self.second = None if former is None else _Second(former, None, former=True)


def instances(record: Iterable[tuple[Event, tuple[Action, ...], bool]]) -> Told:
    """All that a record tells of second instances.

    It gives events, their orders to the vassal, and whether they are the vassal's own.
    """
    follower = _Follower()
    for event, orders, own in record:
        if not event.failed:
            follower.take(event, orders, own=own)
    return follower.told
