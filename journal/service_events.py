"""Bodies of the events about the service of a vassal that runs: its sockets."""

from .body import Body


class ListenOpened(Body, frozen=True):
    """The addresses that a ``change`` adds are open: it is the event that ordered to open them."""

    change: int


class ListenRefused(Body, frozen=True):
    """An address that a ``change`` adds cannot be had, so the vassal runs on as it is."""

    change: int
    reason: str
