"""The base of the bodies of all events."""

from typing import ClassVar

import msgspec


class Body(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """Base of all bodies. ``v`` is the version of the fields, 1 when absent."""

    VERSION: ClassVar[int] = 1
    v: int = 1
