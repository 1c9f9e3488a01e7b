"""The deploys that the journal knows as open, for a daemon that starts."""

import logging

from ...journal.store import Journal
from ..core.deploys import Deploy, Deploys
from ..core.fleet import Fleet, from_json

log = logging.getLogger("emperor")


def followed(journal: Journal) -> Deploys:
    """The deploys without an outcome. Rows that the journal lacks are added first."""
    if journal.lacks_deploys:
        try:
            _fill(journal)
        except Exception as error:  # an old event is damaged, or the disk is full
            log.warning("the view deploys lacks former ones: %s", error)
    return Deploys(Deploy(*fields) for fields in journal.unsettled_deploys())


def _fill(journal: Journal) -> None:
    begin = journal.snapshot(journal.begins_after + 1) if journal.begins_after else None
    fleet = Fleet() if begin is None else from_json(begin.fleet)
    follower = Deploys()
    for event in journal.tail(journal.begins_after):
        follower.take(fleet, event)
    journal.fill_deploys(follower.rows)
