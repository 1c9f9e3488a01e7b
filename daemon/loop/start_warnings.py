"""Warnings of a start about sources that give nothing, so that a typing error is seen at once."""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from ...journal.times import rfc3339
from ...monitors.named_files import is_one_file
from ..core.fleet import Fleet

NO_FILE: Final = "there is no such file"


def warnings(
    fleet: Fleet, began: int, silent: Collection[str], rejects: Callable[[str], bool]
) -> Iterator[str]:
    """The lines for a start that ``began`` at that time.

    An outage that began since then was logged as it was recorded; one that is older is not recorded
    again. ``silent`` sources have not answered yet. A source that ``rejects`` something has said
    so already.
    """
    owners = {vassal.monitor for vassal in fleet.vassals.values()}
    for url in fleet.monitors:
        outage = fleet.outages.get(url)
        if outage is not None:
            if outage.since <= began:
                since = rfc3339(outage.since)
                yield f"{url}: still cannot be read, since {since} ({outage.reason})"
        elif url.startswith("glob://") and not (url in owners or url in silent or rejects(url)):
            yield f"{url}: {lacks(url)}"


def lacks(url: str) -> str:
    """The warning about a source that has no vassal."""
    if not url.startswith("glob://"):
        return "it has no vassal"
    return NO_FILE if is_one_file(url) else "no config matches it"
