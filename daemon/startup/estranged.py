"""The life of an estranged daemon: its journal is not the one that its vassals run for.

The keeper knows the identity of the journal and the last event that was durable. Where the journal
does not hold that event it was lost, cut, or replaced by another. A daemon that went on would start
each vassal a second time. So it touches no process, answers ``status`` and waits for an operator:

    emperor-ctl adopt          go on with this journal; vassals that run are taken over by name
    emperor-ctl restore FILE   put a verified copy of the lost journal in its place, and go on

Both are recorded as ``journal_adopted``. TERM, INT and QUIT end the daemon and its keeper with exit
code 3. No vassal is told to stop then; uWSGI ends by itself when its emperor has gone.
"""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

import msgspec
import trio

from ...journal import chain
from ...journal.events import JournalAdopted
from ...journal.store import Head, Journal, Snapshot
from ..control import access, takeover
from ..control import server as control
from ..control.caller import Caller
from ..control.refusals import reason_of
from ..control.requests import try_new_version
from ..control.server import Client, Refused
from ..control.told import told
from ..core.actions import recorded
from ..core.draft import Draft
from ..core.fleet import Fleet, to_json
from ..host import threads
from ..host.listeners import Listeners
from ..keeper.link import TAKES_NOTHING, KeeperLink
from ..loop import daemon_log
from ..loop.clock import Clock
from ..loop.systemd import Notifier
from . import journal_files, other_vassals, restoring, waiting_status
from .identity import Holder
from .in_use import IdentityInUse

log = logging.getLogger("emperor")

_FAREWELL: Final = 0.1  # seconds for the answer to the last request
_LOOK: Final = 1.0  # seconds between looks at a journal that could not be opened
_LEAVE: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_TODO: Final = (
    "'emperor-ctl adopt' goes on with this journal, 'emperor-ctl restore FILE' with a copy of the"
    " one that was lost"
)
_PUT_BACK: Final = (
    "put it back, and the daemon goes on by itself; 'emperor-ctl adopt' begins another one,"
    " 'emperor-ctl restore FILE' goes on with a copy of the one that was lost"
)
_UNREADABLE: Final = (
    "mend that and have the daemon look again ('emperor-ctl upgrade'), or go on with a copy of the"
    " journal that was lost ('emperor-ctl restore FILE')"
)


Asked = tuple[Caller, str]  # the client, and its operator's reason


class Decision(msgspec.Struct):
    """How the life of an estranged daemon ended."""

    do: Literal["adopt", "restore", "renew", "look", "give way", "leave"]
    by: Caller | None = None
    told: str = ""  # the operator's reason
    copy: restoring.Copy | None = None


class Choice:
    """How to go on: as the first request says that succeeds.

    A signal to leave counts afterwards, too, and so does an emperor that has taken over.
    """

    def __init__(self) -> None:
        self.made = trio.Event()
        self.decision = Decision("leave")
        # To adopt and to restore: each makes a journal, and takes it back where it is refused.
        self.one = trio.Lock()

    def check_open(self) -> None:
        """Raises Refused where a request was first."""
        if self.made.is_set():
            raise Refused("another request was first; ask again in a moment")

    def make(self, decision: Decision) -> None:
        """Go on like that."""
        if self.decision.copy is not None:
            restoring.discard(self.decision.copy.staged)
        self.decision = decision
        self.made.set()


class Estranged:
    """A daemon that waits.

    ``journal`` is None where it cannot be read, as ``reason`` says, and ``fleet`` is what it says.
    ``passing``: it could not be opened, which may pass by itself, so that is tried again.
    """

    def __init__(
        self,
        path: str,
        journal: Journal | None,
        fleet: Fleet | None,
        known: Head,
        reason: str,
        keeper: KeeperLink,
        holder: Holder,
        *,
        passing: bool = False,
        missing: bool = False,
        group: int | None = None,
    ) -> None:
        self.path = path
        self._passing = passing
        self._missing = missing
        self._group = group  # its members may look
        self.journal = journal
        self._fleet = fleet
        self.known = known
        self.reason = reason
        self._todo = _PUT_BACK if missing else _TODO if journal is not None else _UNREADABLE
        self._keeper = keeper
        self._holder = holder
        self._since = time.time_ns()
        self._keeper_died: int | None = None  # when this daemon noticed it
        self._choice = Choice()

    async def run(self, listener: socket.socket, notifier: Notifier) -> Decision:
        """Answer at the control socket until it is decided how to go on."""
        log.error("estranged: %s; no process is touched. %s", self.reason, self._todo)
        notifier.tell("READY=1", f"STATUS=estranged: {self.reason}")
        async with trio.open_nursery() as nursery:
            await nursery.start(self._take_signals)
            daemon_log.in_charge()
            self._keeper.hear()
            nursery.start_soon(notifier.keep_alive)
            nursery.start_soon(notifier.keep_status, lambda: f"estranged: {self.reason}")
            nursery.start_soon(self._attend_keeper)
            nursery.start_soon(self._look_again)
            answer: control.Answer = partial(self._answer, nursery)
            nursery.start_soon(control.serve, listener, answer)
            await self._choice.made.wait()
            await trio.sleep(_FAREWELL)
            nursery.cancel_scope.cancel()
        return _unless_strange(self._choice.decision, self.journal)

    async def _attend_keeper(self) -> None:
        await self._keeper.run()
        if self._keeper.died:
            self._keeper_died = time.time_ns()

    async def _look_again(self) -> None:
        """Have the journal looked at when it can be opened, or another one is there.

        The next daemon does that, if there is a keeper to start it.
        """
        first = seen = await threads.run_sync(journal_files.files, self.path)
        while not self._choice.made.is_set():
            await trio.sleep(_LOOK)
            before, seen = seen, await threads.run_sync(journal_files.files, self.path)
            made = self._missing and self.journal is not None
            if made or seen != before:
                continue  # files are being moved
            if self._passing and self.journal is None:
                renew = await threads.run_sync(journal_files.can_be_opened, self.path)
                news = "it can be opened again"
            else:
                renew = seen is not None and seen != first
                news = "other files are there"
            if renew and not self._choice.made.is_set():  # else an operator was first
                log.warning("%s: %s", self.path, news)
                self._choice.make(Decision("renew" if self._keeper.alive else "look"))

    async def _take_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        others = (signal.SIGHUP, signal.SIGURG, signal.SIGUSR1, signal.SIGUSR2)
        with trio.open_signal_receiver(*_LEAVE, *others) as received:
            task_status.started()
            async for number in received:
                name = signal.Signals(number).name
                if number == signal.SIGUSR1:
                    daemon_log.reopen()
                if number in _LEAVE and self._choice.decision.do == "renew":
                    continue  # the keeper tells the next daemon
                if number in _LEAVE:
                    log.error(
                        "%s: leaving. No vassal was told to stop: uWSGI ends by itself, other"
                        " programs run on",
                        name,
                    )
                    self._choice.make(Decision("leave"))
                elif number == signal.SIGUSR2:
                    try:
                        await self._renew()
                    except Refused as refused:
                        log.error("%s: %s", name, refused)
                else:
                    log.error(
                        "%s: nothing is done. Estranged: %s; %s", name, self.reason, self._todo
                    )

    # Requests of operators

    async def _answer(
        self, nursery: trio.Nursery, request: Mapping[str, Any], client: Client
    ) -> dict[str, Any] | tuple[dict[str, Any], socket.socket]:
        do = request.get("do")
        access.check(client, do, self._group)
        if do == "status":
            said, since = f"{self.reason}; {self._todo}", self._since
            keeper = (self._keeper.alive, self._keeper_died)
            args = (self.path, self._seq, said, since, *keeper)
            return {"status": await threads.run_sync(waiting_status.status, *args)}
        if do == "list":
            return {"seq": self._seq, "at": None, "vassals": []}
        self._choice.check_open()
        if do == "upgrade":
            await self._renew()
            return {}
        if do == "take_over":
            return {}, self._give_way(nursery)
        if do == "adopt":
            return await self.adopt(await _asked(request, client))
        if do == "restore":
            return await self.restore(request.get("file"), await _asked(request, client))
        raise Refused(f"estranged: {self.reason}; {self._todo}")

    @property
    def _seq(self) -> int:
        return 0 if self.journal is None else self.journal.seq

    async def _renew(self) -> None:
        if not self._keeper.alive:  # no keeper could hold the vassals while there is no daemon
            if self.journal is None and not await threads.run_sync(
                journal_files.can_be_opened, self.path
            ):
                raise Refused(f"{self.reason}; {self._todo}")
            self._choice.check_open()
            self._choice.make(Decision("look"))
            return
        await threads.run_sync(_try_renewal, self._keeper)
        self._choice.check_open()
        self._choice.make(Decision("renew"))

    def _give_way(self, nursery: trio.Nursery) -> socket.socket:
        if self._keeper.alive:
            raise Refused("this daemon has a keeper, so no other emperor may take over from it")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nursery.start_soon(self._hand_over, ours)
        return theirs

    async def _hand_over(self, channel: socket.socket) -> None:
        held = {**self._keeper.kept, **self._keeper.entrusted}
        with channel:
            if await threads.run_sync(takeover.hand_over, channel, held):
                self._choice.make(Decision("give way"))

    async def adopt(self, asked: Asked) -> dict[str, Any]:
        """Go on with the journal as it is, or with a new one. Raises Refused."""
        async with self._choice.one:
            self._choice.check_open()
            try:
                return await self._adopt(asked)
            except Refused:
                if self._missing and self.journal is not None:
                    self.journal.leave()
                    self.journal = None
                raise

    async def _adopt(self, asked: Asked) -> dict[str, Any]:
        if self.journal is None and self._missing:
            self.journal = await threads.run_sync(journal_files.make, self.path)
            self._fleet = Fleet()
        if self.journal is None or self._fleet is None:
            raise Refused(f"{self.reason}; {self._todo}")
        if (strange := journal_files.strange(self.journal, replaced=True)) is not None:
            raise Refused(strange)
        args = (self.journal, self._fleet, self.known, self._keeper)
        if (refused := await threads.run_sync(other_vassals.refusal, *args)) is not None:
            raise Refused(refused)
        self._choice.check_open()
        if (head := self.journal.head) is not None:
            _lock(self._holder, self.path, head)
        self._choice.make(Decision("adopt", *asked))
        return {"after": max(self._seq, self.known.seq) if head is None else self._seq}

    async def restore(self, file: object, asked: Asked) -> dict[str, Any]:
        """Go on with a copy of the journal that was lost. Raises Refused."""
        if not isinstance(file, str) or not os.path.isabs(file):
            raise Refused(f"{told(file, 300)}: give the whole path of a copy")
        async with self._choice.one:
            self._choice.check_open()
            verified = await threads.run_sync(restoring.verify, file, self.path, self.known)
            refused = journal_files.strange(self.journal, replaced=False)
            if self._choice.made.is_set():
                refused = "another request was first"
            if refused is not None:
                restoring.discard(verified.staged)
                raise Refused(refused)
            self._choice.make(Decision("restore", *asked, verified))
            return {"after": verified.head.seq, "lost": max(0, self.known.seq - verified.head.seq)}

    # After a decision

    def adopted(
        self, decision: Decision, write: Callable[[Callable[[], None]], None]
    ) -> list[Draft]:
        """Go on with the journal as it is; the events that are to say so.

        ``write`` tries to write to it until that can be done.
        """
        assert self.journal is not None
        draft = _adoption(self.known, self.reason, decision)
        Listeners.set_aside(self._keeper)
        if self.journal.head is not None:
            return [draft]
        number, at = self.known.seq, self.known.at
        begin = Snapshot(number, to_json(Fleet(seq=number, at=at)))
        # In one transaction: a journal that is numbered on looks as if nothing had happened.
        row = (number + 1, Clock(at).stamp(), draft.kind, None, None, None, chain.text(draft.body))
        write(partial(self.journal.number_on, self.known, begin, (*row, recorded([]))))
        return []

    def restored(
        self, decision: Decision, open_journal: Callable[[], Journal]
    ) -> tuple[Journal, Draft]:
        """Put the copy in the journal's place; it, and the event that says so.

        Raises JournalError, OSError.
        """
        assert decision.copy is not None
        empty = None
        if self.journal is not None:
            unused = self.journal.seq == 0 and not self.journal.was_written_to()
            empty = self.journal.opened if unused else None
            self.journal.leave()
        aside = restoring.put(decision.copy, self.path, empty)
        Listeners.set_aside(self._keeper)
        said = _adoption(self.known, self.reason, decision, decision.copy.file, aside)
        return open_journal(), said


def _try_renewal(keeper: KeeperLink) -> None:
    """See whether the keeper could start the next daemon. Blocks; raises Refused."""
    if not keeper.deliver():
        raise Refused(TAKES_NOTHING)
    try_new_version()


async def _asked(request: Mapping[str, Any], client: Client) -> Asked:
    return await threads.run_sync(client.caller), reason_of(request)


def _unless_strange(decision: Decision, journal: Journal | None) -> Decision:
    """The decision, or to look again: files may have changed since it was made."""
    if decision.do not in ("adopt", "restore"):
        return decision
    strange = journal_files.strange(journal, replaced=decision.do == "adopt")
    if strange is None:
        return decision
    log.error("%s: nothing was done: %s", decision.do, strange)
    if decision.copy is not None:
        restoring.discard(decision.copy.staged)
    return Decision("look")


def _lock(holder: Holder, path: str, head: Head) -> None:
    """Lock the identity of the journal to go on with. Raises Refused."""
    try:
        holder.take(head.identity)
    except IdentityInUse as error:
        raise Refused(
            f"{path}: a copy of a journal that is in use ({error.by}); end that emperor first"
        ) from None


def _adoption(
    known: Head,
    reason: str,
    decision: Decision,
    file: str | None = None,
    aside: str | None = None,
) -> Draft:
    body = JournalAdopted(
        identity=known.identity.hex(),
        seq=known.seq,
        hash=known.hash.hex(),
        reason=reason,
        file=file,
        aside=aside,
        told=decision.told,
        **({} if decision.by is None else decision.by.fields),
    )
    return Draft("journal_adopted", body)
