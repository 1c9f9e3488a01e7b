"""An event on its way into the record."""

import msgspec

from ...journal.events import Body


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that has no number and time yet."""

    kind: str
    body: Body
    monitor: str | None = None
    vassal: str | None = None
    cause: int | None = None
