"""mongodb+srv://: as mongodb://, with the servers that DNS names (SRV and TXT records)."""

from ..options import MonitorOptions
from .monitor import Mongo, open_srv


def open_url(rest: str, options: MonitorOptions) -> Mongo:
    """The monitor of ``mongodb+srv://rest``. Raises MonitorURLError."""
    return open_srv(rest, options)
