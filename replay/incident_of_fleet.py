"""The page of a fleet's incident: what a source did to its vassals, or how the daemon died.

``fleet_incidents.py`` finds the incidents, the newest first. This file chooses one and writes its
page. A crash loop is about one vassal, so its page is that of the vassal. It counts only if that
vassal has really a break with more than one death.

A page states what the journal has, and names what it cannot have. emperord is no proxy, so it knows
no refused request, and a listing has no author. A fact that is read from an altered event is marked
(``altered_rows.py``).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Fleet, Vassal
from ..daemon.core.running import is_behind
from ..journal.deploys import DEPLOYED
from ..journal.events import Adopted, DaemonStarted, Doubted, Exited
from ..journal.policy import Policy
from ..journal.reading import COLUMNS, Reader
from ..journal.times import Moment, for_people, took
from ..monitors.names import shown
from . import nearby_changes, open_end, why
from .altered_rows import altered
from .beginnings import or_in_archive_since
from .ends import essence_of
from .failed_ends import failed_ends
from .fleet_incidents import Incident, ending, incidents
from .incident_of_vassal import NOT_KNOWN
from .incident_of_vassal import page as page_of_vassal
from .page import Page, Section
from .rebuild import NotFound, fleet_at
from .sources import Sources

_DAY: Final = 86_400 * 10**9
_FAR: Final = 50_000  # events in which deaths are counted
_MOST: Final = 12
_MOST_NAMES: Final = 8
_MOST_DEAD: Final = 1_000  # vassals that died without a daemon


def page(reader: Reader, upto: int, since: Moment | None = None) -> Page:
    """The page of the last incident from ``since`` on, up to an event. Raises NotFound."""
    return _last(reader, upto, since)[1]


def record(reader: Reader, upto: int, since: Moment | None = None) -> dict[str, Any]:
    """The last incident for programs."""
    one, found = _last(reader, upto, since)
    return {
        **msgspec.to_builtins(one),
        "title": found.title,
        "facts": dict(found.facts),
        "sections": {each.title: list(each.lines) for each in found.sections},
        "altered": list(found.altered),
        "requests_refused": None,
    }


def _last(reader: Reader, upto: int, since: Moment | None) -> tuple[Incident, Page]:
    """The incident that began last, and its page."""
    found = incidents(reader, upto, None if since is None else reader.seq_before(since))
    while found:
        one = found.pop(0)
        if one.kind != "crash loop":
            made = _of_source(reader, one, upto) if one.about else _of_daemon(reader, one, upto)
            break
        told = why.tell(reader, one.about, upto)
        if told.broken is not None and told.broken.deaths > 1:
            made = page_of_vassal(reader, told)
            break
    else:
        text = (
            f"no incident is in this {'journal' if since is None else 'period'}: no outage, no mass"
            " removal, no crash loop, no death of the daemon"
        )
        raise NotFound(or_in_archive_since(reader, since, text))
    if not made.altered:
        seqs = [one.seq, one.last, *(one.outage or ()), one.doubted, *one.removed]
        made.altered = altered(reader, (seq for seq in seqs if seq is not None))
    made.sections = [*made.sections, _most_deaths(reader, upto), *_before(reader, found)]
    return one, made


def _most_deaths(reader: Reader, upto: int) -> Section:
    row = reader.row(upto)
    since = 0 if row is None else reader.seq_at(row[1] - _DAY)
    first = max(since, upto - _FAR)
    counted = Counter(end.vassal for end in failed_ends(reader, first, upto))
    title = f"Deaths by vassal, in a day at most (events {first + 1}-{upto})"
    if not counted:
        return Section(title, ["None."])
    lines = [f"{count} {shown(name)}" for name, count in counted.most_common(_MOST)]
    return Section(title, lines, "list")


def _before(reader: Reader, found: list[Incident]) -> Iterator[Section]:
    if found:
        sources = Sources.of(reader)
        lines = [
            f"{for_people(one.at)} {_subject(sources, one)}{one.text} (event {one.seq})"
            for one in found[:_MOST]
        ]
        yield Section("Before it", lines, "list")


def _subject(sources: Sources, one: Incident) -> str:
    if not one.about:
        return ""
    return f"{shown(one.about) if one.kind == 'crash loop' else sources.name(one.about)} "


def _names(names: list[str]) -> str:
    some = ", ".join(map(shown, names[:_MOST_NAMES]))
    return f"{some} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else some


# A source


def _of_source(reader: Reader, one: Incident, upto: int) -> Page:
    source = Sources.of(reader).name(one.about)
    before = fleet_at(reader, one.seq - 1) if one.seq > 1 else Fleet()
    its = [vassal for vassal in before.vassals.values() if vassal.monitor == one.about]
    facts = [("source", one.about), *_outage_facts(reader, one, upto)]
    facts += list(_removal_facts(reader, one, its))
    up = sum(1 for vassal in its if vassal.pid is not None)
    facts.append(("before", f"{len(its)} vassals, {up} with a process: state --seq {one.seq - 1}"))
    facts.append(("emptied by", f"not known: {source} tells no author"))
    facts.append(("requests refused", NOT_KNOWN))
    sections = [*_came_back(reader, one, before, upto)]
    sections.append(_around(reader, one.at, upto, "Also changed within a minute of it"))
    title = f"{source} {one.text}"
    if one.kind == "removal":
        title = f"{source} lost {len(one.removed)} of its {len(its)} vassals"
    return Page(title, facts, sections)


def _outage_facts(reader: Reader, one: Incident, upto: int) -> Iterator[tuple[str, str]]:
    if one.outage is None:
        yield "unreadable", "not within ten minutes before"
        return
    first, last = one.outage
    began = _at(reader, first)
    if last is None:
        now = took(_at(reader, upto) - began)
        yield "unreadable", f"since {for_people(began)} UTC (event {first}), {now} by event {upto}"
    else:
        ended = _at(reader, last)
        span = f"{for_people(began)} to {for_people(ended)[11:]} UTC"
        yield "unreadable", f"{span}, {took(ended - began)} (events {first}-{last})"
    yield "because", one.reason


def _removal_facts(reader: Reader, one: Incident, its: list[Vassal]) -> Iterator[tuple[str, str]]:
    if one.doubted is not None:
        row = reader.row(one.doubted)
        assert row is not None
        body = reader.decode(row).body
        assert isinstance(body, Doubted)
        when = f"{for_people(row[1])[11:]}, event {one.doubted}"
        yield "doubted", f"yes: {len(body.missing)} of {body.known} were missing ({when})"
    elif one.removed:
        yield "doubted", "no: fewer than five vassals were missing, or half of them or more stayed"
    if not one.removed:
        yield "removed", "none"
        return
    first, last = one.removed[0], one.removed[-1]
    began, ended = _at(reader, first), _at(reader, last)
    when = f"{for_people(began)} UTC, within {took(ended - began)} (events {first}-{last})"
    yield "removed", f"{len(one.removed)} of {len(its)} at once, {when}"
    if one.outage is not None and one.outage[1] is not None:
        back = took(began - _at(reader, one.outage[1]))
        yield "tied to the outage", f"yes: the source could be read again {back} before"


def _at(reader: Reader, seq: int) -> int:
    row = reader.row(seq)
    return 0 if row is None else row[1]


def _came_back(reader: Reader, one: Incident, before: Fleet, upto: int) -> Iterator[Section]:
    """The vassals that were removed, by the text with which they came back."""
    if not one.removed:
        return
    same, other, older, gone = [], [], [], []
    rows = [row for seq in one.removed if (row := reader.row(seq)) is not None]
    for row in sorted(rows, key=lambda row: str(row[4])):  # a listing has no order
        name, seq = str(row[4]), row[0]
        back = _next_deploy(reader, name, seq, upto)
        if back is None:
            gone.append(name)
            continue
        was = before.vassals.get(name)
        had = None if was is None else was.spec.config
        config = getattr(reader.decode(back).body, "spec").config  # noqa: B009
        if config == had:
            same.append(name)
        elif (first := _had(reader, name, config, seq)) is not None:
            older.append(f"{shown(name)} ({short(config)}, as in event {first})")
        else:
            other.append(f"{shown(name)} ({short(had)} -> {short(config)})")
    lines = []
    if same:
        lines.append(f"{len(same)} with the same text: {_names(same)}")
    if older:
        lines.append(f"{len(older)} with an older text: {', '.join(older[:_MOST_NAMES])}")
    if other:
        lines.append(f"{len(other)} with another text: {', '.join(other[:_MOST_NAMES])}")
    if gone:
        lines.append(f"{len(gone)} not back: {_names(gone)}")
    yield Section("Came back", lines, "list")
    last = one.removed[0] - 1
    told = [
        f"emperor-replay export-configs --at @{last} -o DIR",
        f"emperor-replay show NAME --seq {last}",
    ]
    yield Section("Texts from before", told, "log")


def _next_deploy(reader: Reader, name: str, after: int, upto: int) -> Any:
    rows = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE vassal = ? AND seq > ? AND seq <= ? AND kind IN (?, ?)"
        " ORDER BY seq LIMIT 1",
        name, after, upto, *DEPLOYED,
    )  # fmt: skip
    return rows[0] if rows else None


def _had(reader: Reader, name: str, config: str | None, upto: int) -> int | None:
    """The last deploy of this text for a vassal before an event."""
    rows = reader.fetch(
        "SELECT seq FROM event WHERE vassal = ? AND seq < ? AND kind IN (?, ?)"
        " AND json_extract(body, '$.spec.config') = ? ORDER BY seq DESC LIMIT 1",
        name, upto, *DEPLOYED, config,
    )  # fmt: skip
    return int(rows[0][0]) if rows else None


# The daemon


def _of_daemon(reader: Reader, one: Incident, upto: int) -> Page:
    row = reader.row(one.seq)
    assert row is not None
    event = reader.decode(row)
    assert isinstance(event.body, DaemonStarted)
    old = fleet_at(reader, one.seq - 1)
    now = fleet_at(reader, upto)
    facts = list(_ending_facts(reader, event.at, event.body, old, one))
    facts += list(_policy_facts(reader, event.body, old, one))
    facts += list(_rollout_facts(old, now))
    if upto == reader.head.seq and open_end.note(reader) is not None:
        facts.append(("the record ends", f"{for_people(now.at)} UTC; {open_end.OPEN_END}"))
    facts.append(("requests refused", NOT_KNOWN))
    sections = [
        _died_meanwhile(reader, one, upto),
        *_behind(reader, old, upto, now),
        _around(reader, event.at, upto, "Changed within a minute of it"),
    ]
    return Page(f"{one.text}, before {for_people(event.at)} UTC", facts, sections)


def _ending_facts(
    reader: Reader, at: int, body: DaemonStarted, old: Fleet, one: Incident
) -> Iterator[tuple[str, str]]:
    before = body.before
    silent = took(at - old.at)
    if before is None:
        boot = "the machine ran on" if body.boot == old.boot else "the machine was booted since"
        yield "how it ended", f"nothing told it to stop; {boot} (its boot id)"
    else:
        yield "how it ended", ending(before)
    away = None if before is None else before.away
    known = f"{took(away)} from its end to the next start" if away is not None else "at most"
    last = f"{silent} from its last event ({one.seq - 1}) to the next start (event {one.seq})"
    yield "nobody in charge", f"{known}; {last}" if away is not None else f"{known} {last}"
    yield "next start", f"{for_people(at)} UTC, version {shown(body.version)}, pid {body.pid}"


def _policy_facts(
    reader: Reader, body: DaemonStarted, old: Fleet, one: Incident
) -> Iterator[tuple[str, str]]:
    rows = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE kind = 'daemon_started' AND seq < ?"
        " ORDER BY seq DESC LIMIT 1",
        one.seq,
    )
    version = "not in this file"
    if rows:
        began = reader.decode(rows[0]).body
        assert isinstance(began, DaemonStarted)
        version = f"{shown(began.version)} (event {rows[0][0]})"
    yield "it decided by", f"version {version}, rules {old.rules}; {_policy(old.policy)}"
    if body.policy != old.policy or body.rules != old.rules:
        yield "the next one", f"rules {body.rules}; {_policy(body.policy, old.policy)}"
    else:
        yield "the next one", "the same policy and rules"


def _policy(policy: Policy, other: Policy = Policy()) -> str:  # noqa: B008
    """The options of a policy that differ from another's."""
    told = [
        f"{key.replace('_', '-')} {_value(getattr(policy, key))}"
        for key in policy.__struct_fields__
        if getattr(policy, key) != getattr(other, key)
    ]
    return f"policy {', '.join(told)}" if told else "the same policy"


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else shown(str(value))


def _rollout_facts(old: Fleet, now: Fleet) -> Iterator[tuple[str, str]]:
    for label, fleet in (("ran what was wanted then", old), ("run what is wanted now", now)):
        having = [vassal for vassal in fleet.vassals.values() if vassal.attempt is not None]
        behind = sum(map(is_behind, having))
        complete = "complete" if not behind else f"{behind} run an older config"
        told = f"{len(having) - behind} of {len(having)}: {complete}" if having else "none runs"
        yield label, f"{told} (event {fleet.seq})"


def _died_meanwhile(reader: Reader, one: Incident, upto: int) -> Section:
    """The vassals that ended while no daemon was there, or how many lived on.

    Before the next daemon is ready, it records each attempt that was under way: as adopted, or as
    ended. The end has ``away`` only where no keeper saw it.
    """
    title = "Vassals that died while no daemon was there"
    ready = reader.fetch(
        "SELECT seq FROM event WHERE seq > ? AND seq <= ?"
        " AND kind IN ('daemon_ready', 'daemon_started') ORDER BY seq LIMIT 1",
        one.seq, upto,
    )  # fmt: skip
    rows: list[Any] = reader.fetch(
        f"SELECT {COLUMNS} FROM event WHERE seq > ? AND seq <= ?"
        " AND kind IN ('adopted', 'exited') ORDER BY seq",
        one.seq, ready[0][0] if ready else upto,
    )  # fmt: skip
    adopted: set[tuple[str, int]] = set()
    died = []
    for event in map(reader.decode, rows):
        assert isinstance(event.body, Adopted | Exited)
        attempt = (str(event.vassal), event.body.attempt)
        if event.kind == "adopted":
            adopted.add(attempt)
        elif attempt not in adopted:  # otherwise the next daemon saw its end
            died.append(event)
    if not died and not ready:
        return Section(title, [f"Not known: at event {upto} the next daemon starts."], "list")
    if not died:
        count = len({name for name, _ in adopted})
        return Section(title, [f"None; the next daemon found {count} running."], "list")
    lines = [
        f"{shown(str(event.vassal))}: {essence_of(reader, event)} (event {event.seq})"
        for event in died[:_MOST_DEAD]
    ]
    if len(died) > _MOST_DEAD:
        lines.append(f"and {len(died) - _MOST_DEAD} more")
    return Section(title, lines, "list")


def _behind(reader: Reader, old: Fleet, upto: int, now: Fleet) -> Iterator[Section]:
    """The vassals that ran an older config when the daemon ended, and for how long."""
    lines: dict[str, list[str]] = {}
    for name in sorted(old.vassals):
        vassal = old.vassals[name]
        if not is_behind(vassal):
            continue
        since = reader.last_of(name, DEPLOYED, old.seq)
        began = old.at if since is None else since[1]
        rows = reader.fetch(
            "SELECT seq, at FROM event WHERE vassal = ? AND seq > ? AND seq <= ?"
            " AND kind IN ('vassal_accepting', 'spawned', 'vassal_removed') ORDER BY seq LIMIT 1",
            name, old.seq, upto,
        )  # fmt: skip
        if rows:
            key = f"for {took(rows[0][1] - began)}, until event {rows[0][0]}"
        else:
            when = for_people(began)[11:19]
            key = f"still, {took(now.at - began)} after its change at {when}"
        lines.setdefault(key, []).append(name)
    if lines:
        told = [f"{len(names)} {key}: {_names(names)}" for key, names in lines.items()]
        yield Section("Ran an older config when the daemon ended", told, "list")


def _around(reader: Reader, at: int, upto: int, title: str) -> Section:
    found = nearby_changes.changes(reader, at, upto)
    lines = [f"{for_people(each.at)[11:]} {each}" for each in found]
    return Section(title, lines or ["Nothing."], "list")
