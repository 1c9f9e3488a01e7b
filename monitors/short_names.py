"""Short names of sources, for tables: ``dir:vassals`` instead of a URL of a hundred characters.

An operator gives them (``--name MONITOR=NAME``), or they are made of the URL: its scheme, and the
part that tells it from others. They are for people. Events and JSON have the URL.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from .names import shown

LONGEST: Final = 32  # characters
_GIVEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
# Of a source that is written as key=value, the keys that tell it from others, best first.
_TELLING: Final = ("dbname", "collection", "host")


class BadName(ValueError):
    """A name that cannot be given; the text says why."""


def short_names(urls: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """A name for each URL, no two the same; those that are ``given`` (by URL) as they are."""
    known = {url: given[url] for url in urls if url in given}
    taken = set(known.values())
    for url in urls:
        if url not in known:
            known[url] = _free(_made(url), taken)
            taken.add(known[url])
    return {url: known[url] for url in urls}


def check(name: str) -> str:
    """A name as it may be given. Raises BadName."""
    if len(name) > LONGEST or not _GIVEN.fullmatch(name):
        raise BadName(
            f"{shown(name)!r} is no name: up to {LONGEST} letters, digits and . _ : -,"
            " first a letter or a digit"
        )
    return name


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[: LONGEST - 4]}-{number}"
    return free


def _made(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    # A query, a filter or options follow behind these.
    rest = re.split(r"[;?]", rest, maxsplit=1)[0] or rest
    telling = _of_settings(rest) or _of_path(scheme, rest)
    name = f"{scheme}:{shown(telling)}" if scheme else shown(telling)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _of_settings(rest: str) -> str | None:
    settings = dict(re.findall(r"(?:^|[\s,])(\w+)=([^\s,]+)", rest))
    return next((settings[key] for key in _TELLING if key in settings), None)


def _of_path(scheme: str, rest: str) -> str:
    parts = [unquote(part) for part in rest.rpartition("@")[2].split("/") if part]
    if not parts:
        return rest or "-"
    if scheme == "glob" and len(parts) > 1:
        return "/".join(parts[-2:])
    return parts[0 if scheme in ("ldap", "ldaps") else -1]
