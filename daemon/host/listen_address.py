"""The addresses at which vassals on demand are served.

| address | |
|---|---|
| `/run/app.sock`, `app.sock` | a UNIX socket; a relative path starts at the daemon's directory |
| `@name` | an abstract UNIX socket |
| `:8000`, `*:8000` | TCP, every IPv4 address of the machine |
| `127.0.0.1:8000`, `localhost:8000` | TCP, this one |
| `[::1]:8000`, `[::]:8000` | TCP over IPv6 |

Names of hosts are not looked up: that takes time, and the answer may change.
"""

import contextlib
import ipaddress
import os
import re
import socket
from typing import Any, Final

import msgspec

from ...journal import quantities
from ...journal.events import ListenFault
from ...monitors.names import shown

_LONGEST_ADDRESS: Final = 4095  # characters, as of a path (PATH_MAX)
_LOOKED_AT: Final = 1 << 16  # bytes of a config in which a line that binds is looked for
_SHORTHANDS: Final = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}  # noqa: S104  # asked for
# Options with which uWSGI binds an address, as .ini, YAML, JSON and XML write them; and comments in
# these formats.
_BINDING: Final = re.compile(
    rb"""(?<![\w-])(?:(?:[sp]?uwsgi|https?|http11|fastcgi(?:-nph)?|scgi(?:-nph)?|raw|shared)-)?"""
    rb"""(?:socket|https?|stats)["']?\s*[=:>]\s*["']?([^\s"'<>,]+)"""
)
# A comment that is not closed ends with the text: otherwise a text with many takes quadratic time.
_COMMENT: Final = re.compile(rb"(?m:^[ \t]*[;#].*$)|(?s:<!--.*?(?:-->|\Z))")


class CannotListen(Exception):
    """The address cannot be had. ``holder`` is the vassal that has it, at ``held_as``."""

    def __init__(
        self,
        reason: str,
        fault: ListenFault,
        holder: str | None = None,
        held_as: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.fault = fault
        self.holder = holder
        self.held_as = held_as


class ListenAddress(msgspec.Struct, frozen=True):
    """Where an address is. ``path`` is that of a socket file, ``port`` TCP's."""

    family: socket.AddressFamily
    name: Any  # as bind(2) takes it
    path: str | None = None
    port: int | None = None


def parse(address: str) -> ListenAddress:
    """Where this address is. Raises CannotListen."""
    if len(address) > _LONGEST_ADDRESS or "\0" in address:
        raise CannotListen(
            f"{shown(address[:40])}… is too long for an address, or has a NUL", "address"
        )
    if address.startswith("@"):
        return ListenAddress(socket.AF_UNIX, b"\0" + os.fsencode(address[1:]))
    host, colon, port = address.rpartition(":")
    if not colon or address.startswith("/"):
        return ListenAddress(socket.AF_UNIX, None, path=os.path.abspath(address))
    at = quantities.port(port)
    if at is None:
        raise CannotListen(f"{shown(address)} has no port from 1 to 65535", "address")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    bare = _SHORTHANDS.get(bare, bare)
    try:
        where = ipaddress.ip_address(bare)
    except ValueError:
        reason = f"{shown(address)}: {shown(bare)} is no IP address; names are not looked up"
        raise CannotListen(reason, "address") from None
    where = getattr(where, "ipv4_mapped", None) or where  # ::ffff:127.0.0.1
    family = socket.AF_INET if where.version == 4 else socket.AF_INET6
    return ListenAddress(family, (str(where), at), port=at)


def excludes(held: ListenAddress, wanted: ListenAddress) -> bool:
    """Whether a socket at the one address keeps others from listening at the other one."""
    if held.port is None or wanted.port is None:
        return held.name is not None and held.name == wanted.name
    hosts = (held.name[0], wanted.name[0])
    return held.port == wanted.port and (
        hosts[0] == hosts[1]
        or "::" in hosts  # every address of IPv4, too
        or ("0.0.0.0" in hosts and held.family == wanted.family)  # noqa: S104  # asked for
    )


def binds_itself(config: bytes, address: str) -> bool:
    """Whether a config of any format seems to have uWSGI bind this address, and so steal it."""
    with contextlib.suppress(CannotListen):  # a text that is no address needs no check
        wanted = parse(address)
        text = _COMMENT.sub(b"", config[:_LOOKED_AT])
        return any(_binds(value, wanted) for value in _BINDING.findall(text))
    return False


def _binds(value: bytes, wanted: ListenAddress) -> bool:
    with contextlib.suppress(CannotListen):
        held = parse(value.decode("utf-8", "surrogateescape"))
        return excludes(held, wanted) or (held.path is not None and held.path == wanted.path)
    return False
