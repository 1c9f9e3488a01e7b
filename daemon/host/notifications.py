"""Notifications: the messages that programs send over their ``NOTIFY_SOCKET`` (sd_notify(3)).

As the bytes of uWSGI do (``mailbox.py``), a message stays in its socket until its events are
durable: it is peeked, recorded, and consumed. A datagram socket shows its first message only. So
the next one waits meanwhile, and a vassal causes one record after the other at most. A message
that is no event is consumed at once.

A message counts if its sender is of the attempt's tree. The kernel vouches for pid and uid
(SCM_CREDENTIALS); only root can give others. A sender that has ended can no longer be attributed,
and its message is dropped: systemd-notify waits for that reason until its message was read.

No file is read that the sender could make hang. Its environment is in its own memory, which may be
a file of FUSE, so its mark is not looked at. The cgroup, the session, the tag (see ``procfs.py``)
and the parents are the kernel's own. A process can imitate a tag. So in tyrant mode the sender must
have the vassal's uid. Otherwise all vassals are of one user, and none is safe from another.
"""

import logging
from functools import partial
from typing import Final

import trio

from ..core.inputs import News, Notice, VassalByte
from ..keeper.refusals import PASSING
from . import emperor_protocol, main_process, procfs
from .cgroups import Cgroups
from .context import HostContext
from .mailbox import Mailbox
from .notify_messages import Message, parsed
from .notify_socket import NotifySocket
from .process import Process
from .watch import EDGE

log = logging.getLogger("emperor.host")

_LEAST: Final = 64  # bytes that a message counts for at least
_AGAIN: Final = 1.0  # seconds until the kernel is asked again that could not
_TOLD: Final = 1.0  # seconds between two statuses that the keeper is told


class Notifications:
    """Reads the messages of processes, and hands over their meaning."""

    def __init__(self, context: HostContext, mailbox: Mailbox) -> None:
        self._processes = context.processes
        self._watch = context.watch
        self._tasks = context.tasks
        self._outbox = context.outbox
        self._keeper = context.keeper
        self._cgroups = context.cgroups
        self._mailbox = mailbox

    def watch(self, process: Process) -> None:
        """Wait for the messages of a process that was started or adopted."""
        if process.notify is not None:
            self._watch.add(process.notify.end.fileno(), process, EDGE)

    def hear(self, process: Process) -> None:
        """Take in what a process has sent, up to a message that has to be recorded first."""
        notify = process.notify
        assert notify is not None
        while not notify.waits:
            now = trio.current_time()
            if not notify.read_limit.room(now):
                seconds = notify.read_limit.pause(now)
                if notify.read_limit.pauses == 1:
                    log.warning("%s: %s", process.name, notify.read_limit.warning())
                self._pause(process, notify, seconds)
                return
            try:
                found = notify.peek()
            except OSError as error:
                if error.errno not in PASSING:
                    raise
                self._pause(process, notify, _AGAIN)
                return
            if found is None:
                return
            notify.read_limit.fill(max(_LEAST, len(found.data)), now)
            ours = _is_of(process, found.pid, found.uid, self._cgroups)
            message = parsed(found.data) if ours else Message()
            if is_record(message):
                wait = notify.records.wait(1.0, now)
                if wait:
                    self._pause(process, notify, wait)
                    return
                notify.records.fill(1.0, now)
            news = self._news(process, notify, message)
            if news:
                notify.waits = True
                self._tasks.start("hear", process, partial(self._record, news=news))
            else:
                notify.consume()

    def forget(self, process: Process) -> None:
        """A process has ended: its socket is closed, and the file removed."""
        if process.notify is not None:
            notify, process.notify = process.notify, None
            self._watch.remove(notify.end.fileno())
            notify.discard(self._keeper)

    def flood(self, process: Process) -> str | None:
        """A text for the operator; None while a process keeps within its limit."""
        return None if process.notify is None else process.notify.read_limit.warning()

    def is_behind(self, process: Process) -> bool:
        """Whether messages of a process may wait that were not looked at."""
        return process.notify is not None and process.notify.waits

    def _news(self, process: Process, notify: NotifySocket, message: Message) -> list[News]:
        """The news of a message: bytes of a uWSGI that says the same, else notices."""
        if message.status is not None and message.status != notify.status:
            self._note_status(process, notify, message.status)
        if message.main_pid:
            self._use_main(process, notify, message.main_pid)
        name, attempt = process.name, process.attempt
        news: list[News] = []
        if message.stopping:
            news.append(Notice(name, attempt, "stopping"))
        if message.reloading and (message.at is None or message.at >= notify.reloaded_at):
            notify.says_reloads, notify.reloads = True, process.reloads
            process.is_up = False
            news.append(Notice(name, attempt, "reloading"))
        if message.ready and (not notify.says_reloads or notify.reloads == process.reloads):
            process.is_up = True
            news.append(VassalByte(name, attempt, emperor_protocol.ACCEPTING, process.reloads))
        if message.beat:
            self._mailbox.beat(process)
            news.append(VassalByte(name, attempt, emperor_protocol.HEARTBEAT, process.reloads))
        if message.more:
            news.append(Notice(name, attempt, "time", message.more / 1e6))
        if message.hangs:
            news.append(Notice(name, attempt, "hang"))
        return news

    async def _record(self, process: Process, news: list[News]) -> None:
        """Hand news over, and consume their message when they are durable."""
        notify = process.notify
        assert notify is not None
        await self._outbox.tell(news)
        if self._processes.holds(process):
            notify.waits = False
            notify.consume()
            self.hear(process)

    def _pause(self, process: Process, notify: NotifySocket, seconds: float) -> None:
        """Read nothing of a process for a while."""
        notify.waits = True

        async def resume(process: Process) -> None:
            await trio.sleep(seconds)
            if self._processes.holds(process):
                notify.waits = False
                self.hear(process)

        self._tasks.start("hear", process, resume)

    def _use_main(self, process: Process, notify: NotifySocket, pid: int) -> None:
        """Have a process of the tree get the signals of the vassal."""
        if notify.main is not None and notify.main.pid == pid and notify.main.signal(0):
            return
        if pid == process.pid:
            notify.use_main(self._keeper, None)
            return
        main = main_process.found(pid, lambda uid, _: _is_of(process, pid, uid, self._cgroups))
        if main is not None:
            notify.use_main(self._keeper, main)

    def _note_status(self, process: Process, notify: NotifySocket, status: str) -> None:
        """Keep a status. The keeper is told of two a second at most: the first and the last."""
        notify.status = status
        if notify.is_telling:
            return
        notify.is_telling = True
        notify.tell_status(self._keeper)

        async def tell(process: Process) -> None:
            await trio.sleep(_TOLD)
            notify.is_telling = False
            if self._processes.holds(process) and notify.status != status:
                notify.tell_status(self._keeper)

        self._tasks.start("hear", process, tell)


def is_record(message: Message) -> bool:
    """Whether each such message may be an event, so that their number is limited."""
    return message.reloading or message.stopping or message.hangs or bool(message.more)


def _is_of(process: Process, pid: int, uid: int, cgroups: Cgroups) -> bool:
    """Whether process ``pid`` belongs to the attempt; ``uid`` is its user. Raises OSError."""
    if process.uid is not None and uid not in (0, process.uid):
        return False
    if pid == process.pid:
        return True
    if pid <= 0:
        return False
    if process.cgroup is not None and cgroups.holds(process.cgroup, pid):
        return True
    if procfs.session(pid) == process.pid or procfs.is_below(pid, {process.pid}):
        return True
    return bool(process.mark) and procfs.limit_tag_of(pid) == procfs.limit_tag(process.mark)
