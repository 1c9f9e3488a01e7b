"""amqps://: as amqp://, within TLS."""

from .amqp import AmqpMonitor, open_secured
from .options import MonitorOptions


def open_url(rest: str, options: MonitorOptions) -> AmqpMonitor:
    """The monitor of ``amqps://rest``. Raises MonitorURLError."""
    return open_secured(rest, options)
