"""``why``: the story of how a vassal came to be as it is, for people and for programs.

``story.py`` chooses what belongs to it. Before the events a line tells the break: since when the
vassal is down, which deploy broke it, and which repairs were tried. After them come the facts that
an operator needs next.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..daemon.core.fleet import Vassal
from ..daemon.core.records import deafness, noted_until, vassal_record
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.reading import Reader
from ..journal.times import rfc3339, took
from ..monitors.names import shown
from . import clocks, intact_events
from .beginnings import look_in_archive, or_in_archive
from .breaks import Break, Mark, Repair
from .clocks import stamp
from .config_facts import config_facts
from .ends import end_facts, essence_of
from .holds import hold_facts
from .names import check_known, first_fleet
from .rebuild import NotFound
from .sources import Sources
from .story import Item, Story, story, watched
from .waits import Watched

SIGNS: Final = {
    "accepting": "✓",
    "running": "✓",
    "died": "✗",
    "refused": "✗",
    "superseded": "-",
    "late": "-",
    "pending": "…",
}
_MOST: Final = 12  # repairs that are told
_DAY: Final = 86_400 * 10**9


class Stories:
    """The stories of vassals after an event, of which all are seen by one fold.

    ``now`` is the present, where a daemon writes the journal.
    """

    def __init__(
        self, reader: Reader, names: Sequence[str], seq: int, now: int | None = None
    ) -> None:
        self._reader, self._names, self._seq, self._now = reader, names, seq, now
        self._seen: dict[str, Watched] | None = None

    def tell(self, name: str) -> Story:
        """The story of one of them. Raises NotFound where it was not known then."""
        reader, seq = self._reader, self._seq
        check_known(reader, name)
        if self._seen is None:
            self._seen = watched(reader, self._names, seq)
        told = story(reader, name, seq, self._seen[name])
        if self._now is not None:
            told.now = max(told.at, self._now)  # the wall clock may have been set back
        if told.vassal is not None or reader.last_of(name, DEPLOYS, seq) is not None:
            return told
        first = reader.first_of(name)
        text = "no event of this file speaks of it"
        if first is not None:
            text = f"event {first[0]}, {stamp(first[1])}, is the first that speaks of it"
        raise NotFound(or_in_archive(reader, f"{shown(name)} was not known then; {text}"))


def tell(reader: Reader, name: str, seq: int) -> Story:
    """The story after event ``seq``. Raises NotFound where the vassal was not known then."""
    return Stories(reader, (name,), seq).tell(name)


# For people


def lines(reader: Reader, told: Story) -> Iterator[str]:
    """The story in lines of text."""
    yield _headline(told)
    if told.broken is not None and is_recent(told):
        yield break_line(told.broken)
    yield ""
    yield from item_lines(told)
    yield ""
    for label, fact in facts(reader, told):
        yield f"{label + ':':16} {fact}"


def _headline(told: Story) -> str:
    vassal = told.vassal
    of_event = [f"as of event {told.seq}"] if told.now is None else []
    if vassal is None:
        text, limits = "not there any more", of_event
    else:
        text = f"{vassal.phase}: {shown(vassal.reason)}" if vassal.reason else vassal.phase
        limits = [f"for {took(_present(told) - vassal.since)}", *of_event]
    behind = f" ({', '.join(limits)})" if limits else ""
    return f"{shown(told.name)} is {text}{behind}"


def _present(told: Story) -> int:
    """The time at which the story is told: that of its last event, unless a daemon goes on."""
    return told.at if told.now is None else told.now


def is_recent(told: Story) -> bool:
    """Whether the last break lasts, or ended less than a day ago."""
    broken = told.broken
    return broken is not None and (broken.until is None or _present(told) - broken.until < _DAY)


def break_line(broken: Break) -> str:
    """A break on one line: ``down since ..., 8 deaths, 3 deploys: broken by 45, ...``."""
    since = stamp(broken.since)
    if broken.until is None:
        text = f"down since {since}"
    elif broken.over:
        text = f"was down {how_long(broken)} from {since}"
        text += " until it was removed" if broken.removed else ""
    else:
        text = f"down since {since}, up again {took(broken.until - broken.since)} later"
    text += f", {troubles(broken)}"
    if broken.deploys:
        text += f", {_count(broken.deploys, 'deploy')}"
    return f"{text}: {', '.join(blame(broken))}"


def troubles(broken: Break) -> str:
    """How often its process died, and how often it was barred."""
    told = [_count(broken.deaths, "death")] if broken.deaths or not broken.bars else []
    if broken.bars:
        told.append(bars(broken))
    return ", ".join(told)


def bars(broken: Break) -> str:
    """How often a config was deployed that may not run."""
    return "barred" if broken.bars == 1 else f"barred {broken.bars} times"


def how_long(broken: Break) -> str:
    """How long a vassal was down, and whether it was up in between."""
    if broken.until is None:
        return ""
    lasted = broken.until - broken.since
    often = "on and off " if broken.up_for * 5 > lasted else ""
    return f"{often}for {took(lasted)}"


def blame(broken: Break) -> Iterator[str]:
    """The deploys of a break, by number: to blame, good, tried."""
    if broken.first.outside:
        under = "" if broken.under is None else f", under {_number(broken.under)}"
        yield f"no deploy to blame, but {shown(broken.first.said)}{under}"
    elif broken.broken_by is not None:
        yield f"broken by {_number(broken.broken_by)}"
    elif broken.under is not None:
        yield f"it had run well with {_number(broken.under)}"
    else:
        yield "broken by a deploy that is not in this file"
    if broken.broken_by is not None and broken.last_good is not None:
        yield f"last good {_number(broken.last_good)}"
    elif broken.broken_by is not None:
        yield "none good before"
    if broken.repairs:
        first = max(0, len(broken.repairs) - _MOST)
        tried = " ".join(f"{each.seq} {sign(broken, each)}" for each in broken.repairs[first:])
        yield f"repairs {f'({first} more) ' if first else ''}{tried}"


def _number(deploy: Mark) -> str:
    return deploy.event.removeprefix("event ")


def sign(broken: Break, repair: Repair) -> str:
    """Whether a repair has helped. Whether the last one has, is known when the break is over."""
    tried = [each for each in broken.repairs if each.outcome != "late"]
    if repair.helped and repair is tried[-1] and not broken.over:
        return SIGNS["pending"]
    return SIGNS[repair.outcome]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def item_lines(told: Story) -> Iterator[str]:
    """The events, with a line for each day."""
    day = ""
    log: list[str] = []
    source = None
    names = Sources.of_fleet(told.fleet)
    for item in told.items:
        when = clocks.told(item.at)
        if when[:10] != day:
            day = when[:10]
            yield f"{day} {clocks.zone(item.at)}"
        gone = item.kind in DEPLOYS and item.kind not in DEPLOYED
        new_source = item.monitor is not None and (gone or item.monitor != source)
        source = item.monitor or source
        yield f"{when[11:]}  {line(item, names.name(item.monitor) if new_source else '')}"
        if item.together is not None:
            yield f"              {item.together}"
        if item.log and item.log == log:
            yield "    | (the same lines again)"
        elif item.log:
            yield from (f"    | {shown(each)}" for each in item.log)
        log = item.log or log


def line(item: Item, source: str = "") -> str:
    """An item without its time; ``source`` is the name of the one that it is from, if told."""
    mark = "! " if item.altered else ""
    of = f", from {source}" if source else ""
    ordered = f" -> {', '.join(item.orders)}" if item.orders else ""
    if item.last is not None:
        return f"{mark}{item.text}  (events {item.seq}-{item.last})"
    return f"{mark}{item.text}{of}{ordered}  (event {item.seq})"


# The facts for an operator at 3 a.m.


def facts(reader: Reader, told: Story) -> Iterator[tuple[str, str]]:
    """The answers to the next questions of an operator, as labels and texts."""
    vassal = told.vassal
    if vassal is None:
        yield from _facts_of_gone(reader, told)
        return
    yield "phase", f"{vassal.phase} since {stamp(vassal.since)}"
    yield from _facts_of_process(vassal)
    if told.wait is not None:
        yield "slot", f"{told.wait}, since {stamp(told.wait.since)}"
    if vassal.deaths:
        yield "deaths in a row", str(vassal.deaths)
    if vassal.phase == "throttled" and vassal.deadline is not None:
        yield "next try", f"{stamp(vassal.deadline)}, {_wait(told, vassal.deadline)}"
    if vassal.phase == "barred":
        yield "next try", "when its config changes, or an operator says retry"
    yield from hold_facts(reader, vassal, told.seq)
    yield from config_facts(vassal, told.fleet)
    deployed = reader.last_of(vassal.name, DEPLOYED, told.seq)
    if deployed is not None:
        yield "last deploy", f"{stamp(deployed[1])} (event {deployed[0]})"
    yield from end_facts(reader, vassal, told.fleet)
    yield from _last_exit(reader, vassal.name, told.seq)
    outage = told.fleet.outages.get(vassal.monitor)
    if outage is not None:
        since = stamp(outage.since)
        yield "its source", f"cannot be read since {since}: {shown(outage.reason)}"
    if _needs_older(reader, told):
        yield "older events", look_in_archive(reader)


def _needs_older(reader: Reader, told: Story) -> bool:
    """Whether the archive may have what led to its phase, its last break, or a deploy of that."""
    begin = first_fleet(reader)
    if told.vassal is None or told.name not in begin.vassals:
        return False
    broken = told.broken
    if broken is not None and is_recent(told):
        return broken.under is None or (broken.broken_by is not None and broken.last_good is None)
    lately = _present(told) - begin.at < _DAY
    return lately or told.vassal.because <= reader.anchor.seq


def _wait(told: Story, deadline: int) -> str:
    """How long it is until the next try of a throttled vassal."""
    left = took(max(0, deadline - _present(told)))
    return (
        f"{left} after this; 'retry' ends it" if told.now is None else f"in {left}; 'retry' ends it"
    )


def _facts_of_process(vassal: Vassal) -> Iterator[tuple[str, str]]:
    if vassal.pid is None:
        return
    yield "process", f"pid {vassal.pid}{', loyal' if vassal.loyal else ''}"
    if (deaf := deafness(vassal)) is not None:
        yield "deaf", deaf
    if not vassal.control:
        yield "control socket", f"lost with a former daemon: {_without_control(vassal)}"


def _without_control(vassal: Vassal) -> str:
    if vassal.spec.path is None:
        return "a config cannot be sent to it, so its next change starts it anew"
    return "it is reloaded and stopped by signals"


def _last_exit(reader: Reader, name: str, seq: int) -> Iterator[tuple[str, str]]:
    row = reader.last_of(name, ("exited",), seq)
    for event, _ in intact_events.readable(reader, [] if row is None else [row]):
        text = f"{essence_of(reader, event)}, {stamp(event.at)} (event {event.seq})"
        yield "last exit", text


def _facts_of_gone(reader: Reader, told: Story) -> Iterator[tuple[str, str]]:
    row = reader.last_of(told.name, DEPLOYS, told.seq)
    for event, _ in intact_events.readable(reader, [] if row is None else [row]):
        what = event.kind.removeprefix("vassal_")
        by = shown(event.monitor or "-")
        yield what, f"{stamp(event.at)}, by {by} (event {event.seq})"
    yield from _last_exit(reader, told.name, told.seq)


# For programs


def record(reader: Reader, told: Story) -> dict[str, Any]:
    """The story in the shape of the surface."""
    vassal = told.vassal
    return {
        "vassal": told.name,
        "seq": told.seq,
        "at": rfc3339(told.at),
        "phase": None if vassal is None else vassal.phase,
        "since": None if vassal is None else rfc3339(vassal.since),
        "because": None if vassal is None else vassal.because,
        "reason": None if vassal is None else vassal.reason,
        "break": None if told.broken is None else break_record(told.broken),
        "wait": _wait_record(told),
        "events": [item_record(item) for item in told.items],
        "facts": dict(facts(reader, told)),
        "state": None
        if vassal is None
        else vassal_record(vassal, noted_until(told.fleet, told.at), told.fleet.rollouts),
    }


def break_record(broken: Break) -> dict[str, Any]:
    """A break for programs."""
    return {
        "since": rfc3339(broken.since),
        "until": _time(broken.until),
        "until_seq": broken.until_seq,
        "over": broken.over,
        "removed": broken.removed,
        "deaths": broken.deaths,
        "bars": broken.bars,
        "first_death": _mark_record(broken.first),
        "last_death": _mark_record(broken.last),
        "broken_by": _mark_record(broken.broken_by),
        "under": _mark_record(broken.under),
        "last_good": _mark_record(broken.last_good),
        "repairs": [_repair_record(each) for each in broken.repairs],
    }


def _mark_record(mark: Mark | None) -> dict[str, Any] | None:
    if mark is None:
        return None
    return {"seq": mark.seq, "at": rfc3339(mark.at), "said": mark.said, "config": mark.config}


def _repair_record(each: Repair) -> dict[str, Any]:
    return {
        "seq": each.seq,
        "at": rfc3339(each.at),
        "said": each.said,
        "config": each.config,
        "outcome": each.outcome,
        "outcome_seq": each.outcome_seq,
        "outcome_at": _time(each.outcome_at),
    }


def _wait_record(told: Story) -> dict[str, Any] | None:
    if told.wait is None:
        return None
    return {
        "since": rfc3339(told.wait.since),
        "slots": told.wait.slots,
        "waiting": told.wait.waiting,
    }


def item_record(item: Item) -> dict[str, Any]:
    """An item of the story for programs."""
    together = item.together
    return {
        "seq": item.seq,
        "at": rfc3339(item.at),
        "kind": item.kind,
        "vassal": item.vassal,
        "monitor": item.monitor,
        "text": item.text,
        "orders": item.orders,
        "cause": item.cause,
        "last": item.last,
        "altered": item.altered,
        "log": item.log,
        "together": None
        if together is None
        else {
            "kind": together.kind,
            "count": together.count,
            "first": together.first,
            "last": together.last,
            "kinds": together.kinds,
        },
    }


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
