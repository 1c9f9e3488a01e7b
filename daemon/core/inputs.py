"""The host's news, as the loop takes them: bytes of vassals, and events of their processes."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from .draft import Draft


class VassalByte(msgspec.Struct, frozen=True, gc=False):
    """A vassal sent a byte that the fleet may want to know of."""

    vassal: str
    attempt: int
    byte: int
    reloads: int = 0  # that this daemon had sent to the process by then


class Notice(msgspec.Struct, frozen=True, gc=False):
    """A program notified something that no byte of uWSGI says."""

    vassal: str
    attempt: int
    about: Literal["reloading", "stopping", "time", "hang"]
    seconds: float = 0.0  # the time that it asks for


class HostEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that is an event as it is."""

    draft: Draft


News = VassalByte | Notice | HostEvent
TellNews = Callable[[list[News]], Awaitable[None]]
"""Hands over news; returns when the events that they became are durable."""
