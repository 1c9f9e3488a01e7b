"""Monitor URLs: taking them apart, and showing them without their secrets."""

import re
from typing import Final

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# A password may itself hold "@" or "/", so it ends at the last "@" there is.
_USERINFO: Final = re.compile(r"(://[^:@/]*):.*@", re.DOTALL)
_SETTING: Final = re.compile(
    r"\b(\w*(?:password|passwd|secret|token|api_?key)|pwd)(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s;&]+)",
    re.IGNORECASE,
)
# What follows may be more of a password, so nothing of it is shown.
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
    return _SETTING.sub(r"\1\2***", shown)
