"""The settings ``listen`` and ``listen-…`` of ``[emperor]``: sockets that are kept for a program.

| key | |
|---|---|
| `listen` | addresses: `127.0.0.1:8000`, `[::1]:8000`, `:8000`, `/run/app.sock`, `@name` |
| `listen-mode` | the mode of socket files, octal |
| `listen-owner` | the owner of socket files: `USER` or `USER:GROUP`, names or numbers |
| `listen-backlog` | how many connections may wait |

``daemon/host/kept_sockets.py`` opens them.
"""

import re
from typing import Final

from ..journal import quantities
from . import names

KEYS: Final = ("listen", "listen-mode", "listen-owner", "listen-backlog")
MOST: Final = 16  # addresses of one vassal
_ACCOUNT: Final = r"(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?|[0-9]{1,10})"


def flaw(key: str, text: str) -> str | None:
    """Why this setting cannot have this value; None if it can."""
    shown = names.shown(text if len(text) <= 40 else f"{text[:40]}…")
    if key == "listen":
        return _flaw_of_addresses(quantities.addresses(text))
    if key == "listen-mode":
        if re.fullmatch(r"0?[0-7]{1,3}", text, re.ASCII):
            return None
        return f"{shown} is no mode; write it in octal, as 660"
    if key == "listen-owner":
        if re.fullmatch(rf"{_ACCOUNT}(?::{_ACCOUNT})?", text, re.ASCII):
            return None
        return f"{shown} is no owner; write USER or USER:GROUP"
    if re.fullmatch(r"[1-9][0-9]{0,4}", text, re.ASCII) and int(text) < 1 << 16:
        return None
    return f"{shown} is no backlog; write a whole number from 1 to 65535"


def _flaw_of_addresses(found: tuple[str, ...]) -> str | None:
    if not found:
        return "names no address"
    if len(found) > MOST:
        return f"has {len(found)} addresses, {MOST} are allowed"
    for each in found:
        shown = names.shown(each if len(each) <= 40 else f"{each[:40]}…")
        if found.count(each) > 1:
            return f"has {shown} twice"
        is_path = each.startswith("/") or (each.startswith("@") and len(each) > 1)
        host, colon, port = each.rpartition(":")
        if not is_path and (not colon or "/" in host or quantities.port(port) is None):
            return f"{shown} is no address; write HOST:PORT, /PATH or @NAME"
    return None
