"""Daemons with a planted bug. A checker that lets one of them pass checks nothing."""

from collections.abc import Sequence
from typing import Final

import msgspec
from emperord.daemon.actions import Action
from emperord.daemon.observe import Draft
from emperord.daemon.shell import Shell
from emperord.journal import chain
from emperord.journal.events import Adopted, SpawnFailed
from emperord.journal.store import Snapshot

_ACTIONS: Final = msgspec.json.Decoder(list[Action])


class ForgetsToRespawn(Shell):
    """A vassal that is throttled is never tried again."""

    def _plan(self, touched: str | None, actions: list[Action]) -> None:
        vassal = self.fleet.vassals.get(touched or "")
        if vassal is None or vassal.phase != "throttled":
            super()._plan(touched, actions)


class ForgetsMercy(Shell):
    """A vassal that is deaf to its stop is never killed."""

    def _plan(self, touched: str | None, actions: list[Action]) -> None:
        vassal = self.fleet.vassals.get(touched or "")
        if vassal is None or vassal.phase != "stopping":
            super()._plan(touched, actions)


class SpawnsTwice(Shell):
    """It takes those that it finds running for dead, and starts them beside themselves."""

    def _fold(self, draft: Draft) -> tuple[chain.Columns, list[Action], tuple[int, str] | None]:
        body = draft.body
        if isinstance(body, Adopted):
            lost = SpawnFailed(attempt=body.attempt, reason="not found", fault="interrupted")
            draft = Draft("spawn_failed", lost, None, draft.vassal, draft.cause)
        return super()._fold(draft)


class ActsBeforeItCommits(Shell):
    """It carries out what it has not written down yet."""

    async def _commit(self, rows: list[chain.Columns], snapshot: Snapshot | None) -> None:
        for row in rows:
            for action in _ACTIONS.decode(row[7]):
                super()._act(action, row[1])
        await super()._commit(rows, snapshot)

    def _act(self, action: Action, at: int) -> None:
        """Done already."""


class ActsOnHalf(Shell):
    """Of several orders of one turn it forgets the last."""

    _left = 0

    async def _commit(self, rows: list[chain.Columns], snapshot: Snapshot | None) -> None:
        await super()._commit(rows, snapshot)
        self._left = _number(rows)

    def _act(self, action: Action, at: int) -> None:
        if self._left > 1:
            self._left -= 1
            super()._act(action, at)


def _number(rows: Sequence[chain.Columns]) -> int:
    orders = sum(len(_ACTIONS.decode(row[7])) for row in rows)
    return orders + (orders == 1)  # a single one is carried out


# And the rules by which each is to be caught.
CANARIES: Final[dict[type[Shell], tuple[str, ...]]] = {
    ForgetsToRespawn: ("settles",),
    ForgetsMercy: ("mercy ends", "stops", "settles"),
    SpawnsTwice: ("gone means gone", "never two"),
    ActsBeforeItCommits: ("durable first",),
    ActsOnHalf: ("every order is carried out",),
}
