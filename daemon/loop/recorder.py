"""Turns become durable here. While the journal cannot be written, the daemon is *paused*.

A paused daemon tries the same rows again each second. Vassals keep running, and sources wait. An
operator's request is taken back and refused, because its client would wait without an answer.
"""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from ...journal.errors import JournalPaused
from ...journal.store import SNAPSHOT_EVERY, Snapshot
from ..core.fleet import Fleet, to_json
from ..host import threads
from ..host.directory_changes import DirectoryChanges
from . import ports, stalls
from .pending import Pending
from .turn import Input, Tell, Turn

log = logging.getLogger("emperor")

_LOOK: Final = 1.0  # seconds between two looks at the journal's files, at least
_SELDOM: Final = 10.0  # seconds between them while nothing seems to change
_REST: Final = 0.3  # seconds after an append until the journal is at rest
_TAIL: Final = 1000  # events, and half as many as vassals, that no snapshot has at rest
_RETRY: Final = 1.0  # seconds until a paused journal is tried again


class Listener(Protocol):
    """Is told when the journal cannot be written, and when it can be again."""

    def on_pause(self, reason: str, but: Sequence[Input], *, first: bool) -> None:
        """Nothing can be recorded. ``but``: requests that may become durable yet.

        It is called at each try; ``first`` says that the pause begins.
        """

    def on_resume(self) -> None:
        """The journal can be written again."""


class Recorder:
    """Appends turns, one at a time.

    ``recorded`` is the fleet as the journal has it, ``pending`` the one ahead of it. ``contents``
    gives the config texts that are to be stored with a turn.
    """

    def __init__(
        self,
        journal: ports.Journal,
        recorded: Fleet,
        pending: Pending,
        contents: Callable[[], dict[str, bytes]],
        listener: Listener,
    ) -> None:
        self.paused: str | None = None
        self.unrecorded = 0  # events that wait while paused
        self.troubles: Mapping[str, str] = {}  # about the journal's files, by kind
        self.lost = False  # a file of the journal is; the next turn pauses, or saves it
        self._journal = journal
        self._folder = os.path.dirname(os.path.realpath(journal.path))
        self._recorded = recorded
        self._pending = pending
        self._contents = contents
        self._listener = listener
        self._stalls = stalls.Stalls()
        self._turn: Turn | None = None  # that is being recorded
        self._appended = -math.inf  # trio's time of the last append
        self._seen = recorded.seq  # the event of the last snapshot, or that of the start

    @property
    def path(self) -> str:
        """The journal's."""
        return self._journal.path

    def content(self, digest: str) -> bytes | None:
        """The config text with this digest, if the journal has it."""
        return self._journal.texts.content(digest)

    async def commit(self, turn: Turn) -> None:
        """Return when the turn is durable, or given up and something else can be recorded."""
        contents = self._contents()
        self._turn = turn
        while True:
            try:
                await self._stalls.run(
                    self._journal.append,
                    turn.rows,
                    contents,
                    self._snapshot(),
                    self._pending.deploys.rows,
                    known=self.paused is not None,  # a daemon that is told to abandon does not wait
                )
            except JournalPaused as pause:
                turn.waited = True
                if turn.requests:
                    # An empty append still fails while the journal cannot be written.
                    self._pending.give_up(turn)
                self._note_pause(str(pause), len(turn.folded))
                await trio.sleep(_RETRY)
            else:
                break
        self._turn, self._appended = None, trio.current_time()
        self._pending.deploys.touched.clear()
        if self.paused is not None:
            log.warning("the journal can be written again")
            self.paused, self.unrecorded = None, 0
            self._listener.on_resume()

    def _snapshot(self) -> Snapshot | None:
        """The fleet, if the journal is to have a snapshot of it: now and then, and at the end."""
        ahead = self._pending.fleet
        passes = self._recorded.seq // SNAPSHOT_EVERY != ahead.seq // SNAPSHOT_EVERY
        ends = self._turn is not None and self._turn.ends
        if not passes and not ends:
            return None
        return self._taken(ahead)

    def _note_pause(self, reason: str, unrecorded: int, but: Sequence[Input] = ()) -> None:
        first = self.paused is None
        if first:
            log.error("paused: %s; vassals keep running, nothing new is done", reason)
        self.paused, self.unrecorded = reason, unrecorded
        self._listener.on_pause(reason, but, first=first)

    async def watch_appends(self) -> None:
        """Notice an append that hangs. Requests in it may be durable yet, so they wait."""
        while True:
            await self._stalls.wait()
            await trio.sleep(_LOOK)
            reason = self._stalls.look()
            if reason is not None and self._turn is not None and self.paused is None:
                self._turn.waited = True
                reason = f"{self._journal.path}: {reason}"
                self._note_pause(reason, len(self._turn.folded), self._turn.asked)

    async def watch_files(self, tell: Tell, watched: trio.CancelScope) -> None:
        """Have an idle daemon notice that its journal was deleted or cut.

        It looks when a file beside the journal changes, which an append does, too. Not every
        trouble makes such an event: another name elsewhere makes none. When ``watched`` is
        cancelled, it looks without such events.
        """
        await DirectoryChanges(self._folder).serve(partial(self._watch, tell), watched)

    async def _watch(self, tell: Tell, changes: DirectoryChanges) -> None:
        while True:
            await trio.sleep(_LOOK)
            waits = await self._watch_once(changes, tell)
            if not self._rests:
                continue  # an append before this look is no change that is told
            if self._journal.log.is_worthwhile:
                await self._fold_log()
            if waits:
                with trio.move_on_after(_SELDOM):
                    await changes.wait()

    @property
    def _rests(self) -> bool:
        """Whether nothing is appended, and was not for a moment."""
        return self._turn is None and trio.current_time() - self._appended >= _REST

    async def _fold_log(self) -> None:
        """Have the next daemon read little, now that nothing is appended."""
        ahead, snapshot = self._pending.fleet, None
        if ahead.seq - self._seen >= _TAIL + len(ahead.vassals) // 2:
            snapshot = self._taken(ahead)
        await threads.run_sync(partial(self._journal.log.fold, snapshot), abandon_on_cancel=True)

    def _taken(self, fleet: Fleet) -> Snapshot:
        self._seen = fleet.seq
        return Snapshot(fleet.seq, to_json(fleet))

    async def _watch_once(self, changes: DirectoryChanges, tell: Tell) -> bool:
        """Look at the files; whether a change of them will be told."""
        look = partial(_look, self._journal, changes)
        armed, troubles, whole = await threads.run_sync(look, abandon_on_cancel=True)
        for what, trouble in troubles.items():
            if trouble != self.troubles.get(what):
                log.warning("%s", trouble)
        self.troubles = troubles
        if not whole:
            self.lost = True
            await tell(lambda _: ())
        return armed and whole and not troubles


def _look(
    journal: ports.Journal, changes: DirectoryChanges
) -> tuple[bool, Mapping[str, str], bool]:
    """Whether changes will be told, the troubles of the journal's files, and whether all is there.

    Blocks.
    """
    armed = changes.arm()  # first, so that no change falls in between
    return armed, journal.troubles(), journal.is_whole()
