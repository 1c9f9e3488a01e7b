"""The outcomes of deploys that the daemon stored, for a quick ``history``.

To fold a million events takes seconds. The daemon has concluded the outcomes already, and wrote
them with the events (table ``deploy``). The chain does not protect that table, so each row is
compared with the events. The outcome must be one that its event can have, and the config before
must be the one that was deployed before. A row that does not fit ends this quick way, and
``deploys.py`` folds the rest. ``verify`` compares all rows with a full fold.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from ..daemon.core.deploys import Deploy
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.reading import Reader
from ..journal.selection import Filter

_COLUMNS: Final = """event.seq, event.at, event.vassal, event.monitor, event.kind,
    CASE WHEN json_valid(event.body) THEN json_extract(event.body, '$.spec.config') END,
    deploy.previous, deploy.outcome, deploy.outcome_seq, news.at,
    news.kind, news.vassal, json_valid(event.body)"""
_TABLES: Final = """event LEFT JOIN deploy ON deploy.seq = event.seq
    LEFT JOIN event AS news ON news.seq = deploy.outcome_seq"""
_DEATHS: Final = ("exited", "heartbeat_lost", "health_lost", "spawn_failed", "deadline_passed")
# The kinds of events that an outcome follows from; any, where it is not here.
_NEWS: Final = {
    "accepting": ("vassal_accepting", "deadline_passed"),
    "died": _DEATHS,
    "superseded": DEPLOYS,
    "refused": ("deploy_refused", "vassal_resigned", *_DEATHS),
    "rolled_back": (*_DEATHS, "operator_requested"),
}
_OUTCOMES: Final = (*_NEWS, "running", "barred", "stopped", "held")


def stored(reader: Reader, which: Filter) -> Iterator[Deploy | None]:
    """The deploys that fit, in order; None, and no more, at the first that is not to be believed.

    Raises Damaged.
    """
    wanted: dict[str, Any] = {}  # by vassal, the config that it has, as far as was seen
    kinds = which.kinds or DEPLOYS
    follows = set(kinds) >= set(DEPLOYS) and which.monitor is None
    for row in reader.select(_COLUMNS, replace(which, kinds=kinds), tables=_TABLES):
        if not _fits(row) or (follows and row[6] != wanted.get(row[2], row[6])):
            yield None
            return
        deploy = Deploy(*row[:10])
        if deploy.outcome != "superseded" or deploy.outcome_seq != deploy.seq:
            wanted[deploy.vassal] = deploy.config if deploy.kind in DEPLOYED else None
        yield deploy


def _fits(row: tuple[Any, ...]) -> bool:
    """Whether a row of ``deploy`` goes with the events that it names."""
    seq, at, vassal, monitor, _, config, previous, outcome, news_seq, news_at, *news = row
    kind, about, valid = news
    if not valid or at.__class__ is not int or vassal.__class__ is not str:
        return False
    if any(one is not None and one.__class__ is not str for one in (monitor, config, previous)):
        return False
    if outcome == "pending":
        return news_seq is None
    if outcome not in _OUTCOMES or news_at.__class__ is not int or news_seq < seq:
        return False
    if outcome in _NEWS:
        return about == vassal and kind in _NEWS[outcome]
    return True
