"""Monitor URLs: taking them apart, and showing them without their secrets."""

import re
from typing import Final

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# A password may itself hold "@" or "/", so it ends at the last "@" there is.
_USERINFO: Final = re.compile(r"(://[^:@/]*):.*@", re.DOTALL)
_KEY: Final = (
    r"\b(\w*(?:password|passwd|secret|token|api_?key|scram_\w+_key|mechanismproperties)|pwd)"
)
_SETTING: Final = re.compile(_KEY + r"(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s;&]+)", re.IGNORECASE)
# As libpq reads key=value pairs: & is as good as a letter, and so is what follows a backslash.
# In SQL that has such pairs in quotes, their own quotes are doubled.
_IN_CONNINFO: Final = re.compile(
    _KEY + r"(\s*=\s*)(''.*?''|'(?:[^'\\]|\\.)*'|(?:[^\s;\\]|\\.)+)", re.IGNORECASE | re.DOTALL
)
_CONNINFO: Final = re.compile(r"pg://(?!\s*postgres(?:ql)?://)", re.IGNORECASE)
# uWSGI's other spelling. Only its monitor can say where a password ends there.
_IN_PAIRS: Final = re.compile(r"((?<=[,/])password=).+", re.DOTALL)
_PAIRS: Final = re.compile(r"mongodb(?:2|\+srv)?://[a-z]+=", re.IGNORECASE)
# The rest may be more of a password, so nothing of it is shown.
_AUTH: Final = re.compile(r"([?&]auth=).+", re.DOTALL)


class MonitorURLError(ValueError):
    """A monitor's URL cannot be understood. One line, without secrets, that says what to do."""


def split(text: str) -> tuple[str | None, str]:
    """Scheme in lower case (None if there is none) and what follows ``://``."""
    match = _SCHEME.fullmatch(text)
    return (match[1].lower(), match[2]) if match else (None, text)


def without_secrets(text: str) -> str:
    """The URL with ``***`` in place of every password."""
    shown = _AUTH.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))
    if _PAIRS.match(text):
        shown = _IN_PAIRS.sub(r"\1***", shown)
    setting = _IN_CONNINFO if _CONNINFO.match(text) else _SETTING
    return setting.sub(r"\1\2***", shown)
