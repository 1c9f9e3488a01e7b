"""The meaning of a message: a config, the end of a vassal, a file, a URL, or none."""

from typing import Final

import msgspec

from .. import names, rows
from ..contract import Refused
from ..options import MonitorOptions
from ..urls import split, without_secrets
from .connection import Delivery
from .fetching import flaw_of

NO_KEY: Final = "a message without a routing key"


class Config(msgspec.Struct, frozen=True):
    """It is the config of a vassal."""

    name: str
    content: bytes
    user: str = ""  # that published it


class End(msgspec.Struct, frozen=True):
    """It ends a vassal."""

    name: str
    user: str = ""


class File(msgspec.Struct, frozen=True):
    """It names a file."""

    path: str


class Address(msgspec.Struct, frozen=True):
    """It names a URL."""

    url: str


Meaning = Config | End | File | Address | Refused


def meaning(message: Delivery, options: MonitorOptions) -> Meaning:
    """The meaning of a message, by its key and body alone."""
    try:
        if message.key:
            return _keyed(message, options)
    except rows.Flaw as flaw:
        return Refused(rows.label_of(message.key), str(flaw))
    return _keyless(message.body, message.size, options)


def _keyed(message: Delivery, options: MonitorOptions) -> Meaning:
    name = rows.name_of(message.key, options)
    if message.body is None:
        raise rows.Flaw(
            f"the config has {message.size} bytes, {rows.LONGEST_CONFIG} fit the emperor protocol"
        )
    if not message.size:
        return End(name, message.user)
    return Config(name, rows.content_of(message.body), message.user)


def _keyless(body: bytes | None, size: int, options: MonitorOptions) -> Meaning:
    if not size:
        return Refused(NO_KEY, "its body is empty as well; to end a vassal, name it in the key")
    # A whole config, published without its key, may hold secrets: it is not shown.
    brief = body is not None and size <= names.LONGEST and b"\n" not in body
    text = body.decode("utf-8", "surrogateescape") if body is not None and brief else ""
    scheme = (split(text)[0] or "").lower()
    if not text.startswith("/") and scheme not in ("http", "https"):
        label = f"{NO_KEY}: {_harmless(text)}" if brief else f"{NO_KEY}, of {size} bytes"
        return Refused(
            label,
            "its body is neither an absolute path nor an http(s) URL"
            " (a config needs its vassal's name as the routing key)",
        )
    flaw = names.flaw(text, options.extra_extension)
    if flaw is None and scheme:
        flaw = _flaw_of_url(text)
    if flaw is not None:
        return Refused(_harmless(text), flaw)
    return Address(text) if scheme else File(text)


def _flaw_of_url(text: str) -> str | None:
    # Before the rest, which quotes what it does not understand.
    if _harmless(text) != names.shown(text):
        return "the URL holds a secret, and as the vassal's name it would be seen everywhere"
    return flaw_of(text)


def _harmless(text: str) -> str:
    """A text to call a message by: printable, and no password in it."""
    scheme, rest = split(text)
    head, at, tail = rest.rpartition("@")
    hidden = f"{scheme}://***@{tail}" if scheme and at and head else text
    return names.shown(without_secrets(hidden))
