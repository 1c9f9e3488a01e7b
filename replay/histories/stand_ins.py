"""Stand-ins for names, sources, users and texts: the same one for the same, in the same order.

The fold compares names, sources, paths, users and digests, and looks at whether there are some.
So each has a stand-in of its own, and none has one. Users that are root stay so.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ...journal import chain
from ...monitors import health, preflight, readiness, rollback, settings, world
from ...monitors.names import EXTENSIONS
from ...monitors.registry import SCHEMES

REDACTED: Final = "redacted"
_NO_ID: Final = 0xFFFF_FFFF
_FIRST_ID: Final = 1001
_BY_USER: Final = re.compile(r"uid (\d+)", re.ASCII)
_VERSION: Final = re.compile(r"\d+(\.\d+)*((a|b|rc|\.dev|\.post)\d+)?", re.ASCII)
_PLAIN: Final = re.compile(r"\d{1,9}(\.\d{1,9})?(ms|s|m|h|d)?|yes|no|true|false|on|off", re.ASCII)
_OF_USERS: Final = ("user", "group", "listen-owner")
_CODES: Final = re.compile(r"[0-9 ,]{1,40}", re.ASCII)


class StandIns:
    """The stand-ins of one history. ``names`` and ``ids`` are all that it has."""

    def __init__(self, names: Iterable[str], ids: Iterable[int]) -> None:
        known = sorted(set(names))
        width = max(2, len(str(len(known))))
        self._names = {
            name: f"v{number:0{width}}{self._extension(name)}"
            for number, name in enumerate(known, 1)
        }
        users = sorted({each for each in ids if 0 < each < _NO_ID})
        self._ids = {each: number for number, each in enumerate(users, _FIRST_ID)}
        self._made: dict[str, dict[str, str]] = {}  # by kind
        self.sources: dict[str, str] = {}
        self.texts: dict[str, bytes] = {}  # by the digest that stands in for another
        self._digests: dict[str, str] = {}

    @staticmethod
    def _extension(name: str) -> str:
        found = name[name.rfind(".") :]
        return found if found in EXTENSIONS else ".conf"

    def name(self, name: str) -> str:
        """Of a vassal; of a name that no vassal has, a word."""
        return self._names.get(name) or self.word("name", name)

    def word(self, kind: str, told: str) -> str:
        """Of anything that is only compared: ``name1``. Nothing stays nothing."""
        made = self._made.setdefault(kind, {})
        return told and made.setdefault(told, f"{kind}{len(made) + 1}")

    def path(self, path: str) -> str:
        """Of a path or an address; known extensions stay."""
        found = path[path.rfind(".") :]
        kept = found if found in EXTENSIONS else ""
        return path and f"/{REDACTED}/{self.word('path', path)}{kept}"

    def source(self, url: str) -> str:
        """Of a source's URL; its scheme stays."""
        if url not in self.sources:
            scheme = url.partition("://")[0]
            known = scheme if scheme in SCHEMES else "dir"
            self.sources[url] = f"{known}://{REDACTED}/source{len(self.sources) + 1}"
        return self.sources[url]

    def user(self, number: int) -> int:
        """Of a uid or gid; 0 and those that are none stay."""
        return self._ids.get(number, number if number == 0 else _NO_ID)

    def sharer(self, told: str) -> str:
        """Of a user, a source or a vassal that slots or a budget are counted for."""
        if told in self.sources:
            return self.sources[told]
        if found := _BY_USER.fullmatch(told):
            return f"uid {self.user(int(found[1]))}"
        return told if told == "uid None" else self.name(told)

    def version(self, told: str) -> str:
        """Of a daemon's version: itself, if it is one."""
        return told if _VERSION.fullmatch(told) and len(told) <= 20 else self.word("version", told)

    def boot(self, told: str) -> str:
        """Of a boot id."""
        number = self.word("boot", told).removeprefix("boot")
        return told and f"00000000-0000-4000-8000-{int(number):012}"

    def settings(self, told: Mapping[str, str]) -> dict[str, str]:
        """Of a config's own settings. Those that decide stay, and the keys that are known."""
        found = {}
        for key, value in told.items():
            if key in settings.KEYS:
                found[key] = self._setting(key, value)
            else:
                found[self.word("key", key)] = self.word("value", value)
        return found

    def _setting(self, key: str, value: str) -> str:
        if value in settings.CHOICES.get(key, ()):
            return value
        if key == "success-exit-codes" and _CODES.fullmatch(value):
            return value
        if key in settings.LIMITS and settings.amount(value) is not None:
            return value
        if key.endswith("-signal") and settings.signal_number(value) is not None:
            return value
        plain = ("stop-timeout", "umask", *world.CGROUP_LIMITS)
        if key in plain and world.flaw(key, value) is None:
            return value
        if key == "ready-timeout" and readiness.flaw(key, value) is None:
            return value
        if key == "preflight-timeout" and preflight.flaw(key, value) is None:
            return value
        if key == "rollback" and rollback.flaw(value) is None:
            return value
        if key == "preflight" and value == preflight.BUILT_IN:
            return value
        if key not in _OF_USERS and _PLAIN.fullmatch(value):
            return value
        if key == "health-action" and health.flaw(key, value) is None:
            return value
        if key in ("ready", "health"):  # all conditions decide the same
            return "tcp://127.0.0.1:1" if ":" in value else value
        before = {"directory": "/", "environment-file": "/", "environment": "VARIABLE="}
        return before.get(key, "") + self.word("value", value)

    def digest(self, digest: str, spec: Mapping[str, Any] | None = None, name: str = "") -> str:
        """Of a config: the digest of a text that has the same settings, and says what it is."""
        if digest and digest not in self._digests:
            number = len(self._digests) + 1
            text = _text(number, name, self.settings((spec or {}).get("settings", {})))
            self._digests[digest] = chain.digest(text)
            self.texts[self._digests[digest]] = text
        return self._digests.get(digest, digest)


def _text(number: int, name: str, told: Mapping[str, str]) -> bytes:
    """A config text with these settings, in the format that the name asks for."""
    says = f"config {number}: its text was left out when this history was redacted"
    extension = name[name.rfind(".") :]
    if extension in (".json", ".js"):
        return msgspec.json.encode({REDACTED: says, "emperor": told}) + b"\n"
    if extension == ".xml":
        inner = "".join(f"<{key}>{_escaped(value)}</{key}>" for key, value in told.items())
        return f"<uwsgi><!-- {says} --><emperor>{inner}</emperor></uwsgi>\n".encode()
    begin, between = ("emperor:", ": ") if extension in (".yml", ".yaml") else ("[emperor]", " = ")
    quoted = extension in (".yml", ".yaml")
    lines = [f"# {says}"]
    if told:
        lines.append(begin)
        for key, value in told.items():
            shown = msgspec.json.encode(value).decode() if quoted else value
            lines.append(f"{'  ' if quoted else ''}{key}{between}{shown}")
    return "".join(f"{line}\n" for line in lines).encode()


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;")
