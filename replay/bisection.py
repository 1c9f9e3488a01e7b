"""``bisect``: which deploy of a vassal first made it fail, and what that one changed.

Nothing has to be tried, as ``git bisect`` does: the outcome of each deploy is known. So the deploys
are walked back from the present to the last bad one, and on to the first one of that run. A deploy
is *bad* by a predicate: by its outcome (``died``, ``rolled_back`` or ``barred`` unless told), or as
its config has a text. One that tells nothing either way, as another came first, is skipped.

A file whose older events are in an archive begins with a snapshot. The configs that a vassal has in
it count as deploys (``first_deploys.py``).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.deploys import Deploy
from ..daemon.core.fleet import Fleet
from ..journal.deploys import DEPLOYED
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..journal.times import EventNumber, took
from ..monitors.names import shown
from . import texts
from .beginnings import or_in_archive, or_in_archive_since
from .clocks import in_line
from .deploys import deploy_record, deploys
from .first_deploys import FirstDeploy, first_deploys
from .names import check_known
from .periods import Period
from .rebuild import NotFound, fleet_at

BAD: Final = ("died", "rolled_back", "barred")
GOOD: Final = ("accepting", "running")


class NoFirstBad(NotFound):
    """No deploy is bad, or the first one is in an archive.

    ``good`` is the last good one before it, or before those that were refused, if that is known.
    """

    def __init__(self, told: str, good: Deploy | None) -> None:
        super().__init__(told)
        self.good = good


Judge = Callable[[Deploy], bool | None]
"""Whether a deploy is bad; None where it tells nothing."""


class Found(msgspec.Struct, frozen=True):
    """The answer. ``between`` are those behind the last good one that tell nothing."""

    first_bad: Deploy
    last_good: Deploy | None
    between: tuple[Deploy, ...]
    bad: int  # deploys of that run that are bad
    good_again: Deploy | None


def by_outcome(bad: Sequence[str] = BAD) -> Judge:
    """Bad are these outcomes; good, of the others, those in which the vassal was up."""

    def judge(deploy: Deploy) -> bool | None:
        if deploy.outcome in bad:
            return True
        return False if deploy.outcome in (*GOOD, *BAD) else None

    return judge


def by_line(reader: Reader, text: bytes) -> Judge:
    """Bad are configs with this text; one that is not recorded tells nothing."""
    known = dict[str, bool | None]()

    def judge(deploy: Deploy) -> bool | None:
        if deploy.config is None:
            return None
        if deploy.config not in known:
            content = reader.config_text(deploy.config)
            known[deploy.config] = None if content is None else text in content
        return known[deploy.config]

    return judge


def bisect(reader: Reader, name: str, period: Period, judge: Judge) -> Found:
    """The first bad deploy of the last bad run in a period. Raises NotFound, Damaged.

    The last good one may be from before the period. A run that began before it is refused.
    """
    check_known(reader, name)
    which = Filter(vassal=name, until=EventNumber(period.upto))
    told = [each for each in deploys(reader, which) if each.kind in DEPLOYED]
    before = [(each, judge(each)) for each in first_deploys(reader, name)]
    judged = [*before, *((each, judge(each)) for each in told)]
    inside = [is_bad for each, is_bad in judged[len(before) :] if period.has(each.seq)]
    is_bad_before = period.after is None and any(is_bad for _, is_bad in before)
    if not inside and not is_bad_before:
        none = f"{shown(name)} has no deploy {period} in this journal"
        raise NotFound(or_in_archive_since(reader, period.since, none))
    if not any(inside) and not is_bad_before:
        within = "" if period.after is None else f" {period}"
        refused = [each for each in told if period.has(each.seq) and each.outcome == "refused"]
        more = f"; {len(refused)} refused" if refused else ""
        good = [each for each, is_bad in judged if is_bad is False]
        none = f"no deploy of {shown(name)}{within} is bad; it has {len(inside)}, of them"
        text = f"{none} {inside.count(False)} good{more}"
        raise NoFirstBad(
            or_in_archive_since(reader, period.since, text),
            good[-1] if good and refused and refused[-1].seq > good[-1].seq else None,
        )
    found = _last_run(judged)
    if _is_older(reader, found.first_bad):
        begin = f"this file begins, with event {reader.anchor.seq + 1}"
        came = "may have come" if _is_unsure(found.first_bad) else "came"
        text = f"the first bad deploy of {shown(name)} {came} before {begin}"
        raise NoFirstBad(or_in_archive(reader, text), found.last_good)
    if not period.has(found.first_bad.seq):
        raise NotFound(
            f"{shown(name)} was bad before the period: event {found.first_bad.seq} is the first"
            " bad deploy; give an earlier --since"
        )
    return found


def _is_older(reader: Reader, deploy: Deploy) -> bool:
    """Whether its event is in an archive."""
    return deploy.seq <= reader.anchor.seq


def _is_unsure(deploy: Deploy) -> bool:
    """Whether it may be a good one."""
    return isinstance(deploy, FirstDeploy) and deploy.is_unsure


def _last_run(judged: Sequence[tuple[Deploy, bool | None]]) -> Found:
    bad = [place for place, (_, is_bad) in enumerate(judged) if is_bad]
    good_before = [place for place in range(bad[-1]) if judged[place][1] is False]
    last_good = good_before[-1] if good_before else None
    run = [place for place in bad if last_good is None or place > last_good]
    after = [each for each, is_bad in judged[run[-1] :] if is_bad is False]
    begin = 0 if last_good is None else last_good + 1
    return Found(
        judged[run[0]][0],
        None if last_good is None else judged[last_good][0],
        tuple(each for each, _ in judged[begin : run[0]]),
        len(run),
        after[0] if after else None,
    )


def difference(reader: Reader, name: str, found: Found) -> Iterator[bytes]:
    """Lines of a unified diff from the last good config to the first bad one. Raises NotFound."""
    good, bad = found.last_good, found.first_bad
    if good is None:
        return
    if not _is_older(reader, good):
        yield from texts.diff(reader, name, str(good.seq), str(bad.seq))
        return
    older = texts.Text(good.seq, good.at, good.config, is_older=True)
    yield from texts.unified(
        texts.text_of(reader, name, good.config), texts.text_of(reader, name, bad.config),
        older.label(name).encode(), texts.Text(bad.seq, bad.at, bad.config).label(name).encode(),
    )  # fmt: skip


def last_good(reader: Reader, fleet: Fleet, name: str) -> bytes:
    """The last config before the bad deploys up to a fleet. Raises NotFound, Damaged.

    Where none is bad and the last ones were refused, it is the one before those.
    """
    try:
        found = bisect(reader, name, Period(None, fleet.seq), by_outcome())
    except NoFirstBad as none:
        if none.good is None:
            raise
        last: Deploy | None = none.good
    else:
        last = found.last_good
        if last is None:
            text = f"no deploy of {shown(name)} before event {found.first_bad.seq} ran well"
            raise NotFound(or_in_archive(reader, text))
    assert last is not None
    if _is_older(reader, last):
        return texts.text_of(reader, name, last.config)
    return texts.deployed(reader, fleet_at(reader, last.seq), name)


# How it is told


def record(reader: Reader, name: str, found: Found) -> dict[str, Any]:
    """The answer in the shape of the surface."""
    last, again = found.last_good, found.good_again
    return {
        "vassal": name,
        "first_bad": deploy_record(found.first_bad),
        "last_good": None if last is None else _record(reader, last),
        "between": [_record(reader, each) for each in found.between],
        "bad": found.bad,
        "good_again": None if again is None else deploy_record(again),
        "diff": _text(reader, name, found),
    }


def _record(reader: Reader, deploy: Deploy) -> dict[str, Any]:
    """A deploy for programs. Of one in an archive, only the config and its outcome are known."""
    told = deploy_record(deploy)
    return {**told, "seq": None, "at": None, "kind": None} if _is_older(reader, deploy) else told


def _text(reader: Reader, name: str, found: Found) -> str | None:
    try:
        pieces = b"".join(difference(reader, name, found))
    except NotFound:  # a text that was not recorded
        return None
    return pieces.decode("utf-8", "backslashreplace")


def lines(reader: Reader, name: str, found: Found) -> Iterator[str]:
    """The answer for people, without the difference."""
    yield f"{shown(name)}: event {found.first_bad.seq} is the first bad deploy"
    if found.last_good is not None:
        yield _line(reader, "last good", found.last_good)
    for each in found.between:
        yield _line(reader, "tells nothing", each)
    yield _line(reader, "first bad", found.first_bad)
    if found.bad > 1:
        yield f"bad since then: {found.bad} deploys"
    if found.good_again is not None:
        yield _line(reader, "good again", found.good_again)
    if found.last_good is None:
        yield or_in_archive(reader, "no good deploy before it is in this journal")
    elif found.last_good.config == found.first_bad.config:
        yield "both have the same config: its text did not make it fail"


def _line(reader: Reader, what: str, deploy: Deploy) -> str:
    outcome: str = deploy.outcome
    is_older = _is_older(reader, deploy)
    if deploy.outcome_at is not None and deploy.outcome_seq != deploy.seq:
        after = "" if is_older else f" after {took(deploy.outcome_at - deploy.at)}"
        outcome += f"{after} (event {deploy.outcome_seq})"
    when, seq = in_line(deploy.at), str(deploy.seq)
    if is_older:
        when, seq = f"{f'before event {deploy.seq + 1}':{len(when)}}", "-"
    return f"{what + ':':14} {seq:>8}  {when}  {short(deploy.config):12}  {outcome}"
