"""The bytes of vassals to one simulated daemon, until it takes it."""

from contextlib import AbstractAsyncContextManager

import trio
from emperord.daemon.core.inputs import News, Notice, VassalByte
from emperord.daemon.host import emperor_protocol
from emperord.daemon.keeper.link import Identity

from .kernel import Key, Process, Word


class Mailbox:
    """Notes bytes, and when each vassal was heard last."""

    _said: dict[News, None]
    _spoken: trio.Event
    _beats: dict[Key, float]
    _accepted: dict[Key, float]
    _sick: set[Key]
    _to_reload: set[Key]
    _reloads: dict[Identity, int]
    _one_spawn: trio.CapacityLimiter

    def heard(self, process: Process, word: Word) -> None:
        """There is something in its socket."""
        if isinstance(word, Notice):
            self._say(word)
            return
        byte = word
        if byte == emperor_protocol.ACCEPTING:
            self._beats.pop(process.key, None)
            self._accepted[process.key] = trio.current_time()
        if byte == emperor_protocol.HEARTBEAT:
            known = process.key in self._beats
            self._beats[process.key] = trio.current_time()
            if known:
                return
        sent = self._reloads.get(process.identity, 0)
        self._say(VassalByte(process.name, process.attempt, byte, sent))

    def _forget(self, process: Process) -> None:
        """It has ended."""
        self._beats.pop(process.key, None)
        self._sick.discard(process.key)
        self._accepted.pop(process.key, None)
        self._to_reload.discard(process.key)

    def silent_for(self, vassal: str, attempt: int | None) -> float:
        """Seconds since the last heartbeat; counts from now when none was heard."""
        now = trio.current_time()
        return now - self._beats.setdefault((vassal, attempt or 0), now)

    def no_spawns(self) -> AbstractAsyncContextManager[object]:
        """While in this context, nothing is being started."""
        return self._one_spawn

    def _say(self, news: News) -> None:
        self._said[news] = None
        self._spoken.set()
