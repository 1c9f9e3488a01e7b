"""ldaps://: as ldap://, within TLS."""

from .directory_service import DirectoryService, open_secured
from .options import MonitorOptions


def open_url(rest: str, options: MonitorOptions) -> DirectoryService:
    """The monitor of ``ldaps://rest``. Raises MonitorURLError."""
    return open_secured(rest, options)
