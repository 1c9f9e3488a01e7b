"""postgresql:// and postgres://: as pg://, with a URI as libpq and its users know it."""

from ..options import MonitorOptions
from .monitor import Postgres, open_uri


def open_url(rest: str, options: MonitorOptions) -> Postgres:
    """The monitor of ``postgresql://rest``. Raises MonitorURLError."""
    return open_uri(rest, options)
