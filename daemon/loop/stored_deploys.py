"""The deploys that the journal knows as open, for a daemon that starts."""

import logging

from ...journal.store import Journal
from ..core.deploys import Deploy, Deploys
from ..core.fleet import Fleet, from_json

log = logging.getLogger("emperor")


def followed(journal: Journal) -> Deploys:
    """The deploys without an outcome. Rows that the journal lacks are added first."""
    if journal.deploys.lacks_rows:
        try:
            _fill(journal)
        except Exception as error:  # an old event is damaged, or the disk is full
            log.warning("no outcome of a deploy is stored before the next start: %s", error)
    return Deploys(Deploy(*fields) for fields in journal.deploys.unsettled())


def _fill(journal: Journal) -> None:
    first = journal.snapshot(journal.begin + 1) if journal.begin else None
    fleet = Fleet() if first is None else from_json(first.fleet)
    follower = Deploys()
    for event in journal.tail(journal.begin):
        follower.take(fleet, event)
    journal.deploys.fill(follower.rows)
