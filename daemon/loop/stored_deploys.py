"""The deploys that the journal knows as open, for a daemon that starts."""

import logging

from ...journal.reading import Link
from ...journal.rows import Snapshot
from ...journal.store import Journal
from ..core.deploys import Deploy, Deploys
from ..core.fleet import Fleet, from_json, to_json

log = logging.getLogger("emperor")


def followed(journal: Journal) -> Deploys:
    """The deploys without an outcome. Rows that the journal lacks are added first."""
    if journal.deploys.lacks_rows:
        try:
            _fill(journal)
        except Exception as error:  # the disk is full
            log.warning("no outcome of a deploy is stored before the next start: %s", error)
    return Deploys(Deploy(*fields) for fields in journal.deploys.unsettled())


def _fill(journal: Journal) -> None:
    """Add all rows, or those behind the first snapshot behind the last event that is damaged."""
    reason = ""
    base = journal.deploys.base(journal.begin) if journal.begin else Snapshot(0, to_json(Fleet()))
    while base is not None:
        follower, reached = Deploys(), base.seq
        try:
            fleet = from_json(base.fleet)
            for event in journal.tail(base.seq):
                reached = event.seq
                follower.take(fleet, event)
        except Exception as error:  # whatever it is, a later snapshot may do without that event
            reason = str(error)
            base = journal.deploys.base(max(reached, getattr(error, "seq", None) or 0) + 1)
        else:
            break
    known, since = (Deploys(), journal.seq) if base is None else (follower, base.seq)
    journal.deploys.fill(known.rows, Link(since, journal.hash_of(since) or b""))
    if reason:
        log.warning("no outcome of a deploy up to event %d is stored: %s", since, reason)
