"""Config texts of the journal that differ from their recorded digests: the file was changed.

The hash chain covers the digest of a text, and not the text itself. The daemon never runs a text
that differs. It looks for such texts at its start, and takes each anew when the vassal's source
gives it.
"""

import logging
from typing import Final

from ...journal.store import Journal
from ...monitors.registry import announces
from ..core.fleet import Fleet

NOT_THERE: Final = "its config is not in the journal as it was recorded"

log = logging.getLogger("emperor")

_MOST_NAMED: Final = 20


def find(fleet: Fleet, journal: Journal) -> list[str]:
    """Vassals with a config text that differs from the record; the log names them. Raises Damaged.

    A text that is gone counts where there is no file, since the vassal gets its config from here.
    """
    specs = {name: vassal.spec for name, vassal in fleet.vassals.items()}
    wanted = {name: spec.config for name, spec in specs.items() if spec.config is not None}
    altered = journal.texts.altered(set(wanted.values()))
    names = [
        name
        for name, digest in wanted.items()
        if altered.get(digest) == "changed" or (digest in altered and specs[name].path is None)
    ]
    for name in names[:_MOST_NAMED]:
        log.error(
            "%s: the journal's text of its config is not what was recorded (%s); %s;"
            " 'emperor-replay verify' says what else was altered",
            name,
            wanted[name],
            advice(fleet.vassals[name].monitor),
        )
    if len(names) > _MOST_NAMED:
        log.error("and so for %d others", len(names) - _MOST_NAMED)
    return names


def advice(source: str) -> str:
    """How the text comes back from a source, by its URL."""
    if announces(source):
        return "announce it again, as its source tells each config once"
    return "the daemon asks its source for it at each start, and takes it anew when that answers"
