"""ldaps://: as ldap://, within TLS."""

from ..options import MonitorOptions
from .monitor import DirectoryService, open_secured


def open_url(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldaps://rest``. Raises MonitorURLError."""
    return open_secured(rest, options)
