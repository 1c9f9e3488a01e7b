"""The text after ``zoo://``: servers, znode, and settings.

    HOST[:PORT][,HOST[:PORT]…]/PATH[?auth=digest:USER:PASSWORD][&announce=PATH]

Paths and values may have any character percent-encoded. The text after ``?`` may be a password, or
a piece of one that was not encoded, so no error quotes it.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from .. import names
from ..urls import MonitorURLError

_PORT: Final = 2181
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]@/?,]+))(?::([0-9]{1,5}))?")
_PLAIN: Final = "/!$'()*+,;:~"  # in a path, besides letters and digits


class ZooUrl(msgspec.Struct, frozen=True):
    """Where vassals are. ``shown``, the monitor's name, has no secrets.

    ``credentials`` are ``user:password`` each. An ``announce`` that ends in a slash is a folder.
    """

    hosts: tuple[tuple[str, int], ...]
    path: str
    credentials: tuple[str, ...]
    announce: str | None
    shown: str


def read(rest: str) -> ZooUrl:
    """Parse a URL, given the text after its scheme. Raises MonitorURLError."""
    address, _, query = rest.partition("?")
    if "@" in address:
        raise MonitorURLError(
            "zoo://***: credentials belong behind the path: ?auth=digest:USER:PASSWORD;"
            " in a path write @ as %40"
        )
    written, slash, path = address.partition("/")
    label = f"zoo://{names.shown(address)}"
    hosts = _hosts(label, written)
    if not slash:
        raise MonitorURLError(f"{label}: it has no path: write zoo://HOST:PORT/PATH")
    path = _path(label, path)
    credentials, announce = _query(label, query)
    return ZooUrl(hosts, path, credentials, announce, _shown(hosts, path, credentials, announce))


def _hosts(label: str, written: str) -> tuple[tuple[str, int], ...]:
    found = []
    for each in written.split(","):
        match = _HOST.fullmatch(each.strip())
        if match is None or not 0 < int(match[3] or _PORT) < 1 << 16:
            raise MonitorURLError(
                f"{label}: {names.shown(each)!r} is no server: write HOST:PORT, several with"
                " commas between, and an IPv6 address in brackets"
            )
        found.append(((match[1] or match[2]).lower(), int(match[3] or _PORT)))
    return tuple(dict.fromkeys(found))


def _path(label: str, written: str) -> str:
    """A znode's path, without the slash at its end. Raises MonitorURLError."""
    path = "/" + _decoded(label, written).strip("/")
    if path == "/":
        return path
    if any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise MonitorURLError(f"{label}: a part of its path is empty, '.' or '..'")
    return path


def _decoded(label: str, written: str) -> str:
    try:
        text = unquote(written, errors="strict")
    except UnicodeDecodeError:
        raise MonitorURLError(f"{label}: the percent-encoded part is not UTF-8") from None
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise MonitorURLError(f"{label}: has a control character; remove it")
    return text


def _query(label: str, query: str) -> tuple[tuple[str, ...], str | None]:
    credentials: list[str] = []
    announce: str | None = None
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        decoded = _decoded(label, value)
        if key == "auth" and re.fullmatch(r"digest:[^:]+:.+", decoded):
            credentials.append(decoded.partition(":")[2])
        elif key == "announce" and announce is None and decoded.startswith("/"):
            announce = _announce(label, decoded)
        else:
            raise MonitorURLError(f"{label}: {_flaw_of(key, credentials, announce)}")
    return tuple(dict.fromkeys(credentials)), announce


def _flaw_of(key: str, credentials: list[str], announce: str | None) -> str:
    """The flaw of a setting. The setting may be a piece of a password, so it is not quoted."""
    if credentials:
        return (
            "what follows the password is no setting: there are auth= and announce=, with & between"
            " them; in a password write & as %26 and % as %25"
        )
    if key == "auth":
        return "?auth= must be digest:USER:PASSWORD"
    if key == "announce":
        return "?announce= is there twice" if announce else "?announce= must be a path, as /PATH"
    return "what follows ? is no setting, there are auth=digest:USER:PASSWORD and announce=/PATH"


def _announce(label: str, decoded: str) -> str:
    path = _path(label, quote(decoded))
    if path == "/" or not decoded.endswith("/"):
        return path
    return f"{path}/"


def _shown(
    hosts: tuple[tuple[str, int], ...],
    path: str,
    credentials: tuple[str, ...],
    announce: str | None,
) -> str:
    address = ",".join(at(host, port) for host, port in hosts)
    pairs = [f"auth=digest:{quote(each.partition(':')[0])}:***" for each in credentials]
    if announce is not None:
        pairs.append(f"announce={quote(announce, safe=_PLAIN)}")
    query = "?" + "&".join(pairs) if pairs else ""
    return f"zoo://{address}{quote(path, safe=_PLAIN)}{query}"


def at(host: str, port: int) -> str:
    """A server as it is written in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
