"""The break: since when a vassal is down, which deploy broke it, and which repairs were tried.

A crash loop outlives several edits. The last edit is a repair that failed, not the cause. The cause
is the deploy that ran when the first process died. So the record of one vassal is read as *marks*
(``marks.py``), and ``breaks`` follows them:

- A break begins with a death that nothing ordered. Until then the vassal was up, or was stopped for
  that deploy, or was started by an operator.
- Each deploy and each request of an operator after it is a repair that was tried. One that comes
  when the vassal is up again is *late*, unless it may be up only to die again. A death for which a
  late deploy is to blame begins another break.
- It ends when the vassal comes up and stays up. It has stayed up when it is loyal, or when the last
  death was ``Patience.quiet`` ago. It has also stayed up when it ran for more than twice as long as
  any process that died in this break.
- It also ends when nothing wants the vassal up any more: it was removed, or its work is done. A
  deploy or a start after that begins anew.

``breaks`` is pure. All times are UTC nanoseconds.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from ..daemon.cli.digests import short

What = Literal[
    "deploy",  # its source gives a config
    "run",  # a process is told to run a config, if told that of the mark: a spawn or a reload
    "up",  # the process accepts; a plain program: it runs
    "loyal",
    "death",  # an end that nothing ordered, a start that failed, a bar
    "end",  # an end that was ordered, or one that is no failure
    "request",  # of an operator
    "gone",  # its source gives it no longer
    "passed",  # its preflight has: the config that was deployed last may run
    "refused",  # that config may not run, and the one before is started meanwhile
]
Outcome = Literal["accepting", "running", "died", "refused", "superseded", "late", "pending"]

_SECOND: Final = 1_000_000_000


class Mark(msgspec.Struct, frozen=True):
    """One thing that a vassal's record says. ``said`` puts it into words.

    ``outside``: a death whose cause is hardly the config: the machine refused the start, or another
    process sent a signal. ``barred``: a death at which no process ended, as none may run.
    ``starts``: an operator starts a vassal, which may have been held. ``checked``: a deploy that
    may not run before its preflight has passed. ``rests``: an end or a deploy after which
    nothing wants the vassal up. Its work is done, or it waits for a client. ``archived``: a deploy
    that came before the file begins, behind event ``seq``. ``again``: it is up, and died before
    that with the same config, maybe in a loop.
    """

    what: What
    seq: int
    at: int
    said: str = ""
    config: str | None = None
    outside: bool = False
    barred: bool = False
    starts: bool = False
    checked: bool = False
    rests: bool = False
    archived: bool = False
    again: bool = False

    @property
    def event(self) -> str:
        """The event, or that it is in an archive."""
        return f"config {short(self.config)} (archived)" if self.archived else f"event {self.seq}"


class Patience(msgspec.Struct, frozen=True):
    """How long a process must run, in nanoseconds.

    ``proven``: after this time a deploy is not to blame for a death. ``quiet``: after this time a
    death is another break.
    """

    proven: int = 30 * _SECOND
    quiet: int = 60 * _SECOND


PATIENCE: Final = Patience()


class Repair(msgspec.Struct):
    """A deploy or a request that came in a break, and its outcome.

    ``late``: the vassal was up again before it came.
    """

    seq: int
    at: int
    said: str
    config: str | None = None
    outcome: Outcome = "pending"
    outcome_seq: int | None = None
    outcome_at: int | None = None

    def settle(self, outcome: Outcome, mark: Mark) -> None:
        self.outcome, self.outcome_seq, self.outcome_at = outcome, mark.seq, mark.at

    @property
    def helped(self) -> bool:
        return self.outcome in ("accepting", "running")


class Break(msgspec.Struct):
    """A time for which a vassal was down, or came up only to die again.

    ``under`` is the deploy that ran at the first death. It is to blame (``broken_by``) unless the
    vassal had run with it for long enough, ``proved`` then. ``last_good`` is the last one before it
    that ran well. ``until`` is when it came up, None while it is down. It is ``over`` when it has
    stayed up, or when nothing wants it up any more. That is ``until`` if it never came up:
    ``removed`` by its source, or done. A bar begins a break and is among its deaths ``first`` and
    ``last``, but it is counted as one of ``bars``.
    """

    since: int
    first: Mark  # the first death
    last: Mark  # the last death
    under: Mark | None
    proved: bool
    last_good: Mark | None
    deaths: int = 0
    from_outside: int = 0  # of the deaths
    bars: int = 0
    repairs: list[Repair] = []
    until: int | None = None
    until_seq: int | None = None
    over: bool = False
    removed: bool = False
    up_for: int = 0  # nanoseconds between since and until for which it was up
    longest: int = 0  # run of a process that died in it

    @property
    def broken_by(self) -> Mark | None:
        return None if self.proved or self.first.outside else self.under

    @property
    def loops(self) -> bool:
        """Whether the vassal may have come up only to die again, with what it runs."""
        often = self.deaths > max(1, self.from_outside)
        return often or self.broken_by is not None

    @property
    def deploys(self) -> int:
        """The deploys among the repairs that did not come too late."""
        return sum(1 for each in self.repairs if each.config is not None and each.outcome != "late")


def breaks(
    marks: Iterable[Mark], patience: Patience = PATIENCE, now: int | None = None
) -> list[Break]:
    """The breaks of one vassal, in order. ``now`` is later than all marks."""
    follower = _Follower(patience)
    for mark in marks:
        follower.take(mark)
    if now is not None:
        follower.end(now)
    return follower.found


class _Follower:
    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.found: list[Break] = []
        self.open: Break | None = None
        self.deploy: Mark | None = None  # the last one
        self.deploys: list[Mark] = []
        self.target: Mark | None = None  # the last one that may run
        self.good: Mark | None = None  # the last one that ran well before the one that runs
        self.runs: Mark | None = None  # the deploy whose config runs, or ran last
        self.came_up = self.proven = self.died = False  # a process with that config
        self.told = self.told_at = 0  # the last event that told a process to run a config
        self.up: Mark | None = None  # since when it is up, None where it is down
        self.up_before = 0  # nanoseconds for which it was up before that, since the break's until
        self.down_since: int | None = None
        self.is_gone = False
        self.ended = 0  # the last event after which nothing wanted it up

    def take(self, mark: Mark) -> None:
        getattr(self, f"_{mark.what}")(mark)

    def _deploy(self, mark: Mark) -> None:
        if self._stays_up(mark.at):
            self._close()
        self._is_wanted(mark)
        self.deploy = mark
        self.deploys.append(mark)
        if not mark.checked:
            self.target = mark
        self._try(mark, config=mark.config or "")

    def _passed(self, _: Mark) -> None:
        self.target = self.deploy

    def _refused(self, mark: Mark) -> None:
        if self.open is not None and self.open.repairs:
            repair = self.open.repairs[-1]
            if repair.outcome == "pending":
                repair.settle("refused", mark)
        if self.target is None:
            self._death(mark)  # nothing else may run

    def _request(self, mark: Mark) -> None:
        if self._stays_up(mark.at):
            self._close()
        if mark.starts and self.open is None and self.up is None:
            self.down_since = mark.at  # until then it was down because an operator wanted it so
        self._try(mark)

    def _gone(self, mark: Mark) -> None:
        if self.open is not None:
            self.open.removed = self.open.until is None
        self._rest(mark)
        self._end_run()
        self.deploy = self.target = self.runs = None
        self.is_gone = True

    def _is_wanted(self, mark: Mark) -> None:
        """It is to be up from now on."""
        self.is_gone = False
        if self.up is None and self.down_since is None and not mark.rests:
            self.down_since = mark.at

    def _rest(self, mark: Mark) -> None:
        """Nothing wants it up from now on."""
        if self.open is not None and self.open.until is None:
            self.open.until, self.open.until_seq = mark.at, mark.seq
        self._close()
        self.up = self.down_since = None
        self.ended = mark.seq

    def _try(self, mark: Mark, config: str | None = None) -> None:
        if self.open is None:
            return
        if self.open.repairs and self.open.repairs[-1].outcome == "pending":
            self.open.repairs[-1].settle("superseded", mark)
        late = self.open.until is not None and not self.open.loops
        outcome: Outcome = "late" if late else "pending"
        self.open.repairs.append(Repair(mark.seq, mark.at, mark.said, config, outcome))

    def _run(self, mark: Mark) -> None:
        self._note_time(mark.at)
        self.told, self.told_at = mark.seq, mark.at
        self._is_wanted(mark)
        if mark.config is not None and self.target and self.target.config != mark.config:
            # The change was taken back, or comes back by the word of an operator.
            same = (each for each in reversed(self.deploys) if each.config == mark.config)
            self.target = next(same, self.target)
        if self.target is None or self.runs is self.target:
            return
        self._end_run()
        self.runs = self.target

    def _end_run(self) -> None:
        """The config that ran is not the one that runs next."""
        if self.runs is not None and self.came_up and (self.proven or not self.died):
            self.good = self.runs
        self.came_up = self.proven = self.died = False

    def _up(self, mark: Mark) -> None:
        self.up_before = self._up_for(mark.at)
        self.up, self.down_since, self.came_up = mark, None, True
        self.died = self.died or mark.again
        if self.open is None:
            return
        until, repair = self.open.until, self._tried()
        if repair is not None and repair.outcome != "pending":
            repair = None
        if until is None:
            self._ends_with(mark)
        elif repair is not None and repair.at > until and self.open.deaths > 1:
            self.open.up_for += self.up_before  # it came up before, in a loop
            self._ends_with(mark)
        if repair is not None:
            repair.settle("running" if mark.said == "running" else "accepting", mark)

    def _ends_with(self, mark: Mark) -> None:
        """The break ends with this mark, as far as is known."""
        assert self.open is not None
        self.open.until, self.open.until_seq = mark.at, mark.seq
        self.up_before = 0

    def _loyal(self, mark: Mark) -> None:
        if self.up is None:
            self._up(mark)
        self.proven = True
        self._close()

    def _death(self, mark: Mark) -> None:
        if self.is_gone:
            self._rest(mark)  # it was to end
            return
        run = self._run_until(mark.at)
        self._note_time(mark.at)
        if self._is_quiet(mark.at):
            self._close()
        now = self.open or self._last_goes_on(mark)
        if now is None or self._is_of_late(now, mark):
            self._close()
            now = self._begin(mark)
            self.found.append(now)
        else:
            now.last = mark
            now.up_for += self._up_for(mark.at)
        self.open = now
        if mark.barred:
            now.bars += 1
        else:
            now.deaths += 1
            now.from_outside += mark.outside
        now.longest = max(now.longest, run)
        now.until, now.until_seq, now.over = None, None, False
        repair = self._tried()
        if repair is not None and repair.outcome != "died":
            repair.settle("died", mark)
        self.died = self.died or not mark.outside
        self._is_down(mark)
        self.up_before = 0

    def _begin(self, mark: Mark) -> Break:
        since = mark.at if self.down_since is None else self.down_since
        under = self.runs or self.deploy
        good = self.runs if self.proven else self.good
        return Break(since, mark, mark, under, self.proven, good)

    def _last_goes_on(self, mark: Mark) -> Break | None:
        """The break before, if it ended a moment ago and nothing was deployed since."""
        last = self.found[-1] if self.found else None
        if last is None or last.until is None or mark.at - last.until >= self.patience.quiet:
            return None
        if last.first.seq < self.ended:
            return None
        newest = last.repairs[-1].seq if last.repairs else last.first.seq
        return None if self.target is not None and self.target.seq > newest else last

    def _is_of_late(self, now: Break, mark: Mark) -> bool:
        """Whether a death is the fault of a deploy that came when the vassal was up again."""
        if now.until is None or now.loops or self.proven or mark.outside or self.runs is None:
            return False
        seq = self.runs.seq
        return any(each.seq == seq and each.outcome == "late" for each in now.repairs)

    def _end(self, mark: Mark) -> None:
        self._note_time(mark.at)
        if self._stays_up(mark.at):
            self._close()
        if mark.rests or self.is_gone:
            self._rest(mark)
        else:
            self._is_down(mark)

    def _is_down(self, mark: Mark) -> None:
        self.up_before = self._up_for(mark.at)
        self.up = None
        if self.down_since is None:
            self.down_since = mark.at

    def _tried(self) -> Repair | None:
        """The last repair, if a process was told to run since."""
        repairs = [] if self.open is None else self.open.repairs
        if not repairs or repairs[-1].seq > self.told:
            return None
        if repairs[-1].config is not None and self.runs is not self.deploy:
            return None  # told to run the config before: it is being checked, or was refused
        return repairs[-1]

    def _stays_up(self, at: int) -> bool:
        if self.open is None or self.up is None:
            return False
        return self._run_until(at) > 2 * self.open.longest or self._is_quiet(at)

    def _is_quiet(self, at: int) -> bool:
        """Whether it is up, and its last death was so long ago that the next is another break."""
        last = self.open
        return last is not None and self.up is not None and at - last.last.at >= self.patience.quiet

    def _run_until(self, at: int) -> int:
        """How long it has been up with the config that it runs."""
        return 0 if self.up is None else at - max(self.up.at, self.told_at)

    def _note_time(self, at: int) -> None:
        """Its config runs well, if it has been up with it for long enough."""
        self.proven = self.proven or self._run_until(at) >= self.patience.proven

    def _up_for(self, at: int) -> int:
        """How long it has been up since the ``until`` of its last break."""
        return self.up_before + (0 if self.up is None else at - self.up.at)

    def _close(self) -> None:
        if self.open is not None and self.open.until is not None:
            self.open.over = True
            self.open = None

    def end(self, now: int) -> None:
        """The record ends."""
        if self._stays_up(now):
            self._close()
