"""URLs of amqp:// and amqps://: the broker, its credentials, the queue."""

import re
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import msgspec
import pika  # type: ignore[import-untyped]

from .. import names
from ..os_errors import error_text
from ..urls import MonitorURLError, without_secrets

HEARTBEAT: Final = 10  # seconds between signs of life; after two of them a broker is given up
_AUTHORITY: Final = re.compile(
    r"(?:(?P<user>[^:@]*)(?::(?P<password>.*))?@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@\[\]\s]*)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_SETTINGS: Final = ("queue", "cacertfile")
_LONGEST_WORD: Final = 255  # bytes of a name in AMQP


class Broker(msgspec.Struct, frozen=True):
    """Where the messages come from. ``queue`` is a durable queue's name, or None."""

    parameters: pika.ConnectionParameters
    queue: str | None = None


def parse(scheme: str, rest: str) -> tuple[str, Broker]:
    """The URL without its secrets, and where it leads to. Raises MonitorURLError."""
    end = min((rest.find(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    try:
        if "@" in tail:
            raise _Misspelt("in user, password, virtual host and queue write / as %2F, ? as %3F,"
                            " @ as %40")  # fmt: skip
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            raise _Misspelt(_flaw_of_authority(authority))
        path, _, query = tail.partition("?")
        settings = dict(_settings(query))
        host = (found["host"] or "localhost").strip("[]")
        parameters = pika.ConnectionParameters(
            host=host,
            port=_port(found["port"], 5671 if scheme == "amqps" else 5672),
            virtual_host=_decoded("the virtual host", path[1:]) or "/",
            credentials=pika.PlainCredentials(
                _decoded("the user", found["user"] or "guest"),
                unquote(found["password"] if found["password"] is not None else "guest"),
            ),
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": "emperord"},
            ssl_options=_security(host, settings.get("cacertfile")) if scheme == "amqps" else None,
        )
    except _Misspelt as flaw:
        # A misspelt part may be a password in the wrong place.
        shown = names.shown(without_secrets(f"{scheme}://{rest.partition('?')[0]}"))
        shown = shown if _AUTHORITY.fullmatch(authority) else f"{scheme}://…"
        raise MonitorURLError(f"{shown}: {flaw}") from None
    secret = found["password"] is not None
    address = f"{found['user']}:***@{authority.rpartition('@')[2]}" if secret else authority
    return f"{scheme}://{address}{tail}", Broker(parameters, settings.get("queue"))


class _Misspelt(Exception):
    pass


def _flaw_of_authority(authority: str) -> str:
    """The flaw of what should be user, password, host and port. Nothing of it is quoted."""
    userinfo, _, place = authority.rpartition("@")
    if "@" in userinfo:
        return "in user and password write @ as %40, : as %3A, / as %2F"
    if "[" in place or "::" in place:
        return "an IPv6 address is written in brackets: amqp://user:password@[::1]:5672/vhost"
    template = "write amqp://user:password@host:port/vhost"
    if re.fullmatch(r"[^\s:]*:[^:]*", place):
        return f"the host is followed by : and no port, a number from 1 to 65535; {template}"
    return template


def _settings(query: str) -> Iterator[tuple[str, str]]:
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key not in _SETTINGS:
            raise _Misspelt(f"?{key}= is no setting, there are {', '.join(_SETTINGS)}")
        if not value:
            raise _Misspelt(f"?{key}= has no value")
        yield key, _decoded(f"?{key}=", value)


def _decoded(what: str, text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _Misspelt(f"{what} is not UTF-8") from None
    if len(decoded.encode()) > _LONGEST_WORD or not decoded.isprintable():
        raise _Misspelt(f"{what} is longer than {_LONGEST_WORD} bytes or not printable")
    return decoded


def _port(text: str | None, usual: int) -> int:
    port = usual if text is None else int(text)
    if not 0 < port < 1 << 16:
        raise _Misspelt(f"the port is {port}, it must be from 1 to 65535")
    return port


def _security(host: str, authorities: str | None) -> pika.SSLOptions:
    try:
        return pika.SSLOptions(ssl.create_default_context(cafile=authorities), host)
    except OSError as error:
        raise _Misspelt(f"?cacertfile= cannot be used: {error_text(error)}") from None
