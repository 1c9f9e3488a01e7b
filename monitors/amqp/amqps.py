"""amqps://: as amqp://, within TLS."""

from ..options import MonitorOptions
from .monitor import AmqpMonitor, open_secured


def open_url(rest: str, options: MonitorOptions) -> AmqpMonitor:
    """The monitor of ``amqps://rest``. Raises MonitorURLError."""
    return open_secured(rest, options)
