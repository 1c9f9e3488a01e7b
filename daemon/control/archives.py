"""Archives and copies of the journal, made while the daemon runs.

The heavy part is done in a process of its own (``replay/for_daemon.py``): it writes a file and
verifies it. Then the journal lets go of its events, a step at a time (``journal/cuts.py``). One
archive or copy is made at a time.

With ``--keep`` the daemon does so by itself: some seconds after it is ready, and then each day.
"""

import logging
import os
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import trio

from ...journal import chain
from ...journal.archive_file import SnapshotRow
from ...journal.errors import JournalPaused
from ...journal.events import ARCHIVED, JournalArchived
from ...journal.locked_files import LockedFiles
from ...journal.store import Journal
from ...journal.times import moment, rfc3339
from ...monitors import children
from ...monitors.backoff import Backoff
from ...monitors.names import shown
from ..core.draft import Draft
from ..core.fleet import Fleet
from ..host import failures, threads
from .caller import Caller
from .server import Client, Refused
from .verified_archive import VerifiedArchive

log = logging.getLogger("emperor")

_SETTLED: Final = 5.0  # seconds after the daemon is ready
_LOOK: Final = 1.0  # seconds between looks whether it is
_DAY: Final = 24 * 3600.0
_AGAIN: Final = 600.0  # seconds after a failure, twice as many after each further one
_PAUSE: Final = 0.05  # seconds between two steps, in which events are recorded
_TEXTS: Final = 50  # config texts that are removed in a step
_PAGES: Final = 250  # of the file that are given back to the disk in a step
_READERS: Final = 2.0  # seconds for which the file waits for readers before it becomes smaller
_LONGEST_TIME: Final = 200  # characters
_AGAIN_BY_HAND: Final = (
    "The archive is there and whole, and the journal has all later events: ask again, and it is"
    " gone on with"
)
Record = Callable[[Draft], Awaitable[None]]


class Daemon(Protocol):
    """The daemon as far as its journal's archives need it."""

    @property
    def fleet(self) -> Fleet: ...

    def now(self) -> int: ...

    def record(self, *drafts: Draft) -> Awaitable[None]: ...


class Archives:
    """Makes archives and copies of a journal. ``keep``: events as old leave it, in seconds."""

    def __init__(self, journal: Journal, keep: float | None = None) -> None:
        self.trouble: str | None = None  # why --keep cannot
        self.since: int | None = None  # UTC nanoseconds
        self._journal = journal
        self._keep = keep
        self._end: trio.Event | None = None  # of the archive or copy that is being made
        self._limiter = trio.CapacityLimiter(1)

    async def answer(
        self, do: str, request: Mapping[str, Any], client: Client, daemon: Daemon
    ) -> dict[str, Any]:
        """Do what a client asks. Others are served meanwhile. Raises Refused."""
        by = await threads.run_sync(client.caller)
        file = _path(request.get("file"), needed=do == "backup")
        if do == "backup":
            job = partial(self.backup, str(file))
        else:
            before = _moment(request.get("before"))
            job = partial(self.archive, before, file, by, daemon.record)
        done = await client.aside(partial(_outcome, job))
        if isinstance(done, Refused):
            raise done
        return done

    async def backup(self, file: str) -> dict[str, Any]:
        """Make a verified copy of the journal. Raises Refused."""
        with self._alone():
            return await self._work("backup", self._journal.path, file)

    async def archive(
        self, before: str, file: str | None, by: Caller, record: Record
    ) -> dict[str, Any]:
        """Move the events before a moment to a verified archive. Raises Refused."""
        with self._alone():
            path = self._journal.path
            size = os.stat(path).st_size
            where = () if file is None else (file,)
            found = await self._work("archive", path, before, *where)
            if found["archive"] is None:
                return {"journal": path, **found}
            try:
                event = await self._cut(found, by, record)
                texts, looked_to = found["texts"], found["looked_to"]
                for begin in range(0, len(texts), _TEXTS):
                    some = texts[begin : begin + _TEXTS]
                    await self._step(self._journal.cuts.drop_texts, some, looked_to)
                await self._shrink()
            except JournalPaused as error:
                raise Refused(f"{error}. {_AGAIN_BY_HAND}") from None
            if file is None:
                self._recovered()
            return {
                "journal": path,
                "archive": found["archive"],
                "first": found["first"],
                "last": found["last"],
                "event": event,
                "bytes_before": size,
                "bytes_after": os.stat(path).st_size,
            }

    async def _cut(self, found: dict[str, Any], by: Caller, record: Record) -> int:
        """Have the journal begin behind an archive; the number of the event that says so."""
        locked = LockedFiles.of(self._journal.path)
        archive = VerifiedArchive.told(found, self._journal.cuts.begin.seq, locked)
        try:
            await self._run(archive.open)
            return await self._cut_by(archive, found["first"], by, record)
        except OSError as error:
            raise Refused(f"{archive.path}: cannot be opened: {error.strerror}") from error
        finally:
            archive.close()

    async def _cut_by(
        self, archive: VerifiedArchive, first: int, by: Caller, record: Record
    ) -> int:
        cuts = self._journal.cuts
        *steps, last = archive.steps
        for seq in steps:
            await self._step(cuts.step, await self._run(archive.fleet, seq))
        fleet = await self._run(archive.fleet, last)
        body = JournalArchived(
            first=first,
            through=last,
            hash=fleet[1].hex(),
            fleet=await self._run(_digest, fleet),
            file=os.path.basename(archive.path),
            **by.fields,
        )
        # A caller that is cancelled meanwhile leaves the offer: the event may be recorded yet.
        cuts.offer(fleet)
        try:
            await record(Draft(ARCHIVED, body))
        except Refused as refused:
            cuts.offer(None)
            raise Refused(f"{refused}. {_AGAIN_BY_HAND}") from None
        log.info("events %d to %d went to %s", body.first, last, shown(archive.path))
        return self._journal.seq

    async def _shrink(self) -> None:
        """Have the file become smaller. A reader that stays has the next fold of the log do it."""
        while await self._step(self._journal.cuts.shrink, _PAGES):
            pass
        with trio.move_on_after(_READERS):
            while not await self._step(self._journal.cuts.fold_in):
                pass

    async def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Make a step, and leave the journal to events for at least as long as it took."""
        began = trio.current_time()
        done = await self._run(step, *arguments)
        await trio.sleep(max(_PAUSE, trio.current_time() - began))
        return done

    async def _run(self, job: Callable[..., Any], *arguments: Any) -> Any:
        return await threads.run_sync(job, *arguments, limiter=self._limiter)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._end is not None:
            raise Refused("an archive or a copy of the journal is being made; ask later")
        self._end = end = trio.Event()
        try:
            yield
        finally:
            self._end = None
            end.set()

    async def _work(self, *arguments: str) -> dict[str, Any]:
        """The answer of the process that does it. It ends when its standard input does."""
        ends, mine = os.pipe()
        try:
            done = await threads.run_sync(
                _process, arguments, ends, limiter=self._limiter, abandon_on_cancel=True
            )
        finally:
            os.close(mine)
        if "error" in done:
            raise Refused(done["error"])
        return done

    # --keep

    async def run(self, daemon: Daemon) -> None:
        """Keep the journal short, until cancelled."""
        if self._keep is None:
            return
        await self._settled(daemon)
        backoff = Backoff(_AGAIN, _DAY)
        while True:
            while self._end is not None:  # an operator asked for it
                await self._end.wait()
            try:
                before = rfc3339(max(0, daemon.now() - int(self._keep * 1e9)))
                await self.archive(before, None, Caller(os.getuid(), os.getpid()), daemon.record)
            except Refused as refused:
                self._complain(str(refused), daemon.now())
            except Exception as error:  # the archive is removed meanwhile, say
                self._complain(failures.reason_of(error), daemon.now())
            else:
                self._recovered()
            if self.trouble is None:
                await trio.sleep(_DAY)
                backoff.reset()
            else:
                await trio.sleep(backoff.pause())

    async def _settled(self, daemon: Daemon) -> None:
        while True:
            await trio.sleep(_LOOK)
            if daemon.fleet.open:
                break
        await trio.sleep(_SETTLED)

    def _recovered(self) -> None:
        if self.trouble is not None:
            log.warning("older events go to archives again")
        self.trouble = self.since = None

    def _complain(self, reason: str, now: int) -> None:
        if self.trouble is None:
            log.error("--keep: older events stay in the journal: %s", reason)
            self.since = now
        self.trouble = reason


async def _outcome(job: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any] | Refused:
    """A refusal as a value: a nursery would put it into a group."""
    try:
        return await job()
    except Refused as refused:
        return refused


def _process(arguments: tuple[str, ...], ends: int) -> dict[str, Any]:
    """Run the process, and take its answer. Blocks."""
    argv = [sys.executable, "-P", "-m", "emperord.replay.for_daemon", *arguments]
    environ = {key: each for key, each in os.environ.items() if not key.startswith("EMPEROR")}
    try:
        done = children.run(argv, stdin=ends, env=environ)
    except (OSError, ValueError) as error:
        return {"error": f"no process can be started for it: {error}"}
    finally:
        os.close(ends)
    try:
        answer: dict[str, Any] = msgspec.json.decode(done.stdout, type=dict[str, Any])
    except msgspec.DecodeError:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        more = f": {shown(said[-1])}" if said else ""
        return {"error": f"the process for it ended with code {done.returncode}{more}; ask again"}
    return answer


def _digest(fleet: SnapshotRow) -> str:
    return chain.digest(zlib.decompress(fleet[2]))


def _path(given: object, *, needed: bool) -> str | None:
    if given is None and not needed:
        return None
    if not isinstance(given, str) or "\0" in given or not os.path.isabs(given):
        raise Refused("file: an absolute path is needed")
    return given


def _moment(given: object) -> str:
    if not isinstance(given, str):
        raise Refused("before: a time or @SEQ is needed")
    if len(given) > _LONGEST_TIME:
        raise Refused(f"before: a time has {_LONGEST_TIME} characters at most")
    try:
        moment(given)
    except (ValueError, OverflowError) as error:
        raise Refused(f"before: {error}") from None
    return given
