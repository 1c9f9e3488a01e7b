"""The incident of one vassal: its last break, its stop or its removal, as a post-mortem opens.

The break is taken from the story (``story.py``, ``breaks.py``). It has a moment: the deploy that
broke the vassal, or the beginning of the break where no deploy did. Changes are told around this
moment, not around the present. Without a break, the page is about the operator's stop or the
removal.

Three texts are compared: the last one that was up, the one that broke it, and the present one. A
line that the second has and the first lacks is a suspect, and other vassals that have it now are
named (``bad_lines.py``).
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.records import phase_of
from ..daemon.core.running import is_behind, running_config, unchecked_text
from ..journal.events import DeployRefused, Event, Exited
from ..journal.reading import Reader
from ..journal.times import for_people, took
from ..monitors.names import shown
from . import bad_lines, nearby_changes, why
from .authors import author, further
from .beginnings import look_in_archive, or_in_archive
from .breaks import Break, Mark, Repair
from .holds import hold_facts
from .page import Page, Section
from .story import Story

NOT_KNOWN: Final = "not known: emperord is no proxy, and sees no request"
_MOST_LOG: Final = 30  # lines
_MOST_NAMES: Final = 8
_MOST_DIFF: Final = 200  # lines


class Texts(msgspec.Struct):
    """The texts of a break: the last good config, the one that broke it, and the present one."""

    good: bytes | None
    bad: bytes | None
    now: bytes | None


def page(reader: Reader, told: Story) -> Page:
    """The page of a vassal's last incident."""
    broken = told.broken
    made = _without_break(reader, told) if broken is None else _of_break(reader, told, broken)
    made.altered = told.altered
    return made


def record(reader: Reader, told: Story) -> dict[str, Any]:
    """The incident for programs."""
    found = page(reader, told)
    at = told.at if told.broken is None else _moment(told.broken)
    return {
        "kind": "vassal",
        "title": found.title,
        "facts": dict(found.facts),
        "sections": {each.title: list(each.lines) for each in found.sections},
        "changes": [
            msgspec.to_builtins(each)
            for each in nearby_changes.changes(reader, at, told.seq, (told.name,))
        ],
        "altered": list(found.altered),
        "requests_refused": None,
        **{key: value for key, value in why.record(reader, told).items() if key != "facts"},
    }


# A break


def _of_break(reader: Reader, told: Story, broken: Break) -> Page:
    texts = _texts(reader, told, broken)
    sections = [
        *_diffs(told, broken, texts),
        _repairs(broken),
        _last_lines(reader, broken),
        *_elsewhere(reader, told, texts),
        _around(reader, told, _moment(broken)),
        Section("Events", list(why.item_lines(told)), "log"),
    ]
    return Page(
        _title(told, broken),
        list(_facts(reader, told, broken)),
        [section for section in sections if section is not None],
    )


def _title(told: Story, broken: Break) -> str:
    since = f"down since {for_people(broken.since)} UTC"
    if broken.until is None:
        held = f"was stopped by an operator; it was {since}"
        return f"{told.name} {held if _is_held(told) else f'is {since}'}"
    stopped = ", then stopped by an operator" if _is_held(told) else ""
    return f"{told.name} was down {why.how_long(broken)}{_until_removed(broken)}{stopped}"


def _is_held(told: Story) -> bool:
    return told.vassal is not None and told.vassal.held


def _until_removed(broken: Break) -> str:
    return ", until it was removed" if broken.removed else ""


def _moment(broken: Break) -> int:
    return broken.since if broken.broken_by is None else broken.broken_by.at


def _facts(reader: Reader, told: Story, broken: Break) -> Iterator[tuple[str, str]]:
    yield "down since", f"{for_people(broken.since)} UTC"
    if broken.until is None and _is_held(told):
        yield "up again", "not while an operator holds it; 'emperor-ctl start' ends that"
    elif broken.until is None:
        yield "up again", f"not yet; down for {took(told.at - broken.since)} as of event {told.seq}"
    else:
        sure = "" if broken.over else ", and not for long yet"
        lasted = took(broken.until - broken.since)
        when = f"{for_people(broken.until)} UTC (event {broken.until_seq})"
        yield "removed" if broken.removed else "up again", f"{when}, after {lasted}{sure}"
    if told.vassal is not None and told.vassal.held:
        yield from hold_facts(reader, told.vassal, told.seq)
    yield from _troubles(broken)
    yield from _blame(reader, broken)
    yield from _now(told)
    yield "requests refused", NOT_KNOWN


def _troubles(broken: Break) -> Iterator[tuple[str, str]]:
    first, last = broken.first, broken.last
    if not broken.deaths:
        yield "barred", f"{_mark(first)}; no process died of itself"
        return
    barred = f", and {why.bars(broken)}" if broken.bars else ""
    one = first.seq == last.seq
    told = _mark(first) if one else f"the first {_mark(first)}, the last {_mark(last)}"
    yield "deaths", f"{broken.deaths}{barred}: {told}"


def _mark(mark: Mark) -> str:
    return f"{mark.said} ({for_people(mark.at)[11:]}, event {mark.seq})"


def _blame(reader: Reader, broken: Break) -> Iterator[tuple[str, str]]:
    by = broken.broken_by
    if by is not None:
        yield "broken by", _deploy(by)
        event = _event(reader, by.seq)
        unknown = or_in_archive(reader, "not in this file")
        yield "changed by", unknown if event is None else changed_by(event)
        good = broken.last_good
        none = "none in this file" if reader.anchor.seq else "none: it never ran before"
        yield "last good", or_in_archive(reader, none) if good is None else _deploy(good)
        return
    if broken.under is None:
        text = "not known: the deploy is not in this file"
        yield "broken by", or_in_archive(reader, text)
        return
    ran = took(broken.first.at - broken.under.at)
    said = broken.first.said
    blame = f"the first death: {said}" if broken.first.outside else "it had run well before"
    yield "broken by", f"no deploy is known to be the cause; {blame}"
    yield "deployed then", f"{_deploy(broken.under)}, {ran} before the first death"


def _deploy(mark: Mark) -> str:
    config = "" if mark.config is None else f", config {short(mark.config)}"
    event = "archived, up since" if mark.archived else f"event {mark.seq},"
    return f"{event} {for_people(mark.at)} UTC{config}"


def _event(reader: Reader, seq: int) -> Event | None:
    row = reader.row(seq)
    return None if row is None else reader.decode(row)


def changed_by(event: Event) -> str:
    """The author of a change, as far as its source tells."""
    source = shown(event.monitor or "-")
    by = author(event.body)
    more = [f"{key} {value}" for key, value in further(event.body).items()]
    if by is not None or more:
        return shown(", ".join([by or f"{source} tells no author", *more]))
    return f"not known: {source} tells no author"


def _now(told: Story) -> Iterator[tuple[str, str]]:
    vassal = told.vassal
    if vassal is None:
        yield "now", "removed"
        return
    reason = f": {vassal.reason}" if vassal.reason else ""
    runs = ""
    if is_behind(vassal):
        running = running_config(vassal)
        runs = f", runs {'an unknown config' if running is None else f'config {short(running)}'}"
    config = short(vassal.spec.config)
    yield "now", f"{phase_of(vassal)}{reason}{runs}, wants config {config}"
    unchecked = unchecked_text(vassal, told.fleet.rollouts)
    if unchecked is not None:
        yield "its change", unchecked.removeprefix("its change ")


def _texts(reader: Reader, told: Story, broken: Break) -> Texts:
    def text(digest: str | None) -> bytes | None:
        return None if digest is None else reader.config_text(digest)

    bad = broken.broken_by
    good = broken.last_good
    now = told.vassal.spec.config if told.vassal is not None else None
    return Texts(
        text(None if good is None else good.config),
        text(None if bad is None else bad.config),
        text(now),
    )


def _diffs(told: Story, broken: Break, texts: Texts) -> Iterator[Section]:
    by, good = broken.broken_by, broken.last_good
    if by is None or good is None:
        return
    lines = bad_lines.diff(texts.good, texts.bad, good.event, f"event {by.seq}")
    title = "The change that broke it"
    if lines:
        yield Section(title, lines[:_MOST_DIFF], "diff")
    elif by.config == good.config:
        yield Section(title, ["The text is the same; user, address or path may differ."])
    else:
        yield Section(title, ["The texts are not in this journal."])
    if told.vassal is None or told.vassal.spec.config == by.config:
        return
    title = "The last good config, compared with the present one"
    if told.vassal.spec.config == good.config:
        yield Section(title, ["They are the same."])
        return
    lines = bad_lines.diff(texts.good, texts.now, good.event, f"event {told.seq}")
    yield Section(title, lines[:_MOST_DIFF], "diff")


def _repairs(broken: Break) -> Section | None:
    title = "Repairs that were tried"
    if not broken.repairs:
        return Section(title, ["None."])
    return Section(title, [_repair(broken, each) for each in broken.repairs], "list")


def _repair(broken: Break, each: Repair) -> str:
    sign = why.sign(broken, each)
    config = f", config {short(each.config)}" if each.config else ""
    good = broken.last_good
    if good is not None and each.config == good.config:
        config += f", the text of {good.event}"
    outcome = "too late, it was up again" if each.outcome == "late" else str(each.outcome)
    if each.outcome_at is not None:
        outcome += f" after {took(each.outcome_at - each.at)} (event {each.outcome_seq})"
    when = for_people(each.at)[11:]
    return f"{sign} {when} {each.said}{config} (event {each.seq}): {outcome}"


def _last_lines(reader: Reader, broken: Break) -> Section | None:
    for mark in (broken.first, broken.last):
        event = _event(reader, mark.seq)
        if event is not None and isinstance(event.body, Exited | DeployRefused) and event.body.log:
            lines = event.body.log.splitlines()
            title = f"Its last lines before the death of event {mark.seq}"
            if mark.barred:
                title = f"The last lines of its preflight (event {mark.seq})"
            return Section(title, lines[-_MOST_LOG:], "log")
    return Section("Its last lines before it died", ["None are recorded."])


def _elsewhere(reader: Reader, told: Story, texts: Texts) -> Iterator[Section]:
    if texts.bad is None:
        return
    title = "Other vassals that have a line of that change now"
    added = bad_lines.added(texts.good, texts.bad)
    found = bad_lines.elsewhere(reader, told.fleet, added, told.name)
    if not found:
        yield Section(title, ["None."])
        return
    lines = []
    for each in found:
        some = ", ".join(_with_phase(told, name) for name in each.vassals[:_MOST_NAMES])
        left = len(each.vassals) - _MOST_NAMES
        lines.append(f"{some}{f' and {left} more' if left > 0 else ''}: {each.line}")
    yield Section(title, lines, "log")


def _with_phase(told: Story, name: str) -> str:
    return f"{shown(name)} ({told.fleet.vassals[name].phase})"


def _around(reader: Reader, told: Story, at: int) -> Section:
    found = nearby_changes.changes(reader, at, told.seq, (told.name,))
    lines = [f"{for_people(each.at)[11:]} {each}" for each in found]
    title = "Also changed within a minute of it"
    return Section(title, lines, "list") if lines else Section(title, ["Nothing."])


# An operator's stop, a removal, or nothing


def _without_break(reader: Reader, told: Story) -> Page:
    vassal = told.vassal
    at = told.at if vassal is None else vassal.since
    if vassal is None:
        title = f"{told.name} was removed"
        row = reader.last_of(told.name, ("vassal_removed", "vassal_destroyed"), told.seq)
        at = row[1] if row is not None else at
    elif vassal.held:
        title = f"{told.name} was stopped by an operator"
    else:
        since = f" since event {reader.anchor.seq + 1}" if reader.anchor.seq else ""
        title = f"{told.name} had no incident{since}; it is {vassal.phase}"
    facts = list(why.facts(reader, told))
    if reader.anchor.seq and ("older events", look_in_archive(reader)) not in facts:
        facts.append(("older events", look_in_archive(reader)))
    facts.append(("requests refused", NOT_KNOWN))
    sections = [
        _around(reader, told, at),
        Section("Events", list(why.item_lines(told)), "log"),
    ]
    return Page(title, facts, sections)
