"""The ``.socket`` of a service: its addresses become ``listen``."""

import os
from collections.abc import Mapping
from typing import Final

from .found import Vassal
from .unit_file import NotExpanded, Unit

_OTHERS: Final = (
    "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial", "ListenNetlink",
    "ListenMessageQueue", "ListenUSBFunction",
)  # fmt: skip
_ONCE: Final = ("SocketUser", "SocketGroup", "SocketMode", "Backlog")
_NAMED: Final = {
    "FileDescriptorName": "the name of a socket is its address, with - for each colon",
    "Service": "the vassal has the socket itself",
    "BindIPv6Only": "an address without a host is one of IPv4 here",
}


def take(vassal: Vassal, service: Unit, environ: Mapping[str, str]) -> list[str]:
    """Take the socket beside the service, if there is one; the files that were read."""
    folder = os.path.dirname(service.path)
    name = f"{service.stem}.socket"
    path = os.path.join(folder, name)
    if service.at and not os.path.exists(path):
        path = os.path.join(folder, f"{service.prefix}@.socket")
    if not os.path.exists(path):
        return []
    socket = Unit(path, name, environ)
    owner: dict[str, tuple[str, str]] = {}
    is_path = False
    for (section, key), found in socket.all().items():
        for line in found:
            label = f"{name}: {line.text}"
            if key in _ONCE and line.value != found[-1].value:
                vassal.name_line(label, "a later line has this key, and counts alone")
                continue
            if key in _ONCE and line is not found[-1]:
                continue
            try:
                value = socket.expand(line.value)
            except NotExpanded as flaw:
                vassal.name_unfinished(label, f"{flaw}; write the value")
                continue
            if key == "ListenStream":
                is_path = is_path or value.startswith("/")
                _address(vassal, label, value)
            elif section == "Socket" and key in ("SocketUser", "SocketGroup"):
                owner[key] = (label, value)
            elif section == "Socket":
                _other(vassal, label, key, value)
            elif key in ("Description", "WantedBy", "Documentation"):
                vassal.take(label)
            else:
                vassal.name_line(label, "the daemon opens the socket when the vassal starts first")
    for line in socket.ignored():
        vassal.name_line(f"{name}: {line.text}", line.flaw)
    labels = "; ".join(label for label, _ in owner.values())
    if "SocketUser" in owner:
        both = [owner[key][1] for key in ("SocketUser", "SocketGroup") if key in owner]
        vassal.take(labels, ("listen-owner", ":".join(both)))
    elif owner:
        vassal.name_line(labels, "give listen-owner USER:GROUP")
    return socket.files


def _address(vassal: Vassal, label: str, value: str) -> None:
    if value.isdigit():
        vassal.take(label, ("listen", f":{value}"), says="all addresses of IPv4, and none of IPv6")
    else:
        vassal.take(label, ("listen", value))


def _other(vassal: Vassal, label: str, key: str, value: str) -> None:
    if key == "SocketMode":
        vassal.take(label, ("listen-mode", value))
    elif key == "Backlog":
        vassal.take(label, ("listen-backlog", value))
    elif key == "Accept":
        if value.lower() in ("no", "false", "off", "0"):
            vassal.take(label)
        else:
            vassal.name_unfinished(label, "a process for each connection stays with systemd")
    elif key in _OTHERS:
        vassal.name_unfinished(label, "listen is for streams; let the program open it itself")
    elif key in _NAMED:
        vassal.name_line(label, _NAMED[key])
    else:
        vassal.name_line(label, "a kept socket has no such option")
