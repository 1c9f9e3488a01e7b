"""mongodb+srv://: as mongodb://, with the servers that DNS names (SRV and TXT records)."""

from .mongo import Mongo, open_srv
from .options import MonitorOptions


def open_url(rest: str, options: MonitorOptions) -> Mongo:
    """The monitor of ``mongodb+srv://rest``. Raises MonitorURLError."""
    return open_srv(rest, options)
