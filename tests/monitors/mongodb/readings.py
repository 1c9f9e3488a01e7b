"""One reading of the source, and what it was not able to read."""

from emperord.monitors.contract import Listing
from emperord.monitors.options import MonitorOptions
from support.mongodb import MongoSource

from ..watching import NEVER, OFTEN, watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)

HASTE = 1.0  # seconds; the limit of monitors whose servers do not answer


async def listing_of(source: MongoSource, options: MonitorOptions = SELDOM) -> Listing:
    async with watching(source.monitor(options)) as watch:
        (told,) = watch.told
        assert isinstance(told, Listing), told
        return told
